"""The contract of a learner: what every algorithm implements, and all that training, evaluation and prediction know about it.

    encode   each item independently           -> features           (once per item, however many tasks use it)
    adapt    the support set of a task         -> what was learned   (a named tuple of tensors, never stored on the learner)
    predict  what was learned, and query items -> logits or values
    meta_backward  a batch of tasks            -> losses             (the gradient of their mean is left in `.grad`)

Everything is batched over tasks. In: an `EpisodeBatch`. Next: `kshot.meta_train`, `kshot.results`, `kshot.tasks`. Training updates a
`Trainable`: the learner, or the learner with a head that exists only during training (`for_training`).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kshot.arguments import KeepsArguments
from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import RecipeError
from kshot.learners.backbone_form import frozen_parts
from kshot.learners.settings import MOST_STEPS, require_count
from kshot.short_repr import short_repr

Mode = Literal["inductive", "transductive"]
Batch = EpisodeBatch | ItemBatch


class Trainable(nn.Module, ABC):
    """What training updates. All its parameters and buffers are part of the state of a run.

    A frozen part, which has parameters of which none needs a gradient (`backbone.requires_grad_(False)`), stays in evaluation mode in
    training: its running statistics do not move, and its dropout drops nothing. Normalisation and dropout without parameters are frozen
    with the part that holds them.
    """

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but for frozen parts, or evaluation mode."""
        super().train(mode)
        if mode:
            for part in frozen_parts(self):
                part.eval()
        return self

    @abstractmethod
    def meta_backward(self, batch: Any, progress: float) -> Tensor:
        """Add the gradient of the mean loss to `.grad`.

        Args:
            batch: B tasks, or M labelled items, depending on what it is trained on.
            progress: How far training has come, from 0 to 1.

        Returns:
            One detached loss per task (B,), or per item (M,).
        """


class Learner(KeepsArguments, Trainable):
    """A model that learns a task from a support set. Its parameters are the meta-parameters.

    In evaluation mode the three steps are pure functions of (parameters, episode). They give the same answer in any order and from any
    thread, and a batch of B tasks gives the same answers as B single tasks, up to rounding. They never assign to `self` and never call
    `train()` or `eval()`. In training mode, buffers such as running statistics change only inside `meta_backward`.

    Attributes:
        family: The loss and score of its tasks; set by the constructor.
        arguments: The constructor's plain arguments, without backbone and family. They are kept without a line of code in the constructor
            (`kshot.arguments`); a learner of the table is saved with them and built again from them.
        training_source: `episodes`; `items` for baselines that train on plain labelled batches; `none` for learners without training.
            The stream given to training must be of the same kind.
        modes: The ways in which it can answer. `inductive`: the answer to a query depends only on the support set and that query
            (`predict`). `transductive`: the answer depends on all queries asked together (`predict_together`).
        statistics: The source of the statistics that batch normalisation uses in a mode, in words for records, for example
            `support and this query`. A mode is left out if the modules use the statistics that they keep.
        depends_on_support_order: Whether the order of the support items may change an answer, as in a learner that reads them as a
            sequence. If it is False, the contract suite requires the same answers for every order, up to rounding.
        adapt_steps: Gradient steps from a support set to an answer, for learners that can take any number; `with_steps` changes it.
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "episodes"
    modes: ClassVar[tuple[Mode, ...]] = ("inductive",)
    statistics: ClassVar[Mapping[Mode, str]] = MappingProxyType({})
    depends_on_support_order: bool = False
    family: TaskFamily
    adapt_steps: int | None = None

    def __repr__(self) -> str:
        """Return the networks inside, the arguments, the family, and the number of meta-parameters, in one form for all learners.

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
        """Compute what can be computed for each item independently.

        Args:
            x: Items (M, …).

        Returns:
            Features (M, …). Learners that compute nothing per item return `x` unchanged.
        """

    @abstractmethod
    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        """Learn B tasks from their support sets.

        Args:
            support_features: Encoded support items (B, S, …).
            support_y: Labels int64 (B, S), or real targets (B, S, T).
            way: N for classification. None reads it from `support_y`, which waits for the device and cannot see a class without
                support items. Ignored for real targets.

        Returns:
            A named tuple of tensors (or of dictionaries of tensors) whose first dimension is B. They are detached outside training.
        """

    @abstractmethod
    def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
        """Answer query items, each independently.

        Args:
            adapted: What `adapt` returned.
            query_features: Encoded query items (B, Q, …).

        Returns:
            Logits (B, Q, N), or values (B, Q, T).
        """

    def predict_together(self, adapted: Any, query_features: Inputs) -> Tensor:
        """Answer all query items together. Learners whose `modes` include `transductive` implement it.

        Args:
            adapted: What `adapt` returned.
            query_features: All encoded query items of each task (B, Q, …).

        Returns:
            Logits (B, Q, N), or values (B, Q, T).

        Raises:
            RecipeError: The learner has no such mode.
        """
        raise RecipeError(f"{type(self).__name__} answers each query independently; it has no transductive mode. Use its inductive mode.")

    @abstractmethod
    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the tasks' mean loss to `.grad`.

        Args:
            batch: B tasks.
            progress: How far training has come, from 0 to 1.

        Returns:
            One detached loss per task, (B,).
        """

    def for_training(self, example: Batch) -> Trainable:
        """Return what training updates. Called once before the first update. Learners that are trained with a head implement it.

        Args:
            example: A batch like those of training. Only its form matters.

        Returns:
            The learner; or a module that holds the learner and a new head on the device of `example`. The head is part of the state
            of a run, but is not saved with the learner. The learner stays unchanged.
        """
        return self

    def after_training(self, items: Iterable[Inputs], score: Callable[[], float]) -> None:
        """Complete the state that will be saved with what the data still has to give. Learners that need it implement it.

        Args:
            items: All training items, each once, as inputs (m, …) in chunks. They are gathered during iteration.
            score: Scores the learner in its present state on the validation episodes; higher is better.
        """


def _in_a_word(module: nn.Module) -> str:
    """Return a network as its class and, if it keeps them, its arguments."""
    if isinstance(module, Learner):
        return repr(module)
    if isinstance(module, KeepsArguments):
        return f"{type(module).__name__}({', '.join(f'{name}={value!r}' for name, value in module.arguments.items())})"
    if next(module.children(), None) is None and "\n" not in (word := repr(module)):
        return word
    return f"{type(module).__name__}(…)"


def encode_tasks(learner: Learner, *parts: Inputs) -> list[Inputs]:
    """Encode items of B tasks in one call of `encode`, so that batch statistics and buffers see all of them at once.

    Args:
        learner: The learner whose `encode` is called.
        *parts: Inputs (B, n, …), for example support and query; n may differ.

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


def backward_of_query_loss(learner: Learner, batch: EpisodeBatch, *, change: Callable[[Inputs], Inputs] | None = None) -> Tensor:
    """Do what most learners do in `meta_backward`: adapt to the support sets, take the loss of the queries, run backward.

    Args:
        learner: The learner.
        batch: B episodes.
        change: What becomes of the features of all items, (B, S + Q, …) → (B, S + Q, …), before the learner adapts; None: nothing.

    Returns:
        One detached loss per task, (B,).
    """
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    if change is not None:
        S = batch.support_y.shape[1]
        both = change(concatenate([support, query], dim=1))
        support, query = map_inputs(lambda value: value[:, :S], both), map_inputs(lambda value: value[:, S:], both)
    adapted = learner.adapt(support, batch.support_y, way=batch.way)
    losses = learner.family.loss(learner.predict(adapted, query), batch.query_y)  # (B,)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    return losses.detach()


def require_family(family: TaskFamily, wanted: str, learner: str) -> TaskFamily:
    """Return `family` unchanged if it is the one that the learner supports.

    Raises:
        RecipeError: It is another family.
    """
    if family.name != wanted:
        raise RecipeError(f"{learner} learns {wanted} tasks; found family {family.name!r}. Choose another learner.")
    return family


def require_kind(learner: Learner, *, real_targets: bool) -> None:
    """Raise an error unless the data is of the kind of the learner's tasks.

    Args:
        learner: The learner.
        real_targets: Whether the items have real targets instead of classes.

    Raises:
        RecipeError: The learner classifies and the items have real targets, or the other way round.
    """
    if real_targets != (learner.family.name == "regression"):
        has, family = ("real targets", "regression") if real_targets else ("classes", "classification")
        raise RecipeError(
            f"the items have {has}, but {type(learner).__name__} was built for {learner.family.name} tasks. "
            f"Build it with the family {family}, or give it data that fits its family."
        )


def way_of(support_y: Tensor, way: int | None) -> int:
    """Return `way` if it is given, else the largest label plus one."""
    return int(support_y.max()) + 1 if way is None else way


def with_steps(learner: Learner, steps: int) -> Learner:
    """Return a copy of the learner that shares its parameters but takes another number of gradient steps to answer.

    Raises:
        RecipeError: The learner has no variable number of steps, or the number is negative.
    """
    if learner.adapt_steps is None:
        raise RecipeError(f"{type(learner).__name__} has no number of steps that could be changed. Ask without steps.")
    require_count("the number of steps", steps, 0, MOST_STEPS)
    other = copy.copy(learner)
    other.adapt_steps = steps
    return other
