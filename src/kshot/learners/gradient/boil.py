"""Body only update in the inner loop: the head takes no gradient steps, the body does.

Jaehoon Oh, Hyungjun Yoo, ChangHwan Kim, Se-Young Yun, "BOIL: Towards Representation Change for Few-shot Learning", ICLR 2021,
arXiv 2008.08882, section 3.

    θ_i' = θ - α ∇_θ L_i(h ∘ f_θ)                   the body alone, n times
    (θ, h) ← (θ, h) - β ∇_(θ,h) Σ_i L_i(h ∘ f_θ_i')     through the inner steps

It is the mirror of ANIL (`kshot.learners.gradient.anil`): the head never changes for a task, so the features must. Departures,
normalisation and modes as in `kshot.learners.gradient.maml`; a frozen part of the body stays as it is. Measured: docs/learners/boil.md.
"""

from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.learners.gradient.given_rule import GivenRuleLearner
from kshot.learners.inner_loop.gradient_learner import MODES, outer_gradient
from kshot.learners.inner_loop.parameters import Adapt


class BOIL(GivenRuleLearner):
    """The two equations above; h is the linear head. Arguments and errors are those of `GivenRuleLearner`."""

    @property
    def adapting(self) -> Adapt:
        """What is trainable of the backbone."""
        return [name for name, value in self.network().named_parameters() if value.requires_grad and name.startswith("backbone.")]

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The second equation for the tasks of a batch, as in MAML (`kshot.learners.inner_loop.modes.unrolled`), with θ alone adapting.

        Returns the queries' losses (B,); the gradient of their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt={})
