"""What `kshot export` makes: of a fitted model, or of a saved learner, with the examples of a task or without.

PyTorch is imported where a network must be written. In: a model's folder, or the name of a saved learner. Out: a `Task`. Next:
`kshot.tasks.export.exported_folder`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.encoders.encoder import Encoder, GraphEncoder
from kshot.encoders.encoder_folder import GRAPH
from kshot.encoders.sentence_encoder import TOKENIZER as TOKENIZER_OF_ENCODER
from kshot.errors import RecipeError
from kshot.regular_file import read_bytes
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.ranks import carried_on
from kshot.tasks.export.exported_folder import TOKENIZER, Task
from kshot.tasks.export.number_network import number_form, number_graph, number_inputs, rows_to_try
from kshot.tasks.export.rule import rule_of_head
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.model import Model
from kshot.tasks.model_encoder import encoder_of

if TYPE_CHECKING:
    from kshot.tasks.classifier import Classifier
    from kshot.tasks.learner_encoder import LearnerEncoder

_MOST_GRAPH = 2**31
_TRIED = 8
"""Things in `inputs.npz`: the first picture, or the name, of as many classes."""
_COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Of the sets whose thresholds are exported."""
_BEND = 24
"""By how many pixels the second drawing of a made-up task is bent."""


def task_of_model(model: Model, source: str) -> Task:
    """Return a fitted model as a task.

    Args:
        model: The model.
        source: What the user called it.

    Raises:
        RecipeError: Its vectors come from several networks.
        KshotError: Its encoder is not here, or has changed.
    """
    encoder = encoder_of(model)
    rule = rule_of_head(model.head)
    if model.numbers is not None:
        rows = rows_to_try(model.numbers)
        columns = number_inputs(model.numbers, rows)
        vectors = encoder.encode([encoder.read(row) for row in rows])
        probabilities = np.exp(log_probabilities(model.head, vectors))
        graph = number_graph(model.numbers, columns, source)
        form = number_form(model.numbers)
        return Task(source, model.classes, rule, graph, form, columns, probabilities, encoder.provenance, sets=_sets(model))
    items: list[Any] = [encoder.read(thing) for thing in _things(model)]
    probabilities = np.exp(log_probabilities(model.head, encoder.encode(items)))
    takes: Mapping[str, Any]
    given: Mapping[str, np.ndarray]
    if isinstance(encoder, GraphEncoder):
        graph, more = _written(encoder)
        takes, given = encoder.input_form, encoder.inputs(items)
    else:
        learner = _learner_encoder(encoder)
        (graph, given), takes, more = _graph(learner, items), _takes(learner), {}
    return Task(source, model.classes, rule, graph, takes, given, probabilities, encoder.provenance, more=more, sets=_sets(model))


def task_of_learner(name: str, support: Path | None) -> Task:
    """Return a saved learner as a task: with the classes of a support set, or without, to be learnt on the other machine.

    Args:
        name: The name of a shipped learner, or a folder.
        support: A folder with one folder of pictures per class; None: no classes yet.

    Raises:
        RecipeError: Its answer is no comparison with an embedding; or its classes need examples, and there are none.
        SavedError: It cannot be found or read.
        DataError: A picture of the support set cannot be read.
    """
    from kshot.saved.shipped import open_saved
    from kshot.tasks.export.learner_rules import require_comparing, rule_of_learner, rule_without_classes

    require_comparing(open_saved(name).learner)
    encoder = _opened(name)
    if support is not None:
        from kshot.data.pictures.class_folders import class_files
        from kshot.tasks.classifier import Classifier

        pictures = class_files(support)
        classifier = Classifier(name, pictures)
        tried = [members[0] for members in list(pictures.values())[:_TRIED]]
        graph, given = _graph(encoder, [encoder.read(picture) for picture in tried])
        rule = rule_of_learner(classifier.learner, classifier.adapted)
        answers, sets = _answers(classifier, tried), _sets_of_learner(classifier)
        return Task(name, classifier.classes, rule, graph, _takes(encoder), given, answers, encoder.provenance, sets=sets)
    rule = rule_without_classes(encoder.learner)
    from kshot.tasks.classifier import Classifier
    from kshot.tasks.learner_encoder import stroke

    line, bend, other = stroke(), stroke(_BEND), stroke(-_BEND)
    graph, given = _graph(encoder, [encoder.read(picture) for picture in (line, bend, other)])
    examples = {**{name: array[:2] for name, array in given.items()}, "labels": np.array(["line", "bend"])}
    made_up = Classifier(name, {"bend": [bend], "line": [line]})  # the classes that the program finds, sorted
    return Task(name, (), rule, graph, _takes(encoder), given, _answers(made_up, [line, bend, other]), encoder.provenance, examples)


def _opened(name: str) -> "LearnerEncoder":
    from kshot.tasks.learner_encoder import LearnerEncoder

    return LearnerEncoder(name)


def _answers(classifier: "Classifier", pictures: Sequence[Any]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in classifier.predict(pictures)])


def _sets(model: Model) -> dict[str, float]:
    """Return, for each coverage that the model can promise, the log-probability from which on a class is in a set."""
    told = model.certainty
    if told is None or not len(told.own):
        return {}
    found = {coverage: carried_on(told.own, told.fewer, float(told.shot[0]), 1 - coverage) for coverage in _COVERAGES}
    return {f"{coverage:g}": min(value, 0.0) for coverage, value in found.items() if np.isfinite(value)}  # 0: the label alone


def _sets_of_learner(classifier: "Classifier") -> dict[str, float]:
    """Return the same for a learner, from what its validation tasks tell."""
    found: dict[str, float] = {}
    for coverage in _COVERAGES:
        with suppress(RecipeError):  # it cannot promise that much
            found[f"{coverage:g}"] = min(classifier.judge(Asked(coverage)).set_from or 0.0, 0.0)
    return found


def _things(model: Model) -> list[Any]:
    """Return a few things that the encoder of a model reads: names of classes, or drawings."""
    if model.encoder.reads == "texts":
        return list(model.classes[:_TRIED])
    from kshot.tasks.learner_encoder import stroke

    return [stroke(bend) for bend in (0, _BEND, -_BEND)]


def _written(encoder: GraphEncoder) -> tuple[bytes, dict[str, bytes]]:
    """Return the graph of an encoder, and its tokenizer, if it has one."""
    with TemporaryDirectory(prefix="kshot-export-") as name:
        encoder.write(Path(name))
        tokenizer = Path(name) / TOKENIZER_OF_ENCODER
        more = {TOKENIZER: read_bytes(tokenizer, _MOST_GRAPH)} if encoder.reads == "texts" else {}
        return read_bytes(Path(name) / GRAPH, _MOST_GRAPH), more


def _learner_encoder(encoder: Encoder) -> "LearnerEncoder":
    from kshot.tasks.learner_encoder import LearnerEncoder

    if isinstance(encoder, LearnerEncoder) and encoder.under is None:
        return encoder
    raise RecipeError(
        f"the encoder {encoder.name!r} is not one network, and one network is exported. Fit a model with a single encoder, such as "
        f"{encoder.name.partition('+')[0]}, and export that."
    )


def _takes(encoder: "LearnerEncoder") -> dict[str, Any]:
    from kshot.data.preprocess_table import describe
    from kshot.tasks.learner_encoder import stroke

    kept = encoder.read(stroke())
    shape = ", ".join(["M", *map(str, kept.shape)])
    return {
        "items": f"{kept.dtype} ({shape}): pictures as the preprocessing of kshot returns them",
        "preprocess": describe(encoder.preprocess),
    }


def _graph(encoder: "LearnerEncoder", kept: Sequence[np.ndarray]) -> tuple[bytes, dict[str, np.ndarray]]:
    """Write the network of a learner as a graph that takes kept pictures; return it, and pictures as it takes them."""
    import torch
    from torch import Tensor, nn

    from kshot.encoders.onnx_export import exported

    class Encoding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.learner = encoder.learner

        def forward(self, items: Tensor) -> Tensor:
            vectors = self.learner.encode(encoder.preprocess.to_input(items))
            assert isinstance(vectors, Tensor)
            return vectors

    given = np.stack(kept)
    at_least_two = torch.from_numpy(np.concatenate([given, given])[: max(2, len(given))])
    graph, _ = exported(Encoding(), {"items": at_least_two}, {"items": {0: "items"}}, name=encoder.name, extra="photos")
    return graph, {"items": given}
