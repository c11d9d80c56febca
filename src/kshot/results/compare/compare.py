"""Compare learners on the same episodes, with scores and costs side by side.

In: learners by name, and one set of episodes per number of shots. Out: a `Comparison`. Episodes are drawn in advance and shared. Items are
encoded once per learner, for all numbers of shots. Next: `kshot.workflows.same_test`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from kshot.data.dataset import Dataset
from kshot.device import pick_device
from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner, Mode
from kshot.results.compare.comparison import Comparison, Round
from kshot.results.compare.cost import measure_costs
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate, evaluating
from kshot.results.score.features import encode_used
from kshot.results.score.result import Results


def compare(
    learners: Mapping[str, Learner],
    sets: Sequence[EpisodeSet],
    *,
    datasets: Mapping[str, Dataset] | None = None,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Score learners on the same episodes, and measure the cost of a task for each.

    Args:
        learners: At least two learners, by the names that the comparison will use.
        sets: One set for each number of shots; all else is the same.
        datasets: For learners that read the items in another way than `sets` do: the same items, read in their way.
        mode: How to predict; all learners must offer it.
        device: Device for the computation. The learners are moved there.
        progress: Called with the number of episodes scored since the last call. The total is learners times episodes of all sets.

    Raises:
        RecipeError: There are fewer than two learners, they learn tasks of different kinds, one does not offer the mode or cannot
            answer the episodes, or the sets differ in more than their shots.
        DataError: A data set in `datasets` does not hold the same items.
    """
    check_contest(learners, mode)
    sets = _in_order(sets)
    device = pick_device(device)
    own = {name: [_as_read(one, name, (datasets or {}).get(name)) for one in sets] for name in learners}
    costs = [measure_costs(learners, {name: own[name][place] for name in learners}, mode=mode, device=device) for place in range(len(sets))]
    results: dict[str, list[Results]] = {}
    for name, learner in learners.items():
        with evaluating(learner.to(device)), torch.no_grad():
            features = encode_used(learner, own[name], device)
            results[name] = [evaluate(learner, one, mode=mode, device=device, progress=progress, features=features) for one in own[name]]
    higher = next(iter(learners.values())).family.higher_is_better
    rounds = [Round({name: results[name][place] for name in learners}, costs[place], higher) for place in range(len(sets))]
    return Comparison(tuple(rounds), _machine(device))


def check_contest(learners: Mapping[str, Learner], mode: Mode) -> None:
    """Raise an error if the learners cannot be compared. Nothing is computed.

    Raises:
        RecipeError: There are fewer than two learners, they learn tasks of different kinds, or one does not offer the mode.
    """
    if len(learners) < 2:
        found = ", ".join(learners) or "none"
        raise RecipeError(f"a comparison needs at least two learners; found {found}. Name another, or score one with kshot evaluate.")
    (first, one), *others = learners.items()
    for name, learner in others:
        if learner.family.name != one.family.name:
            raise RecipeError(
                f"{first} learns {one.family.name} tasks, but {name} learns {learner.family.name} tasks; no score compares them. "
                "Compare learners of one kind."
            )
    for name, learner in learners.items():
        if mode not in learner.modes:
            offered = " and ".join(learner.modes)
            raise RecipeError(f"{name} offers {offered} prediction; {mode} was asked for. Ask for a mode that all offer, or leave it out.")


def _in_order(sets: Sequence[EpisodeSet]) -> list[EpisodeSet]:
    """Return the sets by shots, ascending."""
    if not sets:
        raise RecipeError("a comparison needs at least one set of episodes; found none. Give one.")
    first = sets[0]
    for one in sets[1:]:
        same = (one.dataset is first.dataset, one.index.names == first.index.names, len(one) == len(first), one.seed == first.seed)
        if not all(same) or replace(one.shape, shot=first.shape.shot) != first.shape:
            raise RecipeError("the sets of a comparison may differ only in their shots. Draw them from the same data and classes.")
    if len({one.shape.shot for one in sets}) != len(sets):
        raise RecipeError("each number of shots may occur once in a comparison; found one twice. Drop it.")
    return sorted(sets, key=lambda one: one.shape.shot_range)


def _as_read(episodes: EpisodeSet, name: str, dataset: Dataset | None) -> EpisodeSet:
    """Return the same episodes with the items of another data set, which reads them in its own way."""
    if dataset is None:
        return episodes
    if dataset.fingerprint != episodes.dataset.fingerprint or len(dataset) != len(episodes.dataset):
        raise DataError(f"the episodes are from {episodes.dataset.name}, the data for {name} is {dataset.name}. Give it the same items.")
    return replace(episodes, dataset=dataset)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"on {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"on {device.type} with {threads} thread{'' if threads == 1 else 's'}"
