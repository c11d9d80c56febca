"""Lake's one-shot challenge as a question to a saved learner: whether it may be asked, the trials, and the meaning of its score.

In: a `Saved` learner. Out: the 20 runs as an `EpisodeSet`, and a sentence. Next: `kshot.workflows.question`.
"""

import numpy as np

from kshot.data.pictures.ink import SIDE, Ink
from kshot.data.pictures.lake_runs import lake_runs
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.listed import listed_episodes
from kshot.errors import DataError
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.result import Results
from kshot.saved.class_names import unfold
from kshot.saved.folder import Saved

NAME = "lake"
_PEOPLE, _BPL, _HAUSDORFF = 4.5, 3.3, 38.8


def lake_episodes(omniglot: Omniglot) -> EpisodeSet:
    """Return the 400 trials: 20 episodes, 20-way 1-shot with one query per class, support by one drawer and queries by another."""
    runs = lake_runs(omniglot)
    labels = np.tile(np.arange(20), (20, 1))
    drawn = listed_episodes(omniglot.index, runs.classes, runs.support, labels, runs.query, runs.answers)
    return EpisodeSet.given(omniglot, omniglot.index, NAME, drawn)


def ask_lake(saved: Saved) -> EpisodeSet:
    """Return the trials for a learner that may be asked. Learners without training (`nearest`, `hausdorff`) get them in full size.

    Raises:
        DataError: The learner does not read ink, or it was trained on alphabets of the evaluation set.
    """
    reads = Ink(SIDE) if saved.preprocess is None else saved.preprocess
    if not isinstance(reads, Ink):
        raise DataError(f"Lake's challenge is ink on paper; this learner reads {reads!r}. Train one on omniglot.")
    omniglot = Omniglot(size=reads.size, zoom=reads.zoom, rotations="none")
    seen = unfold(saved.record.get("classes_seen", {}))
    foreign = [name for name in seen if name.partition("/")[0] not in omniglot.background]
    if foreign:
        alphabets = sorted({name.partition("/")[0] for name in foreign})
        raise DataError(
            f"Lake's challenge allows training on the 30 background alphabets only; this learner has seen {len(foreign)} classes of "
            f"{len(alphabets)} others: {', '.join(foreign[:3])} … Train one with data.split=alphabets, or use omniglot-lake."
        )
    return lake_episodes(omniglot)


def in_words(results: Results) -> str:
    """Return the score as in Lake's papers: the number of wrong trials, compared with people and the models of the first paper."""
    trials = len(results.scores) * 20
    wrong = round(float((1 - results.scores).sum()) * 20)
    return (
        f"{wrong} of {trials} trials are wrong: an error of {100 * wrong / trials:.2f} %. For comparison: people {_PEOPLE} %, "
        f"Bayesian program learning {_BPL} %, modified Hausdorff distance {_HAUSDORFF} %."
    )
