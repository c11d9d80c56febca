"""Model-agnostic meta-learning: an initialisation from which a few gradient steps solve a new task.

Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017,
arXiv 1703.03400.

    θ_i' = θ - α ∇_θ L_i(f_θ)                       inner update on the support set of task i; n of them           (algorithm 1, line 6)
    θ ← θ - β ∇_θ Σ_i L_i(f_θ_i')                   outer update on its queries, through the inner ones            (algorithm 1, line 8)

The gradient of line 8 is exact: it holds the second derivatives of the support loss. Line 8's optimiser is the run's (Adam in the paper).
Departures from the paper: the mean over tasks in place of the sum; any backbone (the authors' Omniglot network has strides where Conv4
pools). As in the authors' code, batch normalisation uses the statistics of the items at hand, in training and at test, so the paper's
numbers are transductive (`predict_together`); `predict` is inductive. See `kshot.learners.inner_loop.gradient_learner`.

Measured: docs/learners/maml.md.
"""

from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.learners.gradient.given_rule import GivenRuleLearner
from kshot.learners.inner_loop.gradient_learner import MODES, outer_gradient
from kshot.learners.inner_loop.parameters import Adapt


class MAML(GivenRuleLearner):
    """The two equations above; θ is all of the network. Arguments and errors are those of `GivenRuleLearner`."""

    @property
    def adapting(self) -> Adapt:
        """All of the network."""
        return None

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Lines 5 to 8 of algorithm 1 for the tasks of a batch.

        They stand, with their numbers, in `kshot.learners.inner_loop.modes.unrolled`. Returns the queries' losses (B,); the gradient of
        their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt={})
