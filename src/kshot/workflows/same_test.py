"""Several learners on the same test: which episodes all of them get, whether all may take the test, and how they compare.

In: `Saved` learners by name and a `Question`. Out: a `Comparison`. `compare` does the same for learners and episodes that a program
holds already. Next: `kshot.score_commands` shows it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from kshot.data.dataset import Dataset, notes_on
from kshot.data.divided_dataset import divides_itself
from kshot.data.preprocess import Preprocess
from kshot.data.table import Source
from kshot.episodes.shape import Range
from kshot.errors import DataError, KshotError
from kshot.learners.learner import Learner, Mode
from kshot.results.compare.compare import check_contest
from kshot.results.compare.compare import compare as compare_learners
from kshot.results.compare.comparison import Comparison
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.folder import Saved
from kshot.workflows.build import data_source, shape_for
from kshot.workflows.question import Asked, Question, asked_classes, seen_classes, trained_on_data
from kshot.workflows.recipe_sections import DataRecipe


@dataclass(frozen=True, eq=False)
class SameTest:
    """Episodes that are the same for all learners.

    Attributes:
        sets: One set of episodes for each number of shots.
        datasets: The same items as each learner reads them, by the learner's name.
        remarks: What a reader of the comparison should know about how the learners read the data.
    """

    sets: tuple[EpisodeSet, ...]
    datasets: Mapping[str, Dataset]
    remarks: tuple[str, ...]


def same_test(learners: Mapping[str, Saved], question: Question, shots: Sequence[int | Range] | None = None) -> SameTest:
    """Draw the episodes that a question means, with the same classes and items for every learner.

    Learners whose record names data decide which data are meant; they must agree. A learner that names none reads the same data, with its
    own preprocessing or, where it has none, with that of the first of the others. Each data set is opened once; episodes are drawn once.

    Args:
        learners: The learners by name.
        question: What to test on; where `shots` is None, its shape gives the shots of the only set.
        shots: The numbers of shots, one set for each.

    Raises:
        DataError: The learners do not mean the same classes of the same data, or one has seen some of them in training.
        RecipeError: There are fewer than two learners, or one does not offer the mode or solves tasks of another kind.
        EpisodeError: The classes cannot give the shape.
    """
    check_contest({name: saved.learner for name, saved in learners.items()}, question.mode)
    opener = _opener()
    at_home = [name for name, saved in learners.items() if trained_on_data(saved.record) is not None]
    if not at_home and question.data is None:
        raise DataError(f"none of {', '.join(learners)} names the data it is for. Give --data omniglot, or a folder of class folders.")
    # Where no learner names data, one with a preprocessing of its own decides how the others read.
    deciding = at_home or [next((name for name, saved in learners.items() if saved.preprocess is not None), next(iter(learners)))]
    asked = {name: _asked(name, learners[name], question, opener) for name in deciding}
    first = asked[deciding[0]]
    for name in deciding[1:]:
        _check_same_classes(deciding[0], first, name, asked[name])
    datasets = {name: one.dataset for name, one in asked.items()}
    remarks = []
    for name, saved in learners.items():
        if name not in asked:
            datasets[name] = first.dataset if saved.preprocess is None else _named(name, opener, first.data, saved.preprocess)
            if datasets[name] is first.dataset and saved.preprocess is None:
                remarks.append(f"{name} has no preprocessing of its own; it reads the data as {deciding[0]} does.")
        _check_unseen(name, saved, asked[name].seen if name in asked else None, first, datasets[name].fingerprint)
        if saved.learner.training_source != "none" and "classes_seen" not in saved.record:
            remarks.append(f"The record of {name} does not say which classes it was trained on, so it may have been trained on these.")
    remarks += _different_readings(learners, datasets)
    noted: dict[str, list[str]] = {}
    for name, dataset in datasets.items():
        for note in notes_on(dataset):
            noted.setdefault(note, []).append(name)
    remarks += [f"{', '.join(names)}: {note}" for note, names in noted.items()]
    shape = shape_for(first.dataset, question.shape)
    sets = tuple(
        EpisodeSet.draw(first.dataset, first.index, first.split, replace(shape, shot=shot), episodes=question.episodes, seed=question.seed)
        for shot in (shots or [shape.shot])
    )
    return SameTest(sets, datasets, tuple(remarks))


def compare_entrants(
    learners: Mapping[str, Saved],
    test: SameTest,
    *,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Score learners on the test that `same_test` drew for them; see `kshot.results.compare.compare`."""
    plain = {name: saved.learner for name, saved in learners.items()}
    comparison = compare_learners(plain, test.sets, datasets=test.datasets, mode=mode, device=device, progress=progress)
    return replace(comparison, remarks=test.remarks)


def compare(
    learners: Mapping[str, Learner | Saved],
    episodes: EpisodeSet | Sequence[EpisodeSet],
    *,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare learners on the same episodes: scores with intervals, paired differences to the best, time, memory.

    Args:
        learners: At least two learners by name, or results of `kshot.open_saved`, whose records are then checked.
        episodes: A fixed test, or several that differ only in their shots.
        mode: How to predict; all learners must offer it.
        device: Where to compute; the learners are moved there.
        progress: Called with the number of further episodes that a learner was scored on.

    Returns:
        A `Comparison`: `table()`, `sentence()`, `notes()` and `as_dict()`; `print` shows all.

    Raises:
        RecipeError: There are fewer than two learners, they solve tasks of different kinds, one does not offer the mode or cannot
            answer such episodes, or the sets differ in more than their shots.
        DataError: A saved learner has seen classes of the test in training, or has another preprocessing than the open data.

    Example:
        >>> import kshot, numpy as np, torch
        >>> data = kshot.ArrayDataset(np.random.default_rng(0).random((40, 8), np.float32), [n % 4 for n in range(40)])
        >>> episodes = kshot.EpisodeSet.draw(data, data.index, "all", kshot.EpisodeShape(2, 1, 3), episodes=50)
        >>> same = {"one": kshot.ProtoNet(torch.nn.Identity()), "two": kshot.ProtoNet(torch.nn.Identity())}
        >>> compare(same, episodes).sentence()
        'one and two do not differ at 1 shot.'
    """
    sets = [episodes] if isinstance(episodes, EpisodeSet) else list(episodes)
    plain: dict[str, Learner] = {}
    for name, given in learners.items():
        plain[name] = given.learner if isinstance(given, Saved) else given
        if isinstance(given, Saved):
            for one in sets:
                own = given.record.get("fingerprint") == one.dataset.fingerprint
                _refuse_seen(name, given, seen_classes(given.record, one.index) if own else (), one.split, len(one.index))
                if given.preprocess is not None and given.preprocess != one.dataset.preprocess:
                    raise DataError(
                        f"{name} reads items as {given.preprocess!r}; the data of the episodes are open as {one.dataset.preprocess!r}. "
                        "Open the data with its preprocessing, or use kshot compare, which opens them for each."
                    )
    return compare_learners(plain, sets, mode=mode, device=device, progress=progress)


Opener = Callable[[DataRecipe, Preprocess | None], Dataset]


def _opener() -> Opener:
    """Make a function that opens data as `open_dataset` does, but each only once."""
    kept: list[tuple[Source, Dataset]] = []

    def opened(data: DataRecipe, preprocess: Preprocess | None) -> Dataset:
        source = data_source(data, preprocess)
        found = next((dataset for known, dataset in kept if known == source), None)
        if found is None:
            found = source.open()
            kept.append((source, found))
        return found

    return opened


def _asked(name: str, saved: Saved, question: Question, opener: Opener) -> Asked:
    try:
        return asked_classes(saved, question, opener)
    except KshotError as error:
        raise type(error)(f"{name}: {error}") from error


def _named(name: str, opener: Opener, data: DataRecipe, preprocess: Preprocess) -> Dataset:
    try:
        return opener(data, preprocess)
    except KshotError as error:
        raise type(error)(f"{name}: {error}") from error


def _check_same_classes(first: str, one: Asked, second: str, other: Asked) -> None:
    if one.dataset.fingerprint != other.dataset.fingerprint:
        raise DataError(
            f"{first} and {second} cannot take the same test: {first} is for {one.data.name} and {second} for {other.data.name}. "
            "Say with --data what to test on, or compare learners of the same data."
        )
    if one.index.names != other.index.names:
        apart = sorted(set(one.index.names) ^ set(other.index.names))
        differing = f"; {len(apart)} are in one only: {', '.join(apart[:3])} …" if apart else ", in another order"
        which = "NAME" if divides_itself(one.dataset) else "FILE.json"
        example = one.split.partition("/")[0] if which == "NAME" else "the division.json of a run"
        raise DataError(
            f"{first} and {second} cannot take the same test: {one.split} of {first} and {other.split} of {second} are not the same "
            f"classes{differing}. Say with --split {which} which classes are meant, such as {example}, or compare learners of the same "
            "division."
        )
    if one.split != other.split:
        raise DataError(
            f"{first} and {second} call the same classes {one.split} and {other.split}, and episodes depend on the name. "
            f"Say with --split {one.split} which name is meant."
        )


def _check_unseen(name: str, saved: Saved, seen: tuple[str, ...] | None, test: Asked, fingerprint: str) -> None:
    if seen is None:
        if fingerprint != test.dataset.fingerprint:
            raise DataError(f"{name} reads other items at {test.data.name} than the other learners. Compare learners of the same data.")
        seen = seen_classes(saved.record, test.index) if saved.record.get("fingerprint") == fingerprint else ()
    _refuse_seen(name, saved, seen, test.split, len(test.index))


def _refuse_seen(name: str, saved: Saved, seen: tuple[str, ...], split: str, classes: int) -> None:
    if seen:
        raise DataError(
            f"{name} was trained on {len(seen)} of the {classes} classes of {split}: {', '.join(seen[:5])}{' …' if len(seen) > 5 else ''} "
            "It would be tested on classes that it knows. Test on classes that no learner has seen (its own split is "
            f"{saved.record.get('split')!r}), or leave it out."
        )


def _different_readings(learners: Mapping[str, Saved], datasets: Mapping[str, Dataset]) -> list[str]:
    readings: dict[str, list[str]] = {}
    for name in learners:
        readings.setdefault(repr(datasets[name].preprocess), []).append(name)
    if len(readings) == 1:
        return []
    told = "; ".join(f"{', '.join(names)} as {reading}" for reading, names in readings.items())
    return [f"The learners read the same items in different ways: {told}."]
