"""The contract of a learner: what every algorithm of kshot is, and all that training, evaluation and prediction know of it.

    encode   an item alone           -> features           (once an item, however many tasks use it)
    adapt    a task's support set    -> what was learned   (a named tuple of tensors, never stored on the learner)
    predict  that, and query items   -> logits or values
    meta_backward  a batch of tasks  -> losses             (the gradient of their mean is left in `.grad`)

Everything is batched over tasks. In: an `EpisodeBatch`. Next: `kshot.meta_train`, `kshot.results`, `kshot.tasks`. What training
updates is a `Trainable`: the learner itself, or the learner with a head that exists only while it is trained (`for_training`).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import RecipeError
from kshot.learners.settings import require_count
from kshot.short_repr import short_repr

Mode = Literal["inductive", "transductive"]
Batch = EpisodeBatch | ItemBatch


class Trainable(nn.Module, ABC):
    """What training updates: all its parameters and buffers are a run's state."""

    @abstractmethod
    def meta_backward(self, batch: Any, progress: float) -> Tensor:
        """Add the gradient of the mean loss to `.grad`.

        Args:
            batch: B tasks, or M labelled items: whichever kind it is trained on.
            progress: How far training has come, from 0 to 1.

        Returns:
            The loss of each task (B,), or of each item (M,), detached.
        """


class Learner(Trainable):
    """A model that learns a task from a support set. Its parameters are the meta-parameters.

    In evaluation mode the three steps are pure functions of (parameters, episode): same answer in any order and from any thread,
    and a batch of B tasks equals B single tasks to rounding. They never assign to `self` and never call `train()` or `eval()`.
    In training mode, buffers such as running statistics change inside `meta_backward` only.

    Attributes:
        family: The loss and score of its tasks; set by the constructor.
        arguments: The constructor's plain arguments, but for backbone and family, where it has any: kshot's own learners are saved
            with them, to be built again.
        training_source: `episodes`; `items` for baselines that train on plain labelled batches; `none` for what is not trained.
            The stream that training is given must be of the same kind.
        modes: What it offers. `inductive`: a query's answer depends on nothing but the support set and that query (`predict`).
            `transductive`: it depends on all queries asked together (`predict_together`).
        statistics: Whose statistics batch normalisation uses to answer in a mode, in words for records, where they are not those that
            the modules keep: `support and this query`.
        adapt_steps: Gradient steps from a support set to an answer, of learners that can take any number; `with_steps` changes it.
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "episodes"
    modes: ClassVar[tuple[Mode, ...]] = ("inductive",)
    statistics: ClassVar[Mapping[Mode, str]] = MappingProxyType({})
    family: TaskFamily
    arguments: Mapping[str, Any] = MappingProxyType({})
    adapt_steps: int | None = None

    def __repr__(self) -> str:
        """One form for all learners: the networks inside in a word each, the arguments, the family, the number of meta-parameters.

        `print(learner.backbone)` shows the layers of a network.
        """
        arguments = dict(self.arguments)
        if "adapt_steps" in arguments:
            arguments["adapt_steps"] = self.adapt_steps  # `with_steps` changes it
        inside = [f"{name}={_in_a_word(module)}" for name, module in self.named_children()]
        own = [*inside, *(f"{name}={value!r}" for name, value in arguments.items()), *filter(None, [self.extra_repr()])]
        family = f"family={vars(self)['family']!r}" if "family" in vars(self) else "family is not set"
        count = sum(parameter.numel() for parameter in self.parameters() if not is_lazy(parameter))
        return short_repr(type(self).__name__, [*own, family, f"meta_parameters={count:,}"])

    @abstractmethod
    def encode(self, x: Inputs) -> Inputs:
        """What can be computed for an item alone.

        Args:
            x: Items (M, …).

        Returns:
            Features (M, …); `x` itself for learners that compute nothing for an item alone.
        """

    @abstractmethod
    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        """Learn B tasks from their support sets.

        Args:
            support_features: `encode`d support items (B, S, …).
            support_y: Labels int64 (B, S), or real targets (B, S, T).
            way: N for classification; None reads it off `support_y`, which waits for the device and cannot see a class that
                has no support item. Ignored for real targets.

        Returns:
            A named tuple of tensors (or of dictionaries of tensors) whose first dimension is B. Detached outside training.
        """

    @abstractmethod
    def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
        """Answer query items, each on its own.

        Args:
            adapted: What `adapt` returned.
            query_features: `encode`d query items (B, Q, …).

        Returns:
            Logits (B, Q, N), or values (B, Q, T).
        """

    def predict_together(self, adapted: Any, query_features: Inputs) -> Tensor:
        """Answer query items all at once; written by learners whose `modes` hold `transductive`.

        Args:
            adapted: What `adapt` returned.
            query_features: All `encode`d query items of each task (B, Q, …).

        Returns:
            Logits (B, Q, N), or values (B, Q, T).

        Raises:
            RecipeError: The learner has no such mode.
        """
        raise RecipeError(f"{type(self).__name__} answers each query on its own; it has no transductive mode. Ask without it.")

    @abstractmethod
    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the tasks' mean loss to `.grad`.

        Args:
            batch: B tasks.
            progress: How far training has come, from 0 to 1.

        Returns:
            The loss of each task, detached, (B,).
        """

    def for_training(self, example: Batch) -> Trainable:
        """What training updates, made once before the first update; written by learners that are trained with a head.

        Args:
            example: A batch like those of training; only its form is looked at.

        Returns:
            The learner itself. Or a module that holds it and a head, new and on the device of `example`, which is part of the
            run's state and of nothing that is saved as a learner. The learner is as before.
        """
        return self

    def after_training(self, items: Iterable[Inputs], score: Callable[[], float]) -> None:
        """What the state that will be saved still takes from the data; written by learners that take anything.

        Args:
            items: All training items, each once, as inputs (m, …) in chunks; gathered while it is walked through.
            score: Scores the learner as it is on the validation episodes; more is better.
        """


def _in_a_word(module: nn.Module) -> str:
    """A network as its class and, where it keeps them, its arguments."""
    if isinstance(module, Learner):
        return repr(module)
    arguments = vars(module).get("arguments")  # kshot's own networks keep them
    if isinstance(arguments, Mapping):
        return f"{type(module).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    if next(module.children(), None) is None and "\n" not in (word := repr(module)):
        return word
    return f"{type(module).__name__}(…)"


def encode_tasks(learner: Learner, *parts: Inputs) -> list[Inputs]:
    """Encode items of B tasks in one call of `encode`, so that batch statistics and buffers see all of them at once.

    Args:
        learner: Whose `encode`.
        *parts: Inputs (B, n, …), such as support and query; n may differ.

    Returns:
        Features (B, n, …) of each part.
    """
    sizes = [part.shape[1] if isinstance(part, Tensor) else next(iter(part.values())).shape[1] for part in parts]
    together = concatenate(parts, dim=1)  # (B, S + Q, …)
    B = together.shape[0] if isinstance(together, Tensor) else next(iter(together.values())).shape[0]
    features = learner.encode(map_inputs(lambda value: value.flatten(0, 1), together))
    features = map_inputs(lambda value: value.reshape(B, sum(sizes), *value.shape[1:]), features)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [
        map_inputs(lambda value, start=start, size=size: value[:, start : start + size], features)  # type: ignore[misc]
        for start, size in zip(starts, sizes, strict=True)
    ]


def backward_of_query_loss(learner: Learner, batch: EpisodeBatch) -> Tensor:
    """The `meta_backward` of most learners: adapt to the support sets, take the loss of the queries, go backwards.

    Returns:
        The loss of each task, detached, (B,).
    """
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    adapted = learner.adapt(support, batch.support_y, way=batch.way)
    losses = learner.family.loss(learner.predict(adapted, query), batch.query_y)  # (B,)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    return losses.detach()


def require_family(family: TaskFamily, wanted: str, learner: str) -> TaskFamily:
    """`family`, when it is the one a learner can serve.

    Raises:
        RecipeError: It is another one.
    """
    if family.name != wanted:
        raise RecipeError(f"{learner} learns tasks of {wanted}; the family {family.name!r} was asked for. Choose another learner.")
    return family


def require_kind(learner: Learner, *, real_targets: bool) -> None:
    """Refuse data of another kind than the learner's tasks.

    Args:
        learner: Any.
        real_targets: Whether the data's items have real targets, in place of classes.

    Raises:
        RecipeError: It classifies and the items have real targets, or the other way round.
    """
    if real_targets != (learner.family.name == "regression"):
        has, family = ("real targets", "regression") if real_targets else ("classes", "classification")
        raise RecipeError(
            f"the items have {has}, and {type(learner).__name__} was built for tasks of {learner.family.name}. "
            f"Build one whose family is {family}, or give it data of its own kind."
        )


def way_of(support_y: Tensor, way: int | None) -> int:
    """N as given, or the largest label plus one."""
    return int(support_y.max()) + 1 if way is None else way


def with_steps(learner: Learner, steps: int) -> Learner:
    """The same learner, whose parameters it shares, taking another number of gradient steps to answer.

    Raises:
        RecipeError: It does not take any number of steps, or the number is negative.
    """
    if learner.adapt_steps is None:
        raise RecipeError(f"{type(learner).__name__} does not take a number of steps to answer that could be changed. Ask without steps.")
    require_count("the number of steps", steps, 0)
    other = copy.copy(learner)
    other.adapt_steps = steps
    return other
