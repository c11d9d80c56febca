"""Score a saved learner: which classes are asked about, whether it may be asked, and what it scores.

In: a `Saved` learner and a `Question`. Out: `Results`. Next: `kshot.score_commands` shows them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset, notes_on
from kshot.data.divided_dataset import divides_itself, own_division
from kshot.data.preprocess import Preprocess
from kshot.data.split import PARTS, divide_by_file, divide_by_names
from kshot.data.table import find_kind, find_kind_for, same_name, usual_split
from kshot.device import pick_device
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner, Mode, with_steps
from kshot.learners.refinement.refined import Refined, refinement_named, words_of
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.score.result import Results
from kshot.saved.class_names import unfold
from kshot.saved.folder import Saved
from kshot.workflows.build import divide, open_dataset, shape_for
from kshot.workflows.lake_challenge import lake_episodes, omniglot_for, random_lake_episodes
from kshot.workflows.mann_protocol import sequence_learner, sequence_shape
from kshot.workflows.recipe import parse_recipe
from kshot.workflows.recipe_sections import DataRecipe

FEW = 30
"""Below this number of episodes, the normal interval of a mean is not reliable."""


PROTOCOLS = ("lake", "lake_random", "mann")
"""The named protocols."""


@dataclass(frozen=True)
class Question:
    """What to evaluate a saved learner on.

    Attributes:
        data: A word or a path, as `data.name` of a recipe, or None for what the learner was trained on.
        split: `NAME`, `NAME/PART`, a part (`train`, `val`, `test`), `all`, or None for the test part of the learner's own split.
        shape: Way, shot, query and the rules of drawing.
        episodes: Number of episodes.
        seed: Seed of the episode stream.
        mode: Inductive or transductive.
        protocol: `episodes`, drawn as the other fields say; `mann`, drawn likewise, with the shot and query of that protocol
            (`kshot.workflows.mann_protocol`); `lake`: Lake's 20 fixed runs, for which only `mode` and `refine` count; or
            `lake_random`: the same tasks by random drawers, for which `episodes` and `seed` count, too.
        refine: Name of a refinement of the answers, such as `soft_k_means` (`kshot.learners.refinement.refined.refinement_named`): the
            mode is then `transductive`, whatever the field says. None refines nothing.
        steps: Number of gradient steps to answer, in place of the learner's own.
    """

    data: str | None = None
    split: str | None = None
    shape: EpisodeShape = EpisodeShape()  # noqa: RUF009  # frozen
    episodes: int = 1000
    seed: int = 0
    mode: Mode = "inductive"
    protocol: Literal["episodes", "lake", "lake_random", "mann"] = "episodes"
    refine: str | None = None
    steps: int | None = None


def ask(saved: Saved, question: Question) -> EpisodeSet:
    """Draw the episodes that a question asks for.

    Raises:
        DataError: The data or the split cannot be found, or the learner has seen some of the classes in training and the
            question does not name its training part.
        RecipeError: The protocol is not for this learner.
    """
    if question.protocol == "lake":
        return lake_episodes(omniglot_for(saved))
    if question.protocol == "lake_random":
        return random_lake_episodes(omniglot_for(saved), question.episodes, question.seed)
    if question.protocol == "mann":
        sequence_learner(saved)  # refuses any other before data are opened
        question = replace(question, shape=sequence_shape(question.shape))
    return _drawn(_unseen(saved, question), question)


def ask_curve(saved: Saved, question: Question, shots: Sequence[int]) -> tuple[EpisodeSet, ...]:
    """Draw a set of episodes for each number of shots, all of the same classes, of data that are opened once.

    Raises:
        DataError: As of `ask`.
        EpisodeError: The classes cannot give the shape with these shots.
    """
    asked = _unseen(saved, question)
    return tuple(_drawn(asked, replace(question, shape=replace(question.shape, shot=shot))) for shot in shots)


def _unseen(saved: Saved, question: Question) -> "Asked":
    asked = asked_classes(saved, question)
    if asked.seen and asked.split.rpartition("/")[2] not in ("train", "trainval"):
        raise DataError(
            f"{len(asked.seen)} of the {len(asked.index)} classes of {asked.split} were seen in training: {', '.join(asked.seen[:5])} … "
            f"A score on them says nothing about new classes. Use the learner's own split, {saved.record.get('split')!r}."
        )
    return asked


def _drawn(asked: "Asked", question: Question) -> EpisodeSet:
    shape = shape_for(asked.dataset, question.shape)
    return EpisodeSet.draw(asked.dataset, asked.index, asked.split, shape, episodes=question.episodes, seed=question.seed)


@dataclass(frozen=True, eq=False)
class Asked:
    """The classes that a question means for a learner.

    Attributes:
        data: The data by name and settings.
        dataset: The open data.
        split: The name of the classes in records.
        index: The classes.
        seen: The names of the classes that the learner saw in training.
    """

    data: DataRecipe
    dataset: Dataset
    split: str
    index: ClassIndex
    seen: tuple[str, ...]


def asked_classes(saved: Saved, question: Question, opener: Callable[[DataRecipe, Preprocess | None], Dataset] = open_dataset) -> Asked:
    """Open the data that a question means for a learner, and find the classes.

    Args:
        saved: The learner.
        question: Its `data` and `split`.
        opener: Opens data; another one than `open_dataset` may return data that are open already.

    Raises:
        DataError: The data or the split cannot be found.
    """
    record = saved.record
    trained_on = trained_on_data(record)
    data = parse_recipe({"data": trained_on or {}}, "of the learner's record").data
    own = question.data is None or (bool(trained_on) and same_name(question.data, data.name))
    if question.data is None and not trained_on:
        raise DataError("this learner's record names no data; give --data omniglot or a folder of class folders.")
    if not own:
        asked, kind_of_own = str(question.data), _own_kind(data) if trained_on else None
        kind = find_kind_for(asked, saved.preprocess, kind_of_own)
        settings = data.arguments if kind == kind_of_own else {}  # read as in training
        data = replace(data, name=asked, kind=kind, arguments=settings, split=usual_split(kind))
    dataset = opener(data, saved.preprocess)
    own = own or record.get("fingerprint") == dataset.fingerprint  # the same pictures elsewhere
    name, index = _classes(dataset, data, record, question.split, own)
    return Asked(data, dataset, name, index, seen_classes(record, index) if own else ())  # own: also where pictures were added since


def trained_on_data(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find what a learner was trained on in its record: the `[data]` of its recipe; None where the record does not say."""
    recipe = record.get("recipe")
    data = recipe.get("data") if isinstance(recipe, Mapping) else None
    return data or None


def _own_kind(data: DataRecipe) -> str | None:
    """Name the kind of the data that a learner was trained on; None where they are gone."""
    try:
        return find_kind(data.name, data.kind)
    except (DataError, RecipeError):
        return None


def seen_classes(record: Mapping[str, Any], index: ClassIndex) -> tuple[str, ...]:
    """List the classes of an index that were seen in training, according to a record of the same data."""
    seen = set(unfold(record.get("classes_seen", {})))
    return tuple(name for name in index.names if name in seen)


def fitting(shape: EpisodeShape, learners: Iterable[Saved]) -> EpisodeShape:
    """Return the shape with no more classes and queries than the learners' own test classes have, according to their records.

    The shots stay as they are. So does what no test class can give; drawing then refuses it in words.
    """
    for saved in learners:
        if (least := saved.record.get("test_sizes")) is not None:
            classes, items = least
            way, left = min(shape.way_range[1], classes), items - shape.shot_range[1]
            shape = replace(shape, way=max(2, way), query=min(shape.query_range[1], left) if left > 0 else shape.query)
    return shape


def cautions(saved: Saved, episodes: EpisodeSet) -> list[str]:
    """List what a reader of a score must know and the number does not say."""
    notes = list(notes_on(episodes.dataset))
    if episodes.split.rpartition("/")[2] in ("train", "trainval"):
        notes.append("these are training classes: the score says how well they were learnt, and nothing about new classes.")
    elif saved.learner.training_source != "none" and "classes_seen" not in saved.record:
        notes.append("this learner has no record of the classes it was trained on; it may have been trained on these classes.")
    elif alike := namesakes(saved, episodes):
        shown = ", ".join(alike[:3]) + (" …" if len(alike) > 3 else "")
        notes.append(
            f"{len(alike)} of the {len(episodes.index)} classes have the names of classes that this learner was trained on ({shown}). "
            "The data differ from its training data, so it may or may not have seen the items; if it has, the score says nothing."
        )
    return [*notes, *few_episodes(len(episodes))]


def few_episodes(count: int) -> list[str]:
    """List what a reader of a score of few episodes must know."""
    if count == 1:
        return ["one episode gives no interval: ± 0 means that there is none."]
    return [f"{count} episodes are few: the interval itself is uncertain. Take {FEW} or more."] if count < FEW else []


def namesakes(saved: Saved, episodes: EpisodeSet) -> tuple[str, ...]:
    """List the tested classes that have names of classes seen in training, where the data differ from those of training."""
    if saved.record.get("fingerprint") == episodes.dataset.fingerprint:
        return ()  # in the same data, classes seen in training are refused
    seen = set(unfold(saved.record.get("classes_seen", {})))
    return tuple(name for name in episodes.index.names if name in seen)


def _classes(dataset: Dataset, data: DataRecipe, record: Mapping[str, Any], asked: str | None, own: bool) -> tuple[str, ClassIndex]:
    """Find the classes that `asked` names, and their name in records."""
    file, dot, rest = (asked or "").partition(".json")
    if dot and rest.strip("/") in ("", *PARTS, "trainval") and not divides_itself(dataset):
        split = divide_by_file(dataset.index, Path(file + dot))
        part = rest.strip("/") or "test"
        return f"{split.name}/{part}", split.part(part)
    name, _, part = (asked or "").partition("/")
    if not part and name in (*PARTS, "trainval", "all"):
        name, part = "", name
    if part == "all" and not name:
        return "all", dataset.index
    if divides_itself(dataset):
        split = dataset.split(name or str(data.split), seed=data.split_seed)
    elif own and record.get("division"):
        if name and name != record.get("split"):
            raise DataError(f"the learner's folder has one division, {record.get('split')!r}; there is no split {name!r}.")
        split = divide_by_names(dataset.index, record["division"], str(record["split"]))
    elif not name and own_division(dataset) is not None:
        split = divide(dataset, data)
        part = part or ("test" if "test" in split.parts else "train")
    elif asked:
        raise DataError(f"{dataset.name} has no split {asked!r}; give a .json file of class names, or no --split for all classes.")
    else:
        return "all", dataset.index
    return f"{split.name}/{part or 'test'}", split.part(part or "test")


def answer(
    saved: Saved,
    episodes: EpisodeSet,
    mode: Mode,
    device: str = "auto",
    progress: Callable[[int], None] | None = None,
    *,
    refine: str | None = None,
    steps: int | None = None,
) -> Results:
    """Score a saved learner on episodes; with `refine`, in transductive mode, and the results name the refinement.

    Raises:
        RecipeError: The learner does not offer the mode, cannot be refined, or takes no number of `steps`; or there is no such refinement.
    """
    chosen = pick_device(device)
    if refine is None:
        return evaluate(asked_learner(saved, None, steps), episodes, mode=mode, device=chosen, progress=progress)
    results = evaluate(asked_learner(saved, refine, steps), episodes, mode="transductive", device=chosen, progress=progress)
    return replace(results, refinement=words_of(refinement_named(refine)))


def asked_learner(saved: Saved, refine: str | None, steps: int | None = None) -> Learner:
    """Return the learner that answers: the saved one, possibly with a refinement or another number of gradient steps.

    Raises:
        RecipeError: There is no such refinement, the learner cannot be refined, or it takes no number of steps.
    """
    learner = saved.learner if steps is None else with_steps(saved.learner, steps)
    return learner if refine is None else Refined(learner, refinement_named(refine))
