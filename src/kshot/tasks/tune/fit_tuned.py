r"""From examples to a model whose encoder has learned from them, if that helps: the frozen model first, then the tuned one.

    examples --fit--> frozen model --stages--> encoders without each fold --held_out--> Comparison
                                   \--last stage, if better--> tuned encoder, tuned model

In: examples and a `TunableEncoder`. Out: a `TunedFit`, whose model is the better one of the two. Next: `kshot.tasks.model_folder`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import finite_or_none
from kshot.device import pick_device
from kshot.encoders.embed import content_key, embed
from kshot.encoders.encoder import Encoder, PortableEncoder, Tunable, TunableEncoder, cannot_learn, fingerprint_of
from kshot.encoders.encoder_folder import TemporaryFolder
from kshot.encoders.table import read_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.passes import watched
from kshot.tasks.certainty.certainty import learn_certainty
from kshot.tasks.certainty.unknown import Surroundings
from kshot.tasks.descriptions import Sentences, description_vectors, texts_of
from kshot.tasks.embedded import embedded
from kshot.tasks.estimate import estimate
from kshot.tasks.examples import Examples
from kshot.tasks.fit import Fitted, fit
from kshot.tasks.heads.given import Given
from kshot.tasks.kept import Known
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.tune.held_out import Comparison, Fold, HeldOut, compare, held_out
from kshot.tasks.tune.plan import TunePlan, plan_for
from kshot.tasks.tune.stages import Material, Stages, deal_folds


@dataclass(frozen=True, eq=False)
class TunedFit:
    """A model with the encoder that does better.

    Attributes:
        fitted: The model, and what was found on the way to it.
        encoder: The tuned encoder, which belongs into the folder of the model; None if the frozen one is kept.
        comparison: The two on left-out examples.
    """

    fitted: Fitted
    encoder: PortableEncoder | None
    comparison: Comparison


def check_tunable(examples: Examples, encoder: Encoder) -> TunePlan:
    """Check before the long work that an encoder can be tuned on examples, and return how.

    Raises:
        RecipeError: The encoder cannot learn, or nothing can be tuned for such things.
        DataError: No class has two examples.
    """
    plan = plan_for(examples.reads)
    if not isinstance(encoder, TunableEncoder):
        raise cannot_learn(encoder.name)
    if max(examples.counts.values(), default=0) < 2:
        raise DataError(
            "tuning is kept only if it helps on examples that are left out, and no class has two. Give two or more examples per class, or "
            "leave --tune out."
        )
    return plan


def fit_tuned(
    examples: Examples,
    encoder: Encoder,
    *,
    head: str | None = None,
    sentences: Sentences | None = None,
    cache: VectorCache | None = None,
    strict: bool = False,
    tuning: "Tuning | None" = None,
) -> TunedFit:
    """Fit a model, tune its encoder, and keep the better one.

    Args:
        examples: As for `kshot.tasks.fit.fit`, as are all that follow but the last.
        encoder: The encoder.
        head: Name of the head.
        sentences: Descriptions of classes. For texts, they and the names of the classes are learned from, too.
        cache: Where vectors are looked up and kept.
        strict: Whether an example that cannot be read stops the work.
        tuning: Where and how long it learns; None: on the processor, without a state on disk.

    Raises:
        DataError: As of `fit`; or no class has two examples.
        RecipeError: As of `fit`; or the encoder cannot learn.
        SavedError: A state cannot be written, read or gone on with.
        SetupError: What it needs is not installed, or there is no such device.
        Stopped: It was asked to stop.
        TrainingError: The loss is not finite.
    """
    tuning = tuning or Tuning()
    plan = tuning.plan or check_tunable(examples, encoder)
    assert isinstance(encoder, TunableEncoder)
    frozen = fit(examples, encoder, head=head, sentences=sentences, cache=cache, strict=strict)
    assert frozen.examples is not None
    check_tunable(frozen.examples, encoder)
    work = _Work(frozen.model, frozen.examples, encoder, plan, cache)
    identity = {"encoder": encoder.fingerprint, "examples": work.digest, "plan": asdict(plan), "head": head}
    stages = Stages(encoder, work.material, plan, device=pick_device(tuning.device), file=tuning.file, identity=identity, stop=tuning.stop)
    if tuning.resume:
        stages.resume()
    without = stages.fold_vectors()
    found, comparison = work.judged(without)
    about = {"kept": comparison.better, "factor": found.factor, "examples": len(frozen.model.labels), "comparison": comparison.as_dict()}
    other = f"the tuning was begun in another environment ({'; '.join(stages.elsewhere)}), so it does not go on to the same bits."
    notes = (*frozen.notes, other) if stages.elsewhere else frozen.notes
    if not comparison.better:
        said = f"tuning is not kept, because it is not better: {comparison}"
        about |= {"steps": stages.steps_before(plan.folds), "seconds": stages.progress.seconds, "said": said}
        model = replace(frozen.model, findings={**frozen.model.findings, "tuned": finite_or_none(about)})
        return TunedFit(replace(frozen, model=model, notes=notes), None, comparison)
    tuned = tuned_encoder(encoder, stages.network(), tuning.device)
    minutes = stages.progress.seconds / 60
    said = f"tuned on {about['examples']:,} examples in {stages.total:,} steps ({minutes:.1f} minutes): {comparison}"
    about |= {"steps": stages.total, "seconds": stages.progress.seconds, "said": said}
    fitted = work.refitted(tuned, found, finite_or_none(about), without)
    return TunedFit(replace(fitted, notes=notes), tuned, comparison)


@dataclass(frozen=True)
class Tuning:
    """Where and how long an encoder learns.

    Attributes:
        device: Where it is trained, and where the tuned encoder computes afterwards: `cpu`, or `cuda` for a GPU.
        file: Where the state is kept, so that it can be gone on with; None: nowhere.
        resume: Whether to go on from the state in the file.
        stop: Says whether to stop before the next step.
        plan: How it learns; None: the plan for what is read.
    """

    device: str = "cpu"
    file: Path | None = None
    resume: bool = False
    stop: Callable[[], bool] = lambda: False
    plan: TunePlan | None = None


def tuned_encoder(frozen: Encoder, tunable: Tunable, device: str) -> PortableEncoder:
    """Write a network that has learned as an encoder. It lies in a temporary folder as long as somebody holds it."""
    digest = hashlib.sha256()
    for name, parameter in tunable.network.named_parameters():
        if parameter.requires_grad:
            digest.update(name.encode() + b"\0" + parameter.detach().cpu().numpy().tobytes())
    folder = TemporaryFolder(tunable.files(fingerprint_of("tuned", frozen.fingerprint, digest.digest())))
    encoder = read_encoder(folder.path, device=device, held=folder)
    assert isinstance(encoder, PortableEncoder)
    return encoder


class _Work:
    """What one fit needs at its several places: the frozen model, the examples, and the words that describe classes."""

    def __init__(self, model: Model, examples: Examples, encoder: TunableEncoder, plan: TunePlan, cache: VectorCache | None) -> None:
        self.model, self.examples, self.plan, self.cache = model, examples, plan, cache
        self.known = Known.of(model)
        learned = encoder.reads == "texts" and model.description_vectors is not None
        texts = texts_of(model.classes, model.descriptions) if learned else []
        words = [text for some in texts for text in some]
        of_words = np.array([place for place, some in enumerate(texts) for _ in some], dtype=np.int64)
        vectors = [vector for vector in embed(encoder, words, cache=cache) if isinstance(vector, np.ndarray)]
        keys = [content_key(thing) for thing in examples.things]
        self.folds = deal_folds(model.labels, keys, plan.folds)
        labels = np.concatenate([model.labels, of_words])
        self.material = Material(
            [*examples.things, *words],
            labels,
            np.concatenate([model.vectors, np.stack(vectors)]) if vectors else model.vectors,
            np.concatenate([self.folds, np.full(len(words), -1)]),
            len(model.classes),
        )
        about = [model.classes, labels.tolist(), [key.hex() for key in keys], words]
        self.digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def judged(self, vectors: list[np.ndarray]) -> tuple[HeldOut, Comparison]:
        """Choose the head for the tuned encoder, and compare it with the frozen one."""
        model, n, way = self.model, len(self.model.labels), len(self.model.classes)
        frozen = self.known.usual_heads(n)
        parts = [self.folds == fold for fold in range(self.plan.folds)]
        with watched("encoders compared", 2) as done:
            tuned = held_out([self._fold(*one) for one in zip(parts, vectors, strict=True)], model.labels, way)
            done(1)
            before = held_out([Fold(part, model.vectors, frozen) for part in parts], model.labels, way)
            done(1)
        return tuned, compare(tuned, before, model.labels, self.plan.folds)

    def _fold(self, held: np.ndarray, vectors: np.ndarray) -> Fold:
        model, n = self.model, len(self.model.labels)
        known = self.known
        if known.descriptions is not None and len(vectors) > n:
            words = vectors[n:]
            known = replace(known, descriptions=description_vectors(lambda texts: words, model.classes, model.descriptions))
        return Fold(held, vectors[:n], known.usual_heads(n))

    def _nearness(self, without: list[np.ndarray]) -> np.ndarray:
        """Return how near each example is to those outside its fold, to an encoder that has not learned from its fold, (n, 2)."""
        labels, way = self.model.labels, len(self.model.classes)
        found = np.full((len(labels), 2), np.nan)
        for fold, vectors in enumerate(without):
            held, own = self.folds == fold, vectors[: len(labels)]
            found[held] = Surroundings(own[~held], labels[~held], way).nearness(own[held])
        return found

    def refitted(self, encoder: PortableEncoder, found: HeldOut, about: Any, without: list[np.ndarray]) -> Fitted:
        """Fit the head to the vectors of the tuned encoder; `without` are those of the encoders that did not learn from a fold."""
        model, n, way = self.model, len(self.model.labels), len(self.model.classes)
        _, vectors = embedded(self.examples, encoder, self.cache, strict=True)
        known = replace(self.known, encoder=EncoderFacts.of(encoder), tuned=about)
        known = known.describing(encoder, model.classes, model.descriptions, self.cache)
        (head,) = (head for head in known.usual_heads(n) if head.name == found.name)
        fitted = head.settle(Given(vectors, model.labels, way)).fit()
        fitted = replace(fitted, temperature=fitted.temperature * found.factor)
        choice = found.choice(fitted)
        findings = {
            "asked_head": model.findings["asked_head"],
            "head": known.told(fitted, str(found), n),
            "choice": finite_or_none(choice.as_dict()),
            "estimate": estimate(choice.left_out, model.labels, way).as_dict(),
            "tuned": about,
        }
        tuned = replace(
            model,
            encoder=known.encoder,
            head_name=found.name,
            head=fitted,
            vectors=vectors,
            findings=findings,
            description_vectors=known.descriptions,
            certainty=learn_certainty(choice, Given(vectors, model.labels, way), self._nearness(without)),
        )
        return Fitted(tuned, self.examples, (), choice.left_out.log_probabilities)
