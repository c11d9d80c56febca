"""What learners by gradient steps have in common: a network that ends in one output a class, and takes steps on a task's support set.

    encode             the identity: what the network makes of an item depends on the task
    adapt              φ_n from φ_0 by gradient steps on the support loss; normalisation uses the support set's own statistics
    predict            inductive: normalisation uses statistics that know nothing of the queries
    predict_together   transductive: normalisation uses the statistics of the queries that are asked together
    meta_backward      the meta-gradient (`meta_gradient`), with the statistics of each task's queries, as in MAML's own code

Inductive statistics are the support set's under φ_n (mean, and the unbiased variance that running statistics also keep), or the running
ones, which training moves towards the queries' once an update. A network without batch normalisation answers the same in both modes.
Next: `kshot.learners.gradient.maml`, `first_order_maml`, `anil`, `meta_sgd`.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import DataError, RecipeError
from kshot.learners.inner_loop.batch_checks import check_queries, require_fit
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.meta_gradient import InnerLoop, meta_gradient
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import Parameters, Tensors, copied, divide_parameters
from kshot.learners.inner_loop.problem import Problem, walk
from kshot.learners.inner_loop.steps import Rates, require_descent
from kshot.learners.inner_loop.task_loss import loss_of, one_task, task_loss
from kshot.learners.learner import Learner, Mode
from kshot.learners.settings import require_count, require_no_less_than_zero, require_positive

InductiveStatistics = Literal["support", "running"]


class FastWeights(NamedTuple):
    """What gradient steps learn of a task.

    Attributes:
        parameters: φ_n by name, each (B, …): those that adapt.
        statistics: The buffers with which `predict` normalises, each (B, …).
    """

    parameters: dict[str, Tensor]
    statistics: dict[str, Tensor]


class GradientLearner(Learner):
    """A backbone and a linear head, some of whose parameters take gradient steps; abstract.

    Attributes:
        backbone: Inputs (M, …) → features (M, D).
        head: (M, D) → (M, N).
        outputs: N, or the number of targets T.
        adapting: What adapts: see `divide_parameters`, of a module of a `backbone` and a `head`.
        training_loop: The inner loop of training, without learnt rates.
        adapt_steps: Steps outside training.
        inductive: Whose statistics `predict` uses.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("inductive", "transductive")
    backbone: nn.Module
    head: nn.Linear
    outputs: int
    adapting: str | None
    training_loop: InnerLoop
    adapt_steps: int
    inductive: InductiveStatistics

    @abstractmethod
    def learnt_rates(self) -> dict[str, nn.Parameter]:
        """Rates that training learns, by the parameter's name; none where the rate is given."""

    def encode(self, x: Inputs) -> Inputs:
        """X itself: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FastWeights:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → fast weights.

        Raises:
            DataError: A task's steps diverged.
            RecipeError: The support set has another way than the head.
        """
        require_fit(self.outputs, "support", support_features, support_y, way)
        module = self.network()
        divided, rates = divide_parameters(module, self.adapting), self._rates()
        parts = Parameters(copied(divided.adapting), copied(divided.shared))
        network, own = Network(module, "batch"), Network(module, "batch", momentum=1.0)
        buffers = buffers_of(module)
        fast, statistics, losses = [], [], []  # losses: before each step, and after the last
        with differentiable_twice(), torch.autocast(support_y.device.type, enabled=False):
            for number in range(len(support_y)):
                x = one_task(support_features, number)
                support = task_loss(network, self.family, (x, support_y[number]), buffers)
                problem = Problem(parts.adapting, parts.shared, rates, self.adapt_steps, support, support)
                reached, trail = walk(problem)
                fast.append(reached)
                with torch.no_grad():
                    outputs, here = own(reached, buffers, x)
                    last = loss_of(self.family, outputs, support_y[number])
                statistics.append(buffers if self.inductive == "running" else here)
                losses.append(torch.cat([trail.path(problem), last.unsqueeze(0)]))
        require_descent(torch.stack(losses), [f"task {number} of the batch" for number in range(len(support_y))], rates, DataError)
        return FastWeights(_stacked(fast), {name: value.detach() for name, value in _stacked(statistics).items()})

    def predict(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n: items (B, Q, …) → (B, Q, N).

        Raises:
            RecipeError: The network normalises by batch statistics alone.
        """
        module = self.network()
        for path, norm in module.named_modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is None:
                raise RecipeError(
                    f"{path!r} keeps no running statistics, so it cannot normalise a query on its own. Make it with "
                    "track_running_stats=True, or ask for transductive answers (predict_together)."
                )
        return answers_of(Network(module, "running"), adapted, query_features)

    def predict_together(self, adapted: FastWeights, query_features: Inputs) -> Tensor:
        """The network with φ_n and the statistics of all queries of a task: items (B, Q, …) → (B, Q, N)."""
        return answers_of(Network(self.network(), "batch"), adapted, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The meta-gradient of the queries' mean loss for B tasks.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        require_fit(self.outputs, "support", batch.support_x, batch.support_y, batch.way)
        module = self.network()
        parts = divide_parameters(module, self.adapting)
        loop = replace(self.training_loop, rates=self._rates())
        found = meta_gradient(module, parts, self.family, batch, loop, seed=a_seed())
        _leave(parts, found.start, found.shared, self.learnt_rates(), found.rates)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(found.buffers[name])
        return found.loss

    def network(self) -> nn.Module:
        """Backbone and head as one module, whose parameters are named as the learner's own."""
        return _Whole(self.backbone, self.head)

    def _rates(self) -> Rates:
        return replace(self.training_loop.rates, learnt={name: value.detach() for name, value in self.learnt_rates().items()})


def answers_of(network: Network, adapted: FastWeights, query: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, N), each task's with its own parameters and statistics."""
    some = next(iter(adapted.parameters.values()))
    check_queries(len(some), query)
    answers = []
    with differentiable_twice(), torch.autocast(some.device.type, enabled=False):
        for number in range(len(some)):
            fast, buffers = ({name: value[number] for name, value in part.items()} for part in adapted)
            answers.append(network(fast, buffers, one_task(query, number))[0])
    return torch.stack(answers)


def a_seed() -> int:
    """A seed for what a module draws in one update, from the generator that training seeds for each."""
    return int(torch.randint(2**62, ()))


class _Whole(nn.Module):
    """A backbone and its head as one module."""

    passes_tasks = True  # to its parts, as they are: see `task_ready`

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Inputs) -> Tensor:
        outputs: Tensor = self.head(self.backbone(x))
        return outputs


def checked(inner_lr: float, inner_steps: int, adapt_steps: int, clip: float, inductive: str) -> None:
    """Refuse settings of an inner loop that make no sense.

    Raises:
        RecipeError: One of them; it is named.
    """
    require_positive("inner_lr", inner_lr)
    require_count("inner_steps", inner_steps, 0)
    require_count("adapt_steps", adapt_steps, 0)
    require_no_less_than_zero("clip", clip, "no clipping")
    if inductive not in ("support", "running"):
        raise RecipeError(f"inductive answers are normalised by 'support' or 'running' statistics; found {inductive!r}.")


def statistics_of(inductive: InductiveStatistics) -> Mapping[Mode, str]:
    """Whose statistics normalise answers in each mode, in words for records."""
    return {"inductive": inductive, "transductive": "all queries"}


MODES: dict[str, OuterGradient] = {"unrolled": unrolled, "flat": flat}
"""The two ways to the exact meta-gradient, by the name that recipes use."""


def mode_named(name: str) -> OuterGradient:
    """A way to the exact meta-gradient.

    Raises:
        RecipeError: The name is unknown.
    """
    if name not in MODES:
        raise RecipeError(f"mode must be one of {', '.join(MODES)}; found {name!r}.")
    return MODES[name]


def by_name(names: Sequence[str], rates: Iterable[nn.Parameter], adapting: Tensors) -> dict[str, nn.Parameter]:
    """Learnt rates by the name of their parameter, of those that adapt now.

    Args:
        names: Of the parameters that adapted when the learner was made.
        rates: Theirs, in the same order.
        adapting: Those that adapt now: some may have been frozen since.

    Raises:
        RecipeError: One adapts now that did not then, and has no rate.
    """
    if more := [name for name in adapting if name not in names]:
        raise RecipeError(
            f"{more[0]!r} has no inner rate, for it was frozen when the learner was made. Unfreeze it before, or freeze it again."
        )
    return {name: rate for name, rate in zip(names, rates, strict=True) if name in adapting}


def head_of(features: int, outputs: int) -> nn.Linear:
    """A linear head.

    Raises:
        RecipeError: A count is not positive.
    """
    require_count("features", features, 1)
    require_count("outputs", outputs, 1)
    return nn.Linear(features, outputs)


@torch.no_grad()
def _leave(parts: Parameters, start: Tensors, shared: Tensors, learnt: dict[str, nn.Parameter], rates: Tensors) -> None:
    """Add gradients to `.grad`."""
    for values, slopes in ((parts.adapting, start), (parts.shared, shared), (learnt, rates)):
        for name, value in values.items():
            value.grad = slopes[name].clone() if value.grad is None else value.grad + slopes[name]


def _stacked(tasks: list[Tensors]) -> Tensors:
    return {name: torch.stack([task[name] for task in tasks]) for name in tasks[0]}
