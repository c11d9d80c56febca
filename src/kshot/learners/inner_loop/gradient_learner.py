"""What learners by gradient steps have in common: a network that ends in one output per class, and takes steps on a task's support set.

    encode             the identity: what the network makes of an item depends on the task
    adapt              φ_n from φ_0 by gradient steps on the support loss; normalisation uses the support set's own statistics
    predict            inductive: normalisation uses statistics that know nothing of the queries
    predict_together   transductive: normalisation uses the statistics of the queries that are asked together

Inductive statistics are the support set's under φ_n (mean, and the unbiased variance that running statistics also keep), or the running
ones, which training moves towards the queries' once per update. A network without batch normalisation answers the same in both modes.
`meta_backward` is each learner's own: see `maml`, `first_order_maml`, `anil`, `meta_sgd`.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, TypedDict, Unpack

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.inner_loop.adaptation import adapt
from kshot.learners.inner_loop.adapted_network import BackboneAndHead, FastWeights, answer_alone, answer_together, count_tasks, head_of
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.batch_checks import require_head
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import Adapt, Parameters, Tensors, divide_parameters
from kshot.learners.inner_loop.problem import TaskGradient
from kshot.learners.inner_loop.tasks import Tasks, tasks_of
from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.learners.learner import Learner, Mode
from kshot.learners.settings import MOST_STEPS, require_count

InductiveStatistics = Literal["support", "running"]


class Steps(TypedDict):
    """How a learner takes inner steps: see `FastWeightLearner`."""

    inner_steps: int
    adapt_steps: int
    inductive: InductiveStatistics
    family: TaskFamily


class FastWeightLearner(Learner):
    """A network, some of whose parameters take gradient steps on a task's support set; abstract.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        inner_steps: Steps in training, ≥ 0.
        adapt_steps: Steps outside training, ≥ 0.
        inductive: Whose statistics `predict` normalises with.
        family: The kind of task.

    Raises:
        RecipeError: A setting makes no sense.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("inductive", "transductive")
    adapt_steps: int

    def __init__(
        self, backbone: nn.Module, *, inner_steps: int, adapt_steps: int, inductive: InductiveStatistics, family: TaskFamily
    ) -> None:
        super().__init__()
        require_count("inner_steps", inner_steps, 0, MOST_STEPS)
        require_count("adapt_steps", adapt_steps, 0, MOST_STEPS)
        if inductive not in ("support", "running"):
            raise RecipeError(f"inductive answers are normalised by 'support' or 'running' statistics; found {inductive!r}.")
        self.backbone = backbone
        self.inner_steps, self.adapt_steps, self.inductive = inner_steps, adapt_steps, inductive
        self.statistics = {"inductive": inductive, "transductive": "all queries"}  # type: ignore[misc]  # of this learner: an argument
        self.family = family

    @abstractmethod
    def network(self) -> nn.Module:
        """Backbone and head as one module, whose parameters are named as the learner's own."""

    def encode(self, x: Inputs) -> Inputs:
        """Returns x unchanged: what a network makes of an item depends on the task."""
        return x

    def predict(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n: items (B, Q, …) → (B, Q, N).

        Raises:
            RecipeError: The network normalises by batch statistics alone.
        """
        check_queries(self, count_tasks(adapted), query_features)
        return answer_alone(self.network(), adapted, query_features)

    def predict_together(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n and the statistics of all queries of a task: items (B, Q, …) → (B, Q, N)."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_together(self.network(), adapted.parameters, query_features)

    def fast_weights(self, parts: Parameters, loop: InnerLoop, support_x: Inputs, support_y: Tensor) -> FastWeights:
        """Take the steps of a loop on checked support sets: items (B, S, …) and labels (B, S), or targets (B, S, T).

        Raises:
            DataError: A task's steps diverged.
        """
        module = self.network()
        tasks = support_only(support_x, support_y, buffers_of(module))
        found = adapt(Assignment(module, parts, self.family, tasks, loop))
        return FastWeights(found.parameters, dict(tasks.buffers) if self.inductive == "running" else found.buffers)


class GradientLearner(FastWeightLearner):
    """A backbone and a linear head, some of whose parameters take gradient steps; abstract.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        outputs: N, or the number of targets T.
        steps: What `FastWeightLearner` takes besides.

    Raises:
        RecipeError: A setting makes no sense.
    """

    def __init__(self, backbone: nn.Module, *, features: int, outputs: int, **steps: Unpack[Steps]) -> None:
        super().__init__(backbone, **steps)
        self.head, self.outputs = head_of(features, outputs), outputs

    @property
    @abstractmethod
    def adapting(self) -> Adapt:
        """What adapts, of a module of a `backbone` and a `head`: see `divide_parameters`."""

    @abstractmethod
    def rule(self) -> UpdateRule:
        """The inner update rule, with what it learns as it is now."""

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FastWeights:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → fast weights.

        Raises:
            DataError: A task's steps diverged.
            RecipeError: The support set has another way than the head.
        """
        check_support(self, support_features, support_y, way)
        require_head(self.outputs, support_y, way)
        parts = divide_parameters(self.network(), self.adapting)
        return self.fast_weights(parts, InnerLoop(self.adapt_steps, self.rule()), support_features, support_y)

    def network(self) -> BackboneAndHead:
        """Backbone and head as one module, whose parameters are named as the learner's own."""
        return BackboneAndHead(self.backbone, self.head)


def outer_gradient(learner: GradientLearner, batch: EpisodeBatch, mode: OuterGradient, learnt: Mapping[str, nn.Parameter]) -> Tensor:
    """The outer gradient of the queries' mean loss, left in `.grad`; running statistics move. Returns the losses (B,).

    Args:
        learner: The learner.
        batch: B tasks.
        mode: The outer gradient.
        learnt: What the update rule learns, by name.

    Raises:
        DataError: The batch is no rectangle.
        RecipeError: The support sets have another way than the head.
        TrainingError: An inner loop diverged; its episode is named.
    """
    module = learner.network()
    parts = divide_parameters(module, learner.adapting)
    loop = InnerLoop(learner.inner_steps, learner.rule(), mode)
    found = meta_gradient(module, parts, learner.family, batch, loop, outputs=learner.outputs, seed=a_seed())
    leave((dict(learnt),), (found.learnt,))
    return settle(module, parts, found)


def settle(module: nn.Module, parts: Parameters, found: TaskGradient) -> Tensor:
    """Leave the gradients of a module's parameters in `.grad`, and move its running statistics. Returns the losses (B,)."""
    leave(parts, Parameters(found.start, found.shared))
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer.copy_(found.buffers[name])
    return found.loss


def support_only(x: Inputs, y: Tensor, buffers: Tensors, rows: Tensor | None = None) -> Tasks:
    """Tasks of which only the support set is asked: items (B, S, …), labels (B, S) or targets (B, S, T)."""
    numbers = torch.arange(len(y)).numpy()
    return tasks_of(EpisodeBatch(x, y, x, y, None, numbers), buffers, rows)


@torch.no_grad()
def leave(parts: Iterable[Mapping[str, Tensor]], slopes: Iterable[Tensors]) -> None:
    """Add gradients to `.grad`, name by name."""
    for values, own in zip(parts, slopes, strict=True):
        for name, value in values.items():
            value.grad = own[name].clone() if value.grad is None else value.grad + own[name]


def a_seed() -> int:
    """A seed for what a module draws in one update, from the generator that training seeds for each."""
    return int(torch.randint(2**62, ()))


MODES: dict[str, OuterGradient] = {"unrolled": unrolled, "flat": flat}
"""The two ways to the exact meta-gradient, by the name that recipes use."""


def checked_mode(name: str, modes: Mapping[str, OuterGradient] = MODES) -> str:
    """The name of a way to the meta-gradient, unchanged. A learner keeps the name, because functions cannot be pickled.

    Raises:
        RecipeError: The name is unknown.
    """
    if name not in modes:
        raise RecipeError(f"mode must be one of {', '.join(modes)}; found {name!r}.")
    return name


def by_name(names: Sequence[str], rates: Iterable[nn.Parameter], adapting: Tensors) -> dict[str, nn.Parameter]:
    """Learnt rates by the name of their parameter, of those that adapt now.

    Args:
        names: Names of the parameters that adapted when the learner was made.
        rates: Their rates, in the same order.
        adapting: Those that adapt now: some may have been frozen since.

    Raises:
        RecipeError: One adapts now that did not then, and has no rate.
    """
    if more := [name for name in adapting if name not in names]:
        raise RecipeError(
            f"{more[0]!r} has no inner rate, because it was frozen when the learner was made. Unfreeze it before, or freeze it again."
        )
    return {name: rate for name, rate in zip(names, rates, strict=True) if name in adapting}
