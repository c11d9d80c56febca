"""Lake's one-shot classification challenge: 20 fixed runs within alphabets that no learner may have seen.

Brenden Lake, Ruslan Salakhutdinov, Joshua Tenenbaum, "Human-level concept learning through probabilistic program induction",
Science 350 (2015). A run shows one drawing of each of 20 characters of one alphabet, all by one drawer, and asks about one
drawing of each by another drawer: 400 trials, with an accuracy of 5 % by chance. Learning may use the 30 background alphabets only.

The 800 pictures are drawings of Omniglot; `embedded/lake_runs.json` lists them (`scripts/build_lake_runs.py` found them by their
pixels). In: a data set of Omniglot. Out: item numbers. Next: `kshot.episodes.listed`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kshot.data.pictures.omniglot import Omniglot

LAKE_RUNS = Path(__file__).parents[1] / "embedded" / "lake_runs.json"


@dataclass(frozen=True, eq=False)
class LakeRuns:
    """The 20 runs as item numbers of a data set.

    Attributes:
        classes: The character of each training picture, (20 runs, 20), as names of the data set's classes.
        support: The drawing in each training picture, int64 (20, 20).
        query: The drawings asked about, int64 (20, 20).
        answers: The training picture with the same character, int64 (20, 20).
    """

    classes: tuple[tuple[str, ...], ...]
    support: np.ndarray
    query: np.ndarray
    answers: np.ndarray


def lake_runs(omniglot: Omniglot) -> LakeRuns:
    """List the 20 runs in the order in which they were published.

    Args:
        omniglot: The data, with or without turned classes; the runs use unturned drawings.

    Example:
        >>> runs = lake_runs(Omniglot())
        >>> runs.support.shape, runs.classes[0][0].partition("/")[0]
        ((20, 20), 'Atlantean')
    """
    turn = "/rot000" if omniglot.rotations == "classes" else ""
    runs = json.loads(LAKE_RUNS.read_text(encoding="utf-8"))

    def numbers(part: str) -> np.ndarray:
        rows = [[omniglot.index.items_of(name + turn)[drawer - 1] for name, drawer in run[part]] for run in runs]
        return np.array(rows, dtype=np.int64)

    return LakeRuns(
        classes=tuple(tuple(name + turn for name, _ in run["training"]) for run in runs),
        support=numbers("training"),
        query=numbers("test"),
        answers=np.array([run["answers"] for run in runs], dtype=np.int64),
    )
