"""Learners that need no training, by name and ready to use: the lower bound to which every other score is compared."""

from collections.abc import Callable

from torch import nn

from kshot.learners.learner import Learner
from kshot.learners.metric.hausdorff import ModifiedHausdorff
from kshot.learners.metric.nearest import NearestNeighbour

UNTRAINED: dict[str, Callable[[], Learner]] = {
    "nearest": lambda: NearestNeighbour(nn.Identity()),  # compares pixels
    "hausdorff": ModifiedHausdorff,  # only for drawings
}
