"""Implicit MAML: what a task is adapted to stays near the start, and the outer gradient follows from where it ends alone.

Aravind Rajeswaran, Chelsea Finn, Sham Kakade, Sergey Levine, "Meta-Learning with Implicit Gradients", NeurIPS 2019, arXiv 1909.04630.

    φ*(θ) = argmin_φ  L_support(φ) + λ/2 ‖φ - θ‖²                              proximal inner problem              (equation 3)
    dL_query/dθ = (I + 1/λ ∇² L_support(φ*))⁻¹ ∇ L_query(φ*)                    whatever path led to φ*             (lemma 1)

φ* is where `steps` steps of gradient descent from θ arrive. The system is solved by `iterations` of conjugate gradient, a Hessian-vector
product each (algorithm 2); the numbers are those of `kshot.learners.inner_loop.modes.implicit`. Memory does not grow with the steps.

The gradient is as exact as the inner problem is solved: with few steps, or few iterations, it is an approximation, and the paper bounds
its error. Where λ is smaller than the largest negative curvature of the support loss, the system is not positive definite: the iterations
then end at the first direction of downward curvature. A larger λ helps, and so does a damping, added to the curvature.

Batch normalisation uses the statistics of the items at hand: see `kshot.learners.inner_loop.adapted_network`. Departures from the paper:
none of the equations; its Hessian-free variant, which solves the inner problem by a second-order method, is not here. Measured:
docs/learners/imaml.md.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.asked import check_queries, check_support
from kshot.learners.inner_loop.adaptation import adapt
from kshot.learners.inner_loop.adapted_network import (
    STATISTICS,
    BackboneAndHead,
    WithSupport,
    answer_together,
    answer_with_support,
    count_tasks,
    head_of,
)
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.batch_checks import require_head
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.gradient_learner import a_seed, leave, support_only
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.implicit import implicit, proximal
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.learner import Learner
from kshot.learners.settings import MOST_STEPS, require_count, require_no_less_than_zero, require_positive


class IMAML(Learner):
    """The two lines above.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        outputs: N, the way of all tasks; or T, for real targets.
        regularisation: λ > 0.
        inner_lr: Inner rate, > 0. Steps of gradient descent on a loss of curvature c shrink what is left by |1 - inner_lr (c + λ)|.
        inner_optimizer: The inner update rule: `sgd` as in the paper, `momentum`, `rmsprop` or `adam`; or a table with its settings.
        layer_lr: The inner rate of some layers, by patterns of parameter names, such as `{"head.*": 0.1}`.
        steps: Inner steps, ≥ 1.
        iterations: Iterations of conjugate gradient, ≥ 1.
        damping: δ ≥ 0, added to the curvature ∇² L_support in the outer gradient alone; 0 is the paper's gradient.
        family: The kind of task.

    Raises:
        RecipeError: A number is out of its range.
    """

    modes = ("inductive", "transductive")
    statistics = STATISTICS

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        outputs: int = 5,
        *,
        regularisation: float = 2.0,
        inner_lr: float = 0.1,
        inner_optimizer: InnerOptimizer = "sgd",
        layer_lr: Mapping[str, float] | None = None,
        steps: int = 16,
        iterations: int = 5,
        damping: float = 0.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        counts = {"features": features, "outputs": outputs, "steps": steps, "iterations": iterations}
        sizes = {"regularisation": regularisation, "inner_lr": inner_lr}
        for name, count in counts.items():
            require_count(f"{name} of implicit MAML", count, 1, MOST_STEPS)
        for name, size in sizes.items():
            require_positive(f"the {name} of implicit MAML", size)
        require_no_less_than_zero("the damping of implicit MAML", damping, "none")
        self.outputs, self.steps, self.regularisation = outputs, steps, regularisation
        self.iterations, self.damping = iterations, damping
        self.backbone, self.head = backbone, head_of(features, outputs)
        by_name = rates_by_pattern(layer_lr, divide_parameters(self.network()).adapting)
        cure = "Lower inner_lr, take fewer steps, or raise regularisation."
        self.rule = Descent(inner_lr, direction_named(inner_optimizer), by_name, cure=cure)
        self.family = family

    def encode(self, x: Inputs) -> Inputs:
        """Returns x unchanged: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> WithSupport:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ*.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps lead to no finite numbers.
        """
        check_support(self, support_features, support_y, way)
        require_head(self.outputs, support_y, way)
        module = self.network()
        tasks = support_only(support_features, support_y, buffers_of(module))
        assignment = Assignment(module, divide_parameters(module), self.family, tasks, InnerLoop(self.steps, self.rule))
        found = adapt(assignment, change=lambda problem: proximal(problem, self.regularisation))
        return WithSupport(found.parameters, support_features)

    def predict(self, adapted: WithSupport, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_with_support(self.network(), adapted, query_features)

    def predict_together(self, adapted: WithSupport, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), with the statistics of all queries of a task."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_together(self.network(), adapted.parameters, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The implicit gradient of the queries' loss, mean over B tasks.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            TrainingError: The inner steps of a task diverge.
        """
        module = self.network()
        parts = divide_parameters(module)
        loop = InnerLoop(self.steps, self.rule, implicit(self.regularisation, self.iterations, self.damping))
        found = meta_gradient(module, parts, self.family, batch, loop, outputs=self.outputs, seed=a_seed())
        leave((parts.adapting,), (found.start,))
        return found.loss

    def network(self) -> BackboneAndHead:
        """Backbone and head as one module, whose parameters are named as the learner's own."""
        return BackboneAndHead(self.backbone, self.head)
