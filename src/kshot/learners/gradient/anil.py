"""Almost no inner loop: only the head takes gradient steps.

Aniruddh Raghu, Maithra Raghu, Samy Bengio, Oriol Vinyals, "Rapid learning or feature reuse? Towards understanding the effectiveness of
MAML", ICLR 2020, arXiv 1909.09157, section 4.

    h_i' = h - α ∇_h L_i(h ∘ f_θ)                   the head alone, n times
    (θ, h) ← (θ, h) - β ∇_(θ,h) Σ_i L_i(h_i' ∘ f_θ)     through the inner steps

The outer gradient reaches the backbone twice: through the features of the queries, and through those of the support set, by which the
head was adapted. Departures, normalisation and modes as in `kshot.learners.gradient.maml`. The features are computed again in every inner
step. Measured: docs/learners/anil.md.
"""

from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.learners.gradient.given_rule import GivenRuleLearner
from kshot.learners.inner_loop.gradient_learner import MODES, outer_gradient
from kshot.learners.inner_loop.parameters import Adapt


class ANIL(GivenRuleLearner):
    """The two equations above; h is the linear head. Arguments and errors are those of `GivenRuleLearner`."""

    @property
    def adapting(self) -> Adapt:
        """The head."""
        return "head"

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The second equation for the tasks of a batch, as in MAML (`kshot.learners.inner_loop.modes.unrolled`), with h alone adapting.

        Returns the queries' losses (B,); the gradient of their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt={})
