"""Baseline: train a classifier, freeze the network, fit a linear head.

Wei-Yu Chen, Yen-Cheng Liu, Zsolt Kira, Yu-Chiang Frank Wang, Jia-Bin Huang, "A Closer Look at Few-shot Classification", ICLR 2019,
arXiv 1904.04232.

    training:    θ, W_b = argmin  E -log softmax(W_bᵀ f_θ(x))_y           over all training classes, in plain batches
    adaptation:  W = argmin  1/S Σ_i -log softmax(Wᵀ f_θ(x_i))_{y_i} + λ/2 ‖W‖²      f_θ frozen, over the support set

Departures from the paper, all in adaptation:
- The authors run 100 passes of stochastic gradient descent over the support set in batches of 4 (rate 0.01, momentum and dampening 0.9,
  weight decay λ = 0.001) from a random start, and stop there. We solve the problem towards which these steps go, so a task has one answer
  (`kshot.learners.heads.softmax_regression`).
- λ is 0.01 because the solution is reached. Stopping short of it, as the authors do, also regularises.

W has a row for an intercept, which is regularised like the rest, as by the authors' weight decay. Limits: a class without support items has
logit -∞. Equal items, constant features and features of 0 are regular because λ > 0. Measured: docs/learners/baseline.md.
"""

import math

from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.linear import LinearHeads
from kshot.learners.heads.softmax_regression import answers_of, fit_softmax_regression
from kshot.learners.learner import Batch, Trainable, require_family, way_of
from kshot.learners.transfer.item_training import ItemLearner, ItemTraining, linear_head


class Baseline(ItemLearner):
    """The baseline: a trained network with a linear head per task, as in the equations of this module.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        regularisation: λ > 0.
        family: The task family; it must be classification.

    Raises:
        RecipeError: λ is not a positive number.

    Example:
        >>> import torch
        >>> learner = Baseline(torch.nn.Identity()).eval()
        >>> task = learner.adapt(torch.tensor([[[-1.0], [1.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict(task, torch.tensor([[[3.0]]])).argmax(-1).tolist()
        [[1]]
    """

    def __init__(self, backbone: nn.Module, regularisation: float = 0.01, family: TaskFamily = Classification()) -> None:  # noqa: B008
        super().__init__()
        if not 0 < regularisation < math.inf:
            raise RecipeError(f"the regularisation of a linear head must be a positive number; found {regularisation}.")
        self.backbone = backbone
        self.regularisation = regularisation
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> LinearHeads:
        """Fit W: (B, S, D) and (B, S) → (B, D + 1, N).

        Raises:
            DataError: A feature is not finite.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        return fit_softmax_regression(support_features.detach(), support_y, way_of(support_y, way), self.regularisation)

    def predict(self, adapted: LinearHeads, query_features: Inputs) -> Tensor:
        """Return Wᵀ f: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.weights), query_features)
        assert isinstance(query_features, Tensor)
        return answers_of(adapted, query_features)

    def for_training(self, example: Batch) -> Trainable:
        """Return the learner with W_b, a linear layer; see `Learner`."""
        return ItemTraining(self, linear_head(self, example))
