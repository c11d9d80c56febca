"""A stock module as a pure function of its parameters, its buffers and its inputs.

`torch.func.functional_call` puts parameters into the module for as long as it runs, so nothing is called on the user's module: a copy
shares its tensors, and every thread has its own. Buffers come in as copies and what the module made of them comes out; what may happen
to them is a policy:

    batch      normalisation uses the statistics of the items at hand, in evaluation mode too; running statistics move (on the copy)
    running    normalisation uses the running statistics, which stay

Normalisation in a frozen part (`kshot.learners.backbone_form.frozen_parts`) is always the second. A copy runs without `torch.compile`,
which gives no second derivative, and with dense gradients.

Running statistics of its own for each inner step (MAML++) are `batch`, with buffers whose first dimension counts steps: see `of_step`.
A buffer that a module other than a normalisation changes has no policy, and is an error.

In: a module, `Inputs` of one task. Out: outputs and buffers. Next: `task_loss`.
"""

import copy
from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kshot.backbones.conv_block import ConvBlock
from kshot.backbones.strided_block import StridedBlock
from kshot.data.inputs import Inputs, map_inputs
from kshot.errors import DataError, RecipeError
from kshot.learners.backbone_form import COMPILED, dense, frozen_parts, of_types, plain
from kshot.learners.inner_loop.exact_norm import is_stock, write_out
from kshot.learners.inner_loop.native_tasks import carry_tasks, takes_tasks
from kshot.learners.inner_loop.parameters import Tensors
from kshot.seeding import seeded

Statistics = Literal["batch", "running"]
Norm = nn.modules.batchnorm._NormBase  # of batch and instance normalisation
_LARGE = 1 << 14
"""Numbers of one task's items on a CPU beyond which many tasks are run apart: what is made of them all would not fit in the cache."""


class Network:
    """A copy of a module that shares its tensors; for one thread at a time.

    Args:
        module: Any; its flags of training stay, but for normalisation and for frozen parts, which are in evaluation mode.
        statistics: What normalisation uses that is not frozen.
        momentum: In place of the module's own, of running statistics: 1 makes them those of the last batch. None keeps it.
        each: For many tasks at once: the names of the parameters of which each task has its own. Those, buffers and items then have a
            first dimension B, and so has everything that comes out. None for one task.
    """

    def __init__(
        self, module: nn.Module, statistics: Statistics, momentum: float | None = None, each: Collection[str] | None = None
    ) -> None:
        self.module, self.each = sharing_copy(module), each
        self.norms: set[str] = set()
        frozen = {part for top in frozen_parts(self.module) for part in top.modules()}
        for path, norm in self.module.named_modules():
            if norm in frozen:
                norm.training = False
            elif isinstance(norm, Norm):
                norm.training = statistics == "batch"
                norm.momentum = norm.momentum if momentum is None else momentum
                self.norms |= {f"{path}.{name}".lstrip(".") for name in norm._buffers}
            if isinstance(norm, Norm) and (each is not None or statistics == "batch") and is_stock(norm):
                write_out(norm)
        self._takes_tasks = each is not None and statistics == "batch" and takes_tasks(self.module, each)
        if self._takes_tasks:
            carry_tasks(self.module)

    def __call__(
        self, parameters: Tensors, buffers: Tensors, x: Inputs, *, seed: tuple[int, str, int] | None = None
    ) -> tuple[Any, Tensors]:
        """Return the outputs for x and the buffers after the pass; nothing that is given changes.

        Args:
            parameters: Parameters by name; those that are missing are the module's own.
            buffers: The buffers by name.
            x: Items of one task (n, …).
            seed: What dropout draws from (see `kshot.seeding.seeded`); None leaves the generator alone.

        Raises:
            RecipeError: A buffer changed that has no policy.
            DataError: The module needs floating numbers, and x has none.
        """
        if self.each is None:
            return self._one(parameters, buffers, x, seed, alone=True)
        if self.takes_apart(x):
            return self._apart(parameters, buffers, x)
        if self._takes_tasks and isinstance(x, Tensor) and x.dtype in (torch.float32, torch.float64):
            return self._one(parameters, buffers, x, None)
        return self._at_once(parameters, buffers, x)

    def takes_apart(self, x: Inputs) -> bool:
        """Whether these are many tasks, with so many items that one is run after another."""
        return self.each is not None and too_large_together(x)

    def one_of_many(self, parameters: Tensors, buffers: Tensors, x: Inputs) -> tuple[Any, Tensors]:
        """Return the outputs and buffers of one of many tasks; nothing has a first dimension of tasks."""
        return self._one(parameters, buffers, x, None, alone=True)

    def _apart(self, parameters: Tensors, buffers: Tensors, x: Inputs) -> tuple[Any, Tensors]:
        """Many tasks, one after another."""
        assert self.each is not None
        tasks = _tasks(x)
        own = [value.unbind() if name in self.each else (value,) * tasks for name, value in parameters.items()]
        outputs, after = zip(
            *(
                self.one_of_many(
                    dict(zip(parameters, values, strict=True)),
                    {name: value[number] for name, value in buffers.items()},
                    map_inputs(lambda value, number=number: value[number], x),  # type: ignore[misc]
                )
                for number, values in enumerate(zip(*own, strict=True))
            ),
            strict=True,
        )
        if not all(isinstance(output, Tensor) for output in outputs):
            return outputs[0], {}  # whoever asked will say what is wrong with it
        return torch.stack(outputs), {name: torch.stack([kept[name] for kept in after]) for name in buffers}

    def _at_once(self, parameters: Tensors, buffers: Tensors, x: Inputs) -> tuple[Any, Tensors]:
        """Many tasks, by one `torch.vmap`."""
        assert self.each is not None
        dims = {name: 0 if name in self.each else None for name in parameters}
        try:
            run = torch.vmap(lambda own, kept, items: self._one(own, kept, items, None), in_dims=(dims, 0, 0), randomness="error")
            found: tuple[Any, Tensors] = run(parameters, buffers, x)
            return found
        except (IndexError, KeyError) as error:
            raise _of_items(map_inputs(lambda value: value[0], x), error) from error
        except RuntimeError as error:
            if "randomness" in str(error):
                raise RecipeError("the module draws random numbers, which are drawn task by task. Use tasks='in_turn'.") from error
            first = str(error).partition("\n")[0].rstrip(".")
            raise RecipeError(f"torch.vmap cannot run this module: {first}. Use tasks='in_turn' or tasks='threads'.") from error

    def _one(
        self, parameters: Tensors, buffers: Tensors, x: Inputs, seed: tuple[int, str, int] | None, *, alone: bool = False
    ) -> tuple[Any, Tensors]:
        """One call of the module; `alone` where everything is one task's, and no transform hides what happens to it."""
        given = {name: value.clone() for name, value in buffers.items()}
        versions = {name: _version(value) for name, value in (*given.items(), *parameters.items())}
        items = [(value, _version(value)) for value in _values(x)] if alone else []
        passed = {**parameters, **given}
        try:
            if seed is None:
                outputs = functional_call(self.module, passed, (x,))
            else:
                with seeded(*seed):
                    outputs = functional_call(self.module, passed, (x,))
        except (RuntimeError, IndexError, KeyError) as error:
            told = None if isinstance(error, torch.OutOfMemoryError) else of_types(x, parameters, error)
            if told is None and (alone or self._takes_tasks) and not isinstance(error, torch.OutOfMemoryError):
                told = _of_items(x, error)
            if told is None:
                raise
            raise told from error
        except TypeError as error:
            if "cannot assign" not in str(error):
                raise
            raise RecipeError(f"the forward pass assigns a parameter ({error}). {PURE}") from error
        except ValueError as error:
            if not any(words in str(error) for words in ("more than 1 value per channel", "at least 2 positions in all")):
                raise
            raise DataError(
                f"batch normalisation needs two numbers a channel for its statistics, and these items give one ({error}). Give more "
                "support items, or larger ones; ask several queries together, or each on its own by running statistics."
            ) from error
        if any(_version(value) != version for value, version in items):
            raise RecipeError(
                "the forward pass changes the items that it is given. Write x = x * 2 in place of x.mul_(2), or copy them first: x.clone()."
            )
        for name, value in parameters.items():
            if _version(value) != versions[name]:
                raise RecipeError(f"the forward pass changes the parameter {name!r} of {self._owner(name)}. {PURE}")
        for name, value in given.items():
            if name not in self.norms and (passed[name] is not value or _version(value) != versions[name]):
                raise RecipeError(
                    f"the forward pass changes the buffer {name!r} of {self._owner(name)}, which has no policy in an inner loop. "
                    "Running statistics of stock batch and instance normalisation have one. Keep what changes in a parameter, or compute "
                    "it from the inputs."
                )
        return outputs, {name: passed[name] for name in given}

    def _owner(self, name: str) -> str:
        """The kind of module that holds a parameter or a buffer."""
        return type(self.module.get_submodule(name.rpartition(".")[0])).__name__


def _version(value: Tensor) -> int:
    """A count that grows with every operation in place; inference tensors, which cannot change, have none."""
    return -1 if value.is_inference() else int(value._version)


def _values(x: Inputs) -> list[Tensor]:
    return [x] if isinstance(x, Tensor) else list(x.values())


def _numbers(x: Inputs) -> int:
    return sum(value.numel() for value in _values(x))


def _tasks(x: Inputs) -> int:
    return len(_values(x)[0])


def too_large_together(x: Inputs) -> bool:
    """Whether many tasks' items (B, n, …) are so many that together they would not fit in the cache."""
    return _numbers(x) > _LARGE * _tasks(x) and _values(x)[0].device.type == "cpu"


def sharing_copy(module: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are the same tensors, and which runs as it was before `torch.compile`.

    Raises:
        RecipeError: The module cannot be copied.
    """
    tensors = [*module.parameters(), *module.buffers()]
    try:
        copied: nn.Module = copy.deepcopy(module, {id(value): value for value in tensors})
    except (RuntimeError, TypeError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise RecipeError(
            f"the inner loop works on a copy of the module, and {type(module).__name__} cannot be copied ({first}). Keep no computed "
            "tensors as attributes: nn.utils.parametrizations.weight_norm in place of the older nn.utils.weight_norm, for one."
        ) from error
    for part in copied.modules():
        if COMPILED in part._modules:
            part.forward = plain(part).__call__
    return dense(copied)


def buffers_of(module: nn.Module) -> Tensors:
    """A module's buffers by name, detached."""
    return {name: value.detach() for name, value in module.named_buffers()}


def of_step(buffers: Tensors, step: int, *, many: bool = False) -> Tensors:
    """The buffers of one step, of buffers with a dimension that counts steps, after that of `many` tasks; later steps take the last."""
    return {name: value.select(int(many), min(step, value.shape[int(many)] - 1)) for name, value in buffers.items()}


def convolves(module: nn.Module) -> bool:
    """Whether the module holds stock convolutions other than those of our own blocks, which have operators of their own."""
    own = {part.conv for part in module.modules() if type(part) in (ConvBlock, StridedBlock)}  # a subclass may compute otherwise
    return any(isinstance(part, nn.modules.conv._ConvNd) and part not in own for part in module.modules())


PURE = "In an inner loop a forward pass may only read parameters: use none that renormalise themselves, such as nn.Embedding(max_norm=…)."


def _of_items(x: Inputs, error: Exception) -> DataError:
    """The error for items that the module fails on."""
    shapes = {"x": tuple(x.shape)} if isinstance(x, Tensor) else {name: tuple(value.shape) for name, value in x.items()}
    shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    first = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
    return DataError(
        f"the network cannot read these items of one task, {shown} ({first}). Look at their shape, kind and range, and at what the "
        "network asks for."
    )
