"""MAML++: MAML with learnt inner rates, a loss after every inner step, and normalisation of its own for each step.

Antreas Antoniou, Harrison Edwards, Amos Storkey, "How to train your MAML", ICLR 2019, arXiv 1810.09502.

    φ_{t+1} = φ_t - α_t ∘ ∇ L_support(φ_t; γ_t, β_t)          α_t: one number for each tensor and step            (LSLR)
    loss = Σ_t v_t(p) L_query(φ_{t+1}; γ_t, β_t)              p: how far training has come                        (MSL, equation 4)

γ_t and β_t are the scale and shift of batch normalisation: learnt for each step, the same for all tasks, not adapted (BNWB). Its running
statistics are kept for each step (BNRS). All of α, γ, β and φ_0 follow the outer gradient. With n steps and m = `multi_step_until`:

    p < m:  v_t = max(1 - p/m, 0.03) / n for t < n - 1, and the last takes what is left of 1     (alike at first, then the last most)
    p ≥ m:  v_{n-1} = 1, and no other query loss is computed

While p < `second_order_from` the slopes are constants (first order, DA); after that the gradient goes through them. The outer rate falls
as a cosine (CA): `schedule = "cosine"` of the recipe.

As in the authors' code, the last query loss is that of step n - 1, so there are n sets of γ and β; α is one for each tensor, where the
paper says layer; and batch normalisation takes the statistics of the items at hand, in inner steps and transductive answers
(`predict_together`). The running ones, which that code keeps and does not use, follow the items of the step, for the last step those of
the queries; inductive answers (`predict`) use those of the last step. Departures: p is continuous, where the code counts epochs of 500
updates. Steps outside training are as many as in it. Measured: docs/learners/maml-plus-plus.md.
"""

from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.inner_loop.adaptation import adapt
from kshot.learners.inner_loop.adapted_network import BackboneAndHead, FastWeights, answer_together, answers_of, count_tasks, head_of
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.batch_checks import check_rectangle, require_head
from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named
from kshot.learners.inner_loop.gradient_learner import a_seed, by_name, leave, support_only
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.outer_gradient import Kept, OuterGradient, keeping
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Parameters, Tensors, divide_parameters
from kshot.learners.inner_loop.problem import Loss, Problem, TaskGradient, detached, support_slope
from kshot.learners.learner import Learner
from kshot.learners.settings import MOST_STEPS, require_count, require_part, require_positive

LEAST = 0.03
"""The part of its first weight that each of the earlier losses keeps until m."""


class MAMLPlusPlus(Learner):
    """The equations above.

    Args:
        backbone: Inputs (M, …) → features (M, D). Its own scales and shifts of batch normalisation are where those of every step start;
            they do not change themselves. Where they are frozen, so are those of every step, and their running statistics.
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task; or T, the number of real targets.
        inner_lr: α at the start, > 0.
        inner_optimizer: What α scales: the gradient (`sgd`) as in the paper, or the direction of `momentum`, `rmsprop` or `adam`.
        inner_steps: n ≥ 1.
        multi_step_until: m, the part of training in which earlier losses count, 0 to 1.
        second_order_from: The part of training that takes first-order gradients, 0 to 1; 0: none does.
        clip: Inner gradients of a larger norm are scaled down to it; 0 clips nothing.
        family: The kind of task.

    Raises:
        RecipeError: A setting makes no sense, or a normalisation keeps no running statistics.
    """

    modes = ("inductive", "transductive")
    statistics = MappingProxyType({"inductive": "running, of the last step", "transductive": "all queries"})

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        outputs: int = 5,
        inner_lr: float = 0.1,
        inner_optimizer: InnerOptimizer = "sgd",
        inner_steps: int = 5,
        multi_step_until: float = 0.1,
        second_order_from: float = 0.5,
        clip: float = 0.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        require_positive("inner_lr", inner_lr)
        require_count("inner_steps of MAML++", inner_steps, 1, MOST_STEPS)
        require_part("multi_step_until", multi_step_until)
        require_part("second_order_from", second_order_from)
        self.backbone, self.head = backbone, head_of(features, outputs)
        self.outputs, self.steps, self.family = outputs, inner_steps, family
        self.descent = Descent(direction=direction_named(inner_optimizer), per_step=True, clip=clip)
        self.multi_step_until, self.second_order_from = multi_step_until, second_order_from
        norms = norm_parameters(self.network())
        self.norms = nn.ParameterList(value.detach().expand(inner_steps, -1).clone() for value in norms.values())
        adapting = self._adapting()
        self._rated = tuple(adapting)
        self.rates = nn.ParameterList(torch.full((inner_steps,), inner_lr, dtype=value.dtype) for value in adapting.values())
        for number, value in enumerate(dict(self.network().named_buffers()).values()):
            self.register_buffer(f"running_{number}", value.expand(inner_steps, *value.shape).clone())

    def network(self) -> BackboneAndHead:
        """Backbone and head as one module, whose parameters are named as the learner's own."""
        return BackboneAndHead(self.backbone, self.head)

    def encode(self, x: Inputs) -> Inputs:
        """Returns x unchanged: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FastWeights:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ_n, with γ, β and the running statistics of the last step.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps diverged.
        """
        check_support(self, support_features, support_y, way)
        require_head(self.outputs, support_y, way)
        norms, running = detached(self._norms()), self._running()
        tasks = support_only(support_features, support_y, running)
        loop = InnerLoop(self.steps, self._rule(), per_step=True)
        assignment = Assignment(self.network(), Parameters(self._adapting(), norms), self.family, tasks, loop)
        found = adapt(assignment, change=lambda problem: replace(problem, support=of_own_step(problem.support, norms)))
        B = len(support_y)
        last, kept = ({name: value[-1].expand(B, *value.shape[1:]).clone() for name, value in part.items()} for part in (norms, running))
        return FastWeights({**found.parameters, **last}, kept)

    def predict(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n and the running statistics of the last step: items (B, Q, …) → (B, Q, N)."""
        check_queries(self, count_tasks(adapted), query_features)
        return answers_of(Network(self.network(), "running"), adapted.parameters, adapted.statistics, query_features)

    def predict_together(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n and the statistics of all queries of a task: items (B, Q, …) → (B, Q, N)."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_together(self.network(), adapted.parameters, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The gradient of the weighted loss, mean over B tasks; returns the weighted losses.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        check_rectangle(batch, self.outputs)
        norms, adapting, learnt = self._norms(), self._adapting(), self._learnt()
        second_order_comes_later = 0 < self.second_order_from < 1
        if progress == 0 and second_order_comes_later:  # a network without second derivatives is detected before training, not halfway
            self._gradient(_first_task(batch), loss_weights(self.steps, 1.0, 1.0), second_order=True)
        weights = loss_weights(self.steps, progress, self.multi_step_until)
        found = self._gradient(batch, weights, second_order=progress >= self.second_order_from)
        own = norm_parameters(self.network())
        learning = {name: value for name, value in norms.items() if own[name].requires_grad}
        leave((adapting, learning, learnt), (found.start, found.shared, found.learnt))
        with torch.no_grad():
            for name, buffer in self._running().items():
                buffer.copy_(found.buffers[name])
        return found.loss

    def _gradient(self, batch: EpisodeBatch, weights: list[float], *, second_order: bool) -> TaskGradient:
        """The gradient of the loss with these weights, mean over the tasks."""
        norms = self._norms()
        mode = multi_step(weights, detached(norms), second_order=second_order)
        first = Parameters(self._adapting(), {name: value[0] for name, value in norms.items()})  # of a form that the network takes as it is
        loop = InnerLoop(self.steps, self._rule(), mode, per_step=True)
        return meta_gradient(self.network(), first, self.family, batch, loop, buffers=self._running(), seed=a_seed())

    def _adapting(self) -> Tensors:
        """φ_0: all trainable parameters but those of batch normalisation, which has its own for each step."""
        network = self.network()
        norms = norm_parameters(network)
        return {name: value for name, value in divide_parameters(network).adapting.items() if name not in norms}

    def _learnt(self) -> dict[str, nn.Parameter]:
        """α by the parameter's name."""
        return by_name(self._rated, self.rates, self._adapting())

    def _norms(self) -> Tensors:
        """γ and β of all steps (n, C), by the name of the network's own."""
        return dict(zip(norm_parameters(self.network()), self.norms, strict=True))

    def _running(self) -> Tensors:
        """Buffers of all steps (n, …), by the name of the network's own."""
        return {name: self.get_buffer(f"running_{number}") for number, (name, _) in enumerate(self.network().named_buffers())}

    def _rule(self) -> Descent:
        """With α as it is now."""
        return self.descent.with_learnt({name: value.detach() for name, value in self._learnt().items()})


def _first_task(batch: EpisodeBatch) -> EpisodeBatch:
    support, query = (map_inputs(lambda value: value[:1], x) for x in (batch.support_x, batch.query_x))
    return EpisodeBatch(support, batch.support_y[:1], query, batch.query_y[:1], batch.way, batch.numbers[:1])


def norm_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Scales and shifts of batch normalisation by name.

    Raises:
        RecipeError: One keeps no running statistics, which inductive answers need.
    """
    found: dict[str, nn.Parameter] = {}
    for path, norm in module.named_modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            if norm.running_mean is None:
                raise RecipeError(f"MAML++ keeps running statistics; {path!r} has none. Make it with track_running_stats=True.")
            found |= {f"{path}.{name}": value for name, value in norm.named_parameters()}
    return found


def loss_weights(steps: int, progress: float, until: float) -> list[float]:
    """v_t(p), which add up to 1.

    Args:
        steps: n.
        progress: p, 0 to 1.
        until: m, 0 to 1.
    """
    if progress >= until:
        return [0.0] * (steps - 1) + [1.0]
    earlier = max(1 - progress / until, LEAST) / steps
    return [earlier] * (steps - 1) + [1 - (steps - 1) * earlier]


def of_own_step(loss: Loss, norms: Tensors) -> Loss:
    """A loss that takes γ and β of all steps (n, C), and uses those of the step it is asked for; after the last, those of the last."""

    def of_step(parameters: Tensors, step: int) -> tuple[Tensor, Tensors]:
        return loss({name: value[min(step, len(value) - 1)] if name in norms else value for name, value in parameters.items()}, step)

    return of_step


def multi_step(weights: list[float], norms: Tensors, *, second_order: bool) -> OuterGradient:
    """The mode of the inner loop: every derivative of the weighted loss, or those that hold the slopes constant.

    Args:
        weights: v, n of them; a query loss of weight 0 is not computed.
        norms: γ and β of all steps, (n, C); their gradients are those of `shared`.
        second_order: Whether the gradient goes through the slopes.
    """
    asked = sum(1 for weight in weights if weight)

    @keeping(lambda steps: Kept(((steps if second_order else 1, asked),), rules=0 if second_order else steps), twice=second_order)
    def solve(problem: Problem) -> TaskGradient:
        own = replace(problem, support=of_own_step(problem.support, norms), query=of_own_step(problem.query, norms))

        def weighted(start: Tensors, shared: Tensors, learnt: Tensors) -> tuple[Tensor, tuple[Tensor, Tensors]]:
            place, path, seen, total = own.begin(start), [], [], next(iter(start.values())).new_zeros(())
            for number, weight in enumerate(weights):
                slopes, loss, buffers = support_slope(own, place.parameters, shared, number, again=second_order)
                place = own.step(place, slopes if second_order else detached(slopes), loss, learnt, number)
                path.append(loss.detach())
                if weight:
                    query, after = own.query({**shared, **place.parameters}, number)
                    total = total + weight * query
                    buffers = after if number == len(weights) - 1 else buffers
                seen.append(detached(buffers))
            return total, (torch.stack(path, -1), {name: torch.stack([step[name] for step in seen], 1) for name in seen[0]})

        (start, shared, learnt), loss, (path, buffers) = gradient(weighted, problem.start, norms, problem.rule.learnt, again=False)
        return TaskGradient(loss, path, start, shared, learnt, buffers)

    return solve
