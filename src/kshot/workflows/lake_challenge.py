"""Lake's one-shot challenge as a question to a saved learner: whether it may be asked, the trials, and the meaning of its score.

The 20 published runs show pictures of the drawers whom Lake et al. chose. `lake_random` asks the same of drawers chosen at random, as often
as one likes; it is harder.

In: a `Saved` learner. Out: the trials as an `EpisodeSet`; of the score, the counts and a sentence. Next: `kshot.workflows.question`.
"""

from typing import Any

import numpy as np

from kshot.data.pictures.ink import SIDE, Ink
from kshot.data.pictures.lake_runs import lake_runs
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.listed import listed_episodes
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError
from kshot.results.score.counts import clopper_pearson, fisher_exact
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.result import Results
from kshot.saved.class_names import unfold
from kshot.saved.folder import Saved

NAME, RANDOM = "lake", "lake_random"
_PEOPLE, _BPL, _HAUSDORFF = 4.5, 3.3, 38.8
"""Errors in per cent: Lake et al. 2015, page 1335."""
_RCN, _ARC = 7.3, 1.5
"""As commonly quoted; ARC learnt from 40 alphabets and was tested on the other 10."""
_TRIALS = 400


def lake_episodes(omniglot: Omniglot) -> EpisodeSet:
    """Return the 400 trials: 20 episodes, 20-way 1-shot with one query per class, support by one drawer and queries by another."""
    runs = lake_runs(omniglot)
    labels = np.tile(np.arange(20), (20, 1))
    drawn = listed_episodes(omniglot.index, runs.classes, runs.support, labels, runs.query, runs.answers)
    return EpisodeSet.given(omniglot, omniglot.index, NAME, drawn)


def random_lake_episodes(omniglot: Omniglot, episodes: int, seed: int) -> EpisodeSet:
    """Return trials of random drawers: 20 characters of one of the ten alphabets of Lake's runs, support by one drawer, queries by another.

    Args:
        omniglot: The data, with or without turned classes; the trials use unturned drawings.
        episodes: Number of episodes, each with 20 trials.
        seed: Seed of the episode stream.
    """
    runs = lake_runs(omniglot)
    alphabets = {names[0].partition("/")[0] for names in runs.classes}
    turn = "/rot000" if omniglot.rotations == "classes" else ""
    index = omniglot.index.subset([name for name in omniglot.index.names if name.partition("/")[0] in alphabets and name.endswith(turn)])
    shape = EpisodeShape(20, 1, 1, within_groups=True, same_positions=True)  # the n-th drawing of every character is by drawer n
    return EpisodeSet.draw(omniglot, index, RANDOM, shape, episodes=episodes, seed=seed)


def omniglot_for(saved: Saved) -> Omniglot:
    """Open Omniglot for a learner that may be asked. Learners without training (`nearest`, `hausdorff`) get it in full size.

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
    return omniglot


def error_counts(results: Results) -> dict[str, Any]:
    """Return the errors as plain values, for JSON.

    Returns:
        `wrong` and `trials`; `error`, a fraction, with `error_interval`, both ends of its exact 95 % interval (Clopper and Pearson); and
        `p_people` and `p_bpl`, the p-values of Fisher's exact test against people and Bayesian program learning, each taken as a rate of
        400 trials.
    """
    trials = len(results.scores) * 20
    wrong = round(float((1 - results.scores).sum()) * 20)
    return {
        "wrong": wrong,
        "trials": trials,
        "error": wrong / trials,
        "error_interval": list(clopper_pearson(wrong, trials)),
        "p_people": fisher_exact(wrong, trials, round(_PEOPLE / 100 * _TRIALS), _TRIALS),
        "p_bpl": fisher_exact(wrong, trials, round(_BPL / 100 * _TRIALS), _TRIALS),
    }


def random_in_words(results: Results) -> str:
    """Return the score of `lake_random` as an error, beside what people make of the published runs."""
    spread = "" if results.class_spread is None else f", ± {100 * results.class_spread.interval:.2f} with other alphabets"
    return (
        f"{100 * (1 - results.mean):.2f} ± {100 * results.interval:.2f} % of {20 * len(results.scores):,} trials are wrong{spread}. "
        f"Drawers are chosen at random here; people make {_PEOPLE} % of errors on the 400 published trials (--protocol lake)."
    )


def in_words(results: Results) -> str:
    """Return the score as in Lake's papers: the number of wrong trials with its exact interval, compared with people and other models."""
    counts = error_counts(results)
    low, high = counts["error_interval"]
    against = " and ".join(
        f"{_against(counts['error'], published / 100, counts[p])} {who} (p = {counts[p]:.2g})"
        for who, published, p in (("people", _PEOPLE, "p_people"), ("Bayesian program learning", _BPL, "p_bpl"))
    )
    return (
        f"{counts['wrong']} of {counts['trials']} trials are wrong: an error of {100 * counts['error']:.2f} % "
        f"(exact 95 % interval {100 * low:.1f} to {100 * high:.1f} %). For comparison: people {_PEOPLE} %, Bayesian program learning "
        f"{_BPL} %, modified Hausdorff distance {_HAUSDORFF} % (Lake et al. 2015); recursive cortical network {_RCN} % and, on another "
        f"division of the alphabets, attentive recurrent comparators {_ARC} % (both as commonly quoted). By Fisher's exact test, at 5 %, "
        f"this error is {against}."
    )


def _against(error: float, published: float, p: float) -> str:
    if p >= 0.05:
        return "not different from that of"
    return "smaller than that of" if error < published else "larger than that of"
