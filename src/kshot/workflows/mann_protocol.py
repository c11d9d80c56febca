"""The protocol of memory-augmented networks as a question to a saved learner: sequences of items, scored by presentation.

In: a `Saved` learner and a `Question` with `protocol="mann"`. Out: `Presentations`. Next: `kshot.running`.

Adam Santoro et al. 2016, section 4.1: five classes, each presented ten times in random order; each item comes with the label of the item
before it; labels are shuffled for every episode; the accuracy is that at the 1st, 2nd, … 10th presentation of a class.
"""

from collections.abc import Callable
from dataclasses import replace

from kshot.device import pick_device
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError
from kshot.learners.memory.sequence_learner import SequenceLearner
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.presentations import Presentations, score_presentations
from kshot.saved.folder import Saved

NAME = "mann"
PRESENTATIONS = 10


def sequence_shape(shape: EpisodeShape) -> EpisodeShape:
    """Return the shape with ten items per class. How they are divided into support and query changes nothing."""
    return replace(shape, shot=1, query=PRESENTATIONS - 1)


def sequence_learner(saved: Saved) -> SequenceLearner:
    """Return the learner if it can read sequences.

    Raises:
        RecipeError: It cannot.
    """
    if not isinstance(saved.learner, SequenceLearner):
        raise RecipeError(
            f"the protocol mann shows items one after another, each with the label of the item before it; {type(saved.learner).__name__} "
            "reads a whole support set at once. Ask a learner that reads sequences, such as omniglot-mann, or leave --protocol out."
        )
    return saved.learner


def answer_sequences(
    saved: Saved, episodes: EpisodeSet, device: str = "auto", progress: Callable[[int], None] | None = None
) -> Presentations:
    """Score a saved learner on the sequences of these episodes.

    Raises:
        RecipeError: The learner reads no sequences, or there are more classes than labels.
    """
    return score_presentations(sequence_learner(saved), episodes, device=pick_device(device), progress=progress)
