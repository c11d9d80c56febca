"""Ridge regression as the head of a network (R2-D2).

Luca Bertinetto, João F. Henriques, Philip H. S. Torr, Andrea Vedaldi, "Meta-learning with differentiable closed-form solvers",
ICLR 2019, arXiv 1805.08136.

    Λ(Z) = argmin_W ‖X W - Y‖² + λ ‖W‖² = (XᵀX + λ I)⁻¹ XᵀY                      primal form
                                        = Xᵀ (X Xᵀ + λ I)⁻¹ Y                    Woodbury form
    Ŷ = α X' Λ(Z) + β

X holds the features of the support items, one row per item; Y holds their one-hot labels; X' holds the features of the queries. λ, α and β
are learnt with the network. X has a column of ones, as in the authors' code, so the head has an intercept, which is regularised like the
rest. The smaller of the two systems is solved. Departures from the paper: any backbone can be used instead of the authors' own; the
logarithm of α is learnt, like that of λ, so α stays positive. The authors' code divides X and Y by √S, which amounts to λ·S instead of λ;
we solve the equation as printed. Real targets (`Regression`) replace the one-hot rows unchanged.

The system is solved in float64 (float32 if the device has no float64), and the weights are returned in the precision of the features.
Degenerate support sets: with constant features, or features of 0, the system is regular, and the answer is the same for all queries. A
system that is singular in float64, which needs a λ of about 10⁻¹⁵ of the largest eigenvalue of X Xᵀ, or features that are not finite, are a
`DataError` in evaluation. In training, the loss of the task is NaN, which `meta_train` reports with the episode.

Limits: α and β are one number each, so β moves all logits equally and a softmax ignores it. A class without support items has logit -∞;
regression would answer 0 for it, as if it had been seen and excluded. Measured: docs/learners/ridge.md.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.linear import LinearHeads, with_ones
from kshot.learners.learner import Learner, backward_of_query_loss, way_of


class RidgeNet(Learner):
    """A network with a ridge regression head, as in the equations of this module.

    Args:
        backbone: φ: inputs (M, …) → features (M, D).
        regularisation: Initial λ, > 0.
        scale: Initial α, > 0. Use 1 for real targets. Classification learns faster with more, because a regression on 0 and 1 gives
            logits that are about 1 apart.
        family: The task family: classification, or regression for real targets.

    Raises:
        RecipeError: λ or α is not a positive number.

    Example:
        >>> import torch
        >>> from kshot.episodes.family import Regression
        >>> learner = RidgeNet(torch.nn.Identity(), regularisation=1e-9, family=Regression()).eval()
        >>> task = learner.adapt(torch.tensor([[[0.0], [1.0], [2.0]]]), torch.tensor([[[1.0], [3.0], [5.0]]]))
        >>> learner.predict(task, torch.tensor([[[10.0]]])).round().tolist()  # the line 2 x + 1
        [[[21.0]]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        regularisation: float = 1.0,
        scale: float = 1.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, value in (("regularisation", regularisation), ("scale", scale)):
            if not 0 < value < math.inf:
                raise RecipeError(f"the {name} of a ridge head must be a positive number; found {value}.")
        self.backbone = backbone
        self.log_regularisation = nn.Parameter(torch.tensor(regularisation).log())
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.bias = nn.Parameter(torch.zeros(()))
        self.family = family

    def encode(self, x: Inputs) -> Tensor:
        """Compute φ: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> LinearHeads:
        """Solve for Λ(Z): (B, S, D) and labels (B, S), or targets (B, S, T) → weights (B, D + 1, T).

        Raises:
            DataError: The system of a task is singular. Raised only outside training.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        if support_y.is_floating_point():
            Y = support_y
            known = torch.ones_like(Y[:, 0], dtype=torch.bool)
        else:
            Y = F.one_hot(support_y, way_of(support_y, way))  # (B, S, N)
            known = Y.any(1)
        weights = ridge_weights(with_ones(support_features), Y, self.log_regularisation.exp())
        if self.training:
            return LinearHeads(weights, known)
        solved = weights.isfinite().flatten(1).all(1)  # (B,)
        if not bool(solved.all()):
            raise self._unsolved(support_features, int(solved.int().argmin()))
        return LinearHeads(weights.detach(), known)

    def predict(self, adapted: LinearHeads, query_features: Inputs) -> Tensor:
        """Return α X' Λ(Z) + β: (B, Q, D) → (B, Q, T)."""
        check_queries(self, len(adapted.weights), query_features)
        assert isinstance(query_features, Tensor)
        with torch.autocast(query_features.device.type, enabled=False):
            X = with_ones(query_features)  # (B, Q, D + 1)
            answers = self.log_scale.exp() * (X @ adapted.weights) + self.bias
            return answers.masked_fill(~adapted.known.unsqueeze(1), -math.inf)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the queries' loss for B tasks."""
        return backward_of_query_loss(self, batch)

    def _unsolved(self, features: Tensor, task: int) -> DataError:
        S, D = features.shape[1:]
        regularisation, largest = float(self.log_regularisation.detach().exp()), float(features[task].detach().abs().max())
        return DataError(
            f"the ridge system of task {task} of the batch is singular: {S} support items, {D} features, "
            f"λ = {regularisation:.3g}, largest feature {largest:.3g}. "
            "Items with equal features need a larger λ: raise learner.regularisation, or scale the features down."
        )


def ridge_weights(X: Tensor, Y: Tensor, regularisation: Tensor) -> Tensor:
    """Compute Λ(Z) from the smaller system: the Woodbury form if S < D, else the primal form.

    Args:
        X: (B, S, D).
        Y: Targets (B, S, T).
        regularisation: λ > 0, a scalar.

    Returns:
        (B, D, T) in at least float32, also under autocast; NaN for a task whose system is singular.
    """
    with torch.autocast(X.device.type, enabled=False):
        narrow = torch.promote_types(X.dtype, torch.float32)
        wide = torch.float32 if X.device.type == "mps" else torch.float64
        solve = woodbury_form if X.shape[1] < X.shape[2] else primal_form
        return solve(X.to(wide), Y.to(wide), regularisation.to(wide)).to(narrow)


def primal_form(X: Tensor, Y: Tensor, regularisation: Tensor) -> Tensor:
    """Compute (XᵀX + λ I)⁻¹ XᵀY. Shapes are as in `ridge_weights`; all tensors have one type."""
    return _solve(X.mT @ X, X.mT @ Y, regularisation)


def woodbury_form(X: Tensor, Y: Tensor, regularisation: Tensor) -> Tensor:
    """Compute Xᵀ (X Xᵀ + λ I)⁻¹ Y. Shapes are as in `ridge_weights`; all tensors have one type."""
    return X.mT @ _solve(X @ X.mT, Y, regularisation)


def _solve(gram: Tensor, right: Tensor, regularisation: Tensor) -> Tensor:
    """Compute (gram + λ I)⁻¹ right by Cholesky; NaN for a task without a factor. It does not wait for the device."""
    system = gram + regularisation * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, info = torch.linalg.cholesky_ex(system)
    return torch.cholesky_solve(right, factor).masked_fill((info != 0)[:, None, None], math.nan)
