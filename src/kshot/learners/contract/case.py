"""The tools of the contract rules: a learner with its tasks, ways to ask it, and ways to find differences.

Next: `kshot.learners.contract.answering_rules` and `kshot.learners.contract.training_rules`.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.item_stream import ItemBatch
from kshot.learners.learner import Batch, Learner, Mode, Trainable, encode_tasks
from kshot.seeding import seeded


@dataclass(frozen=True, eq=False)
class Case:
    """A learner under test and the tasks to try it on.

    Attributes:
        original: The learner. It is only copied, never used directly.
        batch: B tasks that the learner can read.
    """

    original: Learner
    batch: EpisodeBatch

    def fresh(self, *, training: bool = False) -> Learner:
        """Return a copy of the learner in evaluation mode, or in training mode."""
        return copy.deepcopy(self.original).train(training)

    def items(self) -> Inputs:
        """Return all query items of all tasks, (B·Q, …)."""
        return map_inputs(lambda value: value.flatten(0, 1), self.batch.query_x)

    def encoded(self) -> Inputs:
        """Return the features of `items`."""
        return self.fresh().encode(self.items())

    def training_batch(self) -> Batch:
        """Return training data for a learner of this source: the tasks, or their queries as items with the classes of all tasks."""
        if self.original.training_source != "items":
            return self.batch
        B, Q = self.batch.query_y.shape[:2]
        way = self.batch.way or 1
        y = self.batch.query_y if self.batch.way else torch.zeros(B, Q, dtype=torch.int64, device=self.batch.query_y.device)
        own = y + way * torch.arange(B, device=y.device).unsqueeze(1)  # the tasks share no class
        return ItemBatch(self.items(), own.flatten(), way * B, np.arange(B * Q))

    def trained(self) -> Trainable:
        """Return what training updates, made from a copy in training mode. A head is initialised from a constant seed."""
        learner = self.fresh(training=True)
        with seeded(0, "check_learner/head"):
            return learner.for_training(self.training_batch()).train()


Rule = Callable[[Case], str]


def features_of(learner: Learner, x: Inputs) -> Inputs:
    """Return features (B, n, …) of items (B, n, …). As in evaluation, support and query are encoded separately."""
    return encode_tasks(learner, x)[0]


def adapt_to(learner: Learner, batch: EpisodeBatch) -> Any:
    """Return the result of `adapt` for the support sets of a batch."""
    return learner.adapt(features_of(learner, batch.support_x), batch.support_y, way=batch.way)


def ask(learner: Learner, adapted: Any, query: Inputs, mode: Mode) -> Tensor:
    """Call `predict` or `predict_together`, depending on the mode."""
    return learner.predict(adapted, query) if mode == "inductive" else learner.predict_together(adapted, query)


def answer(learner: Learner, batch: EpisodeBatch, mode: Mode | None = None) -> Tensor:
    """Turn raw tasks into answers, in the given mode or else in the first one that the learner offers."""
    return ask(learner, adapt_to(learner, batch), features_of(learner, batch.query_x), mode or learner.modes[0])


def train_once(trained: Trainable, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the losses and gradients of one `meta_backward` with a constant seed."""
    with seeded(0, "check_learner/meta_backward"):
        losses = trained.meta_backward(batch, 0.0)
    return losses, {name: value.grad for name, value in trained.named_parameters() if value.grad is not None}


def step_of(mode: Mode) -> str:
    """Return the name of the step that answers in a mode."""
    return "predict" if mode == "inductive" else "predict_together"


def flip(value: Tensor) -> Tensor:
    """Reverse the first dimension."""
    return value.flip(0)


def flip_items(value: Tensor) -> Tensor:
    """Reverse the items of each task."""
    return value.flip(1)


def first_item(value: Tensor) -> Tensor:
    """Return the first item of each task."""
    return value[:, :1]


def part(start: int, stop: int, dim: int = 0) -> Callable[[Tensor], Tensor]:
    """Return a function that selects items `start` … `stop - 1` along a dimension."""
    return lambda value: value[start:stop] if dim == 0 else value[:, start:stop]


def some_tasks(batch: EpisodeBatch, chosen: slice) -> EpisodeBatch:
    """Return the chosen tasks."""
    return EpisodeBatch(
        map_inputs(lambda value: value[chosen], batch.support_x),
        batch.support_y[chosen],
        map_inputs(lambda value: value[chosen], batch.query_x),
        batch.query_y[chosen],
        batch.way,
        batch.numbers[chosen],
    )


def other_tasks(batch: EpisodeBatch) -> EpisodeBatch:
    """Return other tasks of the same shape: the tasks in reverse order, with support targets moved on by one item."""
    return EpisodeBatch(
        map_inputs(flip, batch.support_x), batch.support_y.flip(0).roll(1, 1), map_inputs(flip, batch.query_x),
        batch.query_y.flip(0), batch.way, batch.numbers[::-1],
    )  # fmt: skip


def named_tensors(adapted: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) for a named tuple of tensors or dictionaries of tensors."""
    for name, value in zip(adapted._fields, adapted, strict=True):
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key!r}]", inner) for key, inner in value.items())
        else:
            yield name, value


def gap_between(expected: Inputs, found: Inputs, *, exactly: bool = False) -> str:
    """Describe how two answers differ; empty if they do not. Rounding may be 1/1,000 of the largest value (1/20 in 16 bits)."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return next((gap for name in expected if (gap := gap_between(expected[name], found[name], exactly=exactly))), "")
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor) or expected.shape != found.shape:
        return f"{form_of(found)} instead of {form_of(expected)}"
    a, b = expected.detach().double(), found.detach().double()
    if not torch.equal(a.isfinite(), b.isfinite()):
        return "finite numbers in one and NaN or infinity in the other"
    a, b = a.nan_to_num(0, 0, 0), b.nan_to_num(0, 0, 0)
    if a.numel() == 0:
        return ""
    rounding = 0.05 if expected.dtype in (torch.float16, torch.bfloat16) else 1e-3
    largest, distance = float(a.abs().max()), float((a - b).abs().max())
    if distance <= (0.0 if exactly else rounding * largest):
        return ""
    return f"a difference of {distance:.3g} between values of up to {largest:.3g}"


def form_of(value: object) -> str:
    """Describe a tensor by its type and shape, or another object by its class."""
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def shift(value: Tensor, factor: float, offset: float) -> None:
    """Change floating-point numbers in place; leave others unchanged."""
    if value.is_floating_point():
        value.detach().mul_(factor).add_(offset)


Snapshot = dict[str, tuple[object, Tensor | None, Tensor | None]]


def snapshot(learner: nn.Module, *, training: bool = False) -> Snapshot:
    """Record everything that `vars` of each submodule holds: each object and, for a tensor, also its values and its gradient.

    With `training`, buffers and gradients may change and are left out.
    """
    seen: Snapshot = {}
    for path, module in learner.named_modules():
        for name, value in vars(module).items():
            if training and name == "_buffers":
                continue
            for place, leaf in _leaves(f"{path}.{name}".strip("."), value):
                if isinstance(leaf, Tensor):
                    gradient = leaf.grad if leaf.is_leaf and leaf.grad is not None and not training else None
                    seen[place] = (leaf, leaf.detach().clone(), None if gradient is None else gradient.clone())
                else:
                    seen[place] = (leaf, None, None)
    return seen


def _leaves(place: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield (place, value) for everything inside containers. A set is represented by its size."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{place}[{key!r}]", inner)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}[{number}]", inner)
    elif isinstance(value, (set, frozenset)):
        yield place, len(value)
    else:
        yield place, value


def changes_between(before: Snapshot, after: Snapshot) -> str:
    """Name the places that were added, removed or changed; empty if nothing changed."""
    changed = sorted(before.keys() ^ after.keys())
    for place in before.keys() & after.keys():
        (old, old_value, old_gradient), (new, new_value, new_gradient) = before[place], after[place]
        same = old is new or (isinstance(old, (bool, int, float, str)) and type(old) is type(new) and old == new)
        if not same or not _equal(old_value, new_value):
            changed.append(place)
        elif not _equal(old_gradient, new_gradient):
            changed.append(f"{place}.grad")
    return first_few([place.replace("_parameters[", "[").replace("_buffers[", "[") for place in sorted(changed)])


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and not gap_between(a, b, exactly=True)


def first_few(names: list[str], most: int = 3) -> str:
    """List the first names and say how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
