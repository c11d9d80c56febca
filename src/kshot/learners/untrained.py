"""Learners that need no training, ready to use, by name: the floor under every other number."""

from collections.abc import Callable

from torch import nn

from kshot.learners.learner import Learner
from kshot.learners.metric.hausdorff import ModifiedHausdorff
from kshot.learners.metric.nearest import NearestNeighbour

UNTRAINED: dict[str, Callable[[], Learner]] = {
    "nearest": lambda: NearestNeighbour(nn.Identity()),  # of the pixels
    "hausdorff": ModifiedHausdorff,  # drawings only
}
