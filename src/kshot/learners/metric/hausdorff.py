"""The modified Hausdorff distance between drawings: the baseline of Lake's challenge that needs no training.

M.-P. Dubuisson, A. K. Jain, "A modified Hausdorff distance for object matching", ICPR 1994, doi 10.1109/ICPR.1994.576361. A and B are the
ink pixels of two drawings, each moved so that its mean is the origin:

    h(A, B) = mean over a ∈ A of min over b ∈ B of ‖a - b‖
    d(A, B) = max(h(A, B), h(B, A))

A drawing belongs to the class of the support drawing with the smallest d. Lake et al. publish this baseline with their runs: 38.8 % of 400
trials are wrong. Departures: none.

There is nothing to train. A drawing without ink has an infinite distance from all others. Measured: docs/learners/hausdorff.md.
"""

import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.heads.item_scores import Examples, class_maxima, one_hot
from kshot.learners.learner import Learner, require_family, way_of


class ModifiedHausdorff(Learner):
    """A learner that chooses the nearest support drawing by modified Hausdorff distance.

    Args:
        family: The task family; it must be classification.

    Example:
        >>> import torch
        >>> learner = ModifiedHausdorff().eval()
        >>> line, dot = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
        >>> line[0, 1, :3], dot[0, 2, 2] = 1, 1
        >>> task = learner.adapt(torch.stack([line, dot])[None], torch.tensor([[0, 1]]))
        >>> learner.predict(task, line.roll(1, 1)[None, None]).tolist()  # the line, lower; a dot is 2/3 off on average
        [[[-0.0, -0.6666666865348816]]]
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "none"

    def __init__(self, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Inputs:
        """Return drawings (M, 1, H, W) unchanged. Pixels above 0.5 are ink.

        Raises:
            DataError: The items are not pictures with one channel.
        """
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != 1:
            found = tuple(x.shape) if isinstance(x, Tensor) else f"a mapping of {', '.join(x)}"
            raise DataError(f"the Hausdorff distance compares drawings (M, 1, H, W); found {found}. Give ink on paper.")
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: drawings (B, S, 1, H, W) and (B, S) → drawings and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = support_features.detach()
        return Examples(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Return minus the distance to the nearest drawing of each class: (B, Q, 1, H, W) → (B, Q, N)."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        tasks = []
        for queries, support in zip(map(_inks, query_features), map(_inks, adapted.features), strict=True):
            rows = [[max(_mean_distance(one, other), _mean_distance(other, one)) for other in support] for one in queries]
            tasks.append(query_features.new_tensor(rows))
        return class_maxima(-torch.stack(tasks), adapted.labels)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Always raises: nothing is trained.

        Raises:
            RecipeError: Always.
        """
        raise RecipeError("the Hausdorff distance learns nothing in training. Evaluate it without training.")


class _Ink(NamedTuple):
    """The ink of a drawing of H rows and W columns.

    Attributes:
        points: Row and column of each ink pixel, float64 (n, 2).
        mean: Mean of the points, (2,).
        left: For each row and column, the nearest ink column at or before it, or -inf if there is none, (H, W).
        right: For each row and column, the nearest ink column at or after it, or inf if there is none, (H, W).
    """

    points: np.ndarray
    mean: np.ndarray
    left: np.ndarray
    right: np.ndarray


def _inks(drawings: Tensor) -> list[_Ink]:
    inks = []
    for drawing in drawings[:, 0].gt(0.5).cpu().numpy():
        columns = np.arange(drawing.shape[1], dtype=np.float64)
        left = np.maximum.accumulate(np.where(drawing, columns, -np.inf), axis=1)
        right = np.minimum.accumulate(np.where(drawing, columns, np.inf)[:, ::-1], axis=1)[:, ::-1]
        points = np.argwhere(drawing).astype(np.float64)
        inks.append(_Ink(points, points.mean(0) if len(points) else np.zeros(2), left, right))
    return inks


def _mean_distance(one: _Ink, other: _Ink) -> float:
    """Compute h(A, B) exactly: for each point of A, find the nearest pixel in each row of B, then the nearest row.

    Each drawing has about a thousand ink pixels. A row has two candidates, so this is ten times as fast as comparing all pairs of pixels.
    """
    if not len(one.points) or not len(other.points):
        return math.inf
    row, column = (one.points - one.mean + other.mean).T  # the points of A in the coordinates of B
    last = other.left.shape[1] - 1
    before, after = np.floor(column).astype(np.int64), np.ceil(column).astype(np.int64)
    left = np.where(before >= 0, other.left[:, before.clip(0, last)], -np.inf)  # (H, n)
    right = np.where(after <= last, other.right[:, after.clip(0, last)], np.inf)
    across = np.minimum(column - left, right - column)
    down = np.arange(len(other.left))[:, None] - row
    return float(np.sqrt((across * across + down * down).min(0)).mean())
