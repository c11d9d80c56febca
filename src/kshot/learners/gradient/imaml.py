"""Implicit MAML: what a task is adapted to stays near the start, and the outer gradient follows from where it ends alone.

Aravind Rajeswaran, Chelsea Finn, Sham Kakade, Sergey Levine, "Meta-Learning with Implicit Gradients", NeurIPS 2019, arXiv 1909.04630.

    φ*(θ) = argmin_φ  L_support(φ) + λ/2 ‖φ - θ‖²                              proximal inner problem              (equation 3)
    dL_query/dθ = (I + 1/λ ∇² L_support(φ*))⁻¹ ∇ L_query(φ*)                    whatever path led to φ*             (lemma 1)

φ* is where `steps` steps of gradient descent from θ arrive. The system is solved by `iterations` of conjugate gradient, a Hessian-vector
product each (algorithm 2); the numbers are those of `kshot.learners.inner_loop.modes.implicit`. Memory does not grow with the steps.

The gradient is as exact as the inner problem is solved: with few steps, or few iterations, it is an approximation, and the paper bounds
its error. Where λ is smaller than the largest negative curvature of the support loss, the system is not positive definite: the iterations
then end at the first direction of downward curvature. A larger λ helps, and so does a damping, added to the curvature.

Batch normalisation uses the statistics of the items at hand: see `kshot.learners.gradient.adapted_network`. Departures from the paper: none
of the equations; its Hessian-free variant, which solves the inner problem by a second-order method, is not here. Measured:
docs/learners/imaml.md.
"""

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError
from kshot.learners.gradient.adapted_network import STATISTICS, Adapted, answer_alone, answer_together, stacked, trainable
from kshot.learners.gradient.gradient_learner import a_seed
from kshot.learners.inner_loop.batch_checks import require_fit
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.meta_gradient import InnerLoop, meta_gradient
from kshot.learners.inner_loop.modes.implicit import implicit, proximal
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import copied, divide_parameters
from kshot.learners.inner_loop.problem import Problem, walk
from kshot.learners.inner_loop.steps import Rates, require_descent
from kshot.learners.inner_loop.task_loss import one_task, task_loss
from kshot.learners.learner import Learner
from kshot.learners.settings import require_count, require_no_less_than_zero, require_positive


class IMAML(Learner):
    """The two lines above.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        outputs: N, the way of all tasks; or T, for real targets.
        regularisation: λ > 0.
        inner_lr: Of the inner gradient descent, > 0. Steps on a loss of curvature c shrink what is left by |1 - inner_lr (c + λ)|.
        steps: Of the inner gradient descent, ≥ 1.
        iterations: Of conjugate gradient, ≥ 1.
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
        steps: int = 16,
        iterations: int = 5,
        damping: float = 0.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        counts = {"features": features, "outputs": outputs, "steps": steps, "iterations": iterations}
        sizes = {"regularisation": regularisation, "inner_lr": inner_lr}
        for name, count in counts.items():
            require_count(f"{name} of implicit MAML", count, 1)
        for name, size in sizes.items():
            require_positive(f"the {name} of implicit MAML", size)
        require_no_less_than_zero("the damping of implicit MAML", damping, "none")
        self.arguments = {**counts, **sizes, "damping": damping}
        self.outputs, self.regularisation, self.iterations, self.damping = outputs, regularisation, iterations, damping
        self.steps, self.rates = steps, Rates(inner_lr, cure="Lower inner_lr, take fewer steps, or raise regularisation.")
        self.backbone = backbone
        self.head = nn.Linear(features, outputs)
        self.family = family

    def encode(self, x: Inputs) -> Inputs:
        """X itself: what the network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Adapted:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ*.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps lead to no finite numbers.
        """
        require_fit(self.outputs, "support", support_features, support_y, way)
        network, buffers = Network(self._whole(), "batch"), buffers_of(self._whole())
        tasks, losses, start = [], [], copied(trainable(self._whole()))
        with differentiable_twice(), torch.autocast(support_y.device.type, enabled=False):
            for b in range(len(support_y)):
                support = task_loss(network, self.family, (one_task(support_features, b), support_y[b]), buffers)
                problem = proximal(Problem(start, {}, self.rates, self.steps, support, support), self.regularisation)
                reached, trail = walk(problem)
                with torch.no_grad():
                    last = problem.support(reached, self.steps)[0]
                tasks.append(reached)
                losses.append(torch.cat([trail.path(problem), last.unsqueeze(0)]))
        require_descent(torch.stack(losses), [f"task {b} of the batch" for b in range(len(tasks))], self.rates, DataError)
        return stacked(tasks, support_features, self.steps, f"inner_lr ({self.rates.rate})")

    def predict(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
        return answer_alone(self._whole(), adapted, query_features)

    def predict_together(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), with the statistics of all queries of a task."""
        return answer_together(self._whole(), adapted, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The implicit gradient of the queries' loss, mean over B tasks.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            TrainingError: The inner steps of a task diverge.
        """
        require_fit(self.outputs, "support", batch.support_x, batch.support_y, batch.way)
        module = self._whole()
        parameters = divide_parameters(module)
        mode = implicit(self.regularisation, self.iterations, self.damping)
        result = meta_gradient(module, parameters, self.family, batch, InnerLoop(self.steps, self.rates, mode), seed=a_seed())
        for name, value in parameters.adapting.items():
            gradient = result.start[name]
            value.grad = gradient if value.grad is None else value.grad + gradient
        return result.loss

    def _whole(self) -> nn.Module:
        return nn.Sequential(self.backbone, self.head)
