"""What learners ask of the networks that they are given, and what they say about a network that is not like that.

    embed, vectors_of     a network gives one vector per item, (M, D)
    frozen_parts          a part whose parameters are all frozen stays in evaluation mode
    require_shapes        a lazy module was called once, so that its parameters have shapes
    dense                 embeddings give dense gradients
    plain_state, plain    `torch.compile` changes no name, and is looked through where a network is taken apart

In: any `nn.Module`. Out: tensors, names, or an error with the cure. Next: `kshot.learners.learner` and the learners.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from kshot.data.inputs import Inputs, count_items
from kshot.errors import DataError, RecipeError, SavedError

COMPILED = "_orig_mod"
"""The name under which `torch.compile` keeps the module that it was given."""


def embed(backbone: nn.Module, x: Inputs, learner: str, features: int | None = None) -> Tensor:
    """Return what a network makes of items: (M, …) → (M, D).

    Args:
        backbone: The network.
        x: Items (M, …).
        learner: Name of the learner, for messages.
        features: D, if the learner was built for one.

    Raises:
        RecipeError: The network gives anything but one vector per item, or another D.
        DataError: The items are of another type than the network computes with.
    """
    return vectors_of(called(backbone, x), learner, count_items(x), features)


def called(backbone: nn.Module, x: Inputs, parameters: Mapping[str, Tensor] | None = None) -> Any:
    """Return whatever a network makes of items (M, …).

    Args:
        backbone: The network.
        x: Items (M, …).
        parameters: Values by name, in place of the network's own.

    Raises:
        DataError: The items are of another type than the network computes with.
        RecipeError: It gives a tensor that no learner computes with.
    """
    try:
        found = backbone(x) if parameters is None else functional_call(backbone, dict(parameters), (x,))
    except RuntimeError as error:
        told = None if isinstance(error, torch.OutOfMemoryError) else of_types(x, dict(backbone.named_parameters()), error)
        if told is None:
            raise
        raise told from error
    if isinstance(found, Tensor):
        require_numbers(found, backbone)
    return found


def require_numbers(found: Tensor, backbone: nn.Module) -> None:
    """Raise an error unless a network gave dense floating numbers, in float32 or in the type of its parameters."""
    own = next((value.dtype for value in backbone.parameters() if value.is_floating_point()), None)
    if own is None:
        return  # it gives its items as they are, in their type
    kind = str(found.dtype).removeprefix("torch.")
    if found.layout != torch.strided or found.is_meta:
        kind = "a sparse tensor" if found.layout != torch.strided else "a tensor without numbers (meta)"
    elif found.dtype in (own, torch.float32) or (found.is_floating_point() and torch.is_autocast_enabled(found.device.type)):
        return
    raise RecipeError(
        "a backbone must give dense floating numbers, in float32 or in the type of its parameters, "
        f"{str(own).removeprefix('torch.')}; this one gives {kind}. Let its forward convert them: `return x.float()`."
    )


def vectors_of(found: object, learner: str, items: int, features: int | None = None) -> Tensor:
    """Return what a network gave, if it is one vector per item.

    Args:
        found: What it gave.
        learner: Name of the learner, for messages.
        items: M.
        features: D, if the learner was built for one.

    Raises:
        RecipeError: It is anything but a tensor (M, D), or has another D.
    """
    if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != items:
        raise RecipeError(
            f"{learner} needs a backbone that gives one vector per item, (M, D); this one gives {said(found, items)}. {_cure(found, items)}"
        )
    if features is not None and found.shape[1] != features:
        raise other_features(learner, features, tuple(found.shape[1:]))
    return found


def tensor_of(found: object, learner: str, items: int, wanted: str, sides: Collection[int] = ()) -> Tensor:
    """Return what a network gave, if it is one tensor with a row per item.

    Args:
        found: What it gave.
        learner: Name of the learner, for messages.
        items: M.
        wanted: What the learner needs, in words.
        sides: Numbers of dimensions that it may have; empty for any.

    Raises:
        RecipeError: It is anything else.
    """
    plain_tensor = isinstance(found, Tensor) and found.ndim >= 2 and found.shape[0] == items
    if not isinstance(found, Tensor) or not plain_tensor or (sides and found.ndim not in sides):
        cure = "Bring it into one of these forms." if plain_tensor else _cure(found, items)
        raise RecipeError(f"{learner} needs a backbone that gives {wanted}; this one gives {said(found, items)}. {cure}")
    return found


def other_features(learner: str, features: int, form: tuple[int, ...], wanted: str = "") -> RecipeError:
    """Return the error for a network that gives features of another form than the learner was built for."""
    return RecipeError(
        f"{learner} was built with features={features}{wanted}; its backbone gives {form} per item. Set features to the number that the "
        "backbone gives (learner.features in a recipe)."
    )


def said(found: object, items: int) -> str:
    """Describe what a network gave for M items: `a mapping of last_hidden_state (M, 5, 8), pooler_output (M, 8)`."""
    if isinstance(found, Tensor):
        return _shape(found, items)
    kind = type(found).__name__
    if isinstance(found, Mapping):
        kind = "mapping" if kind == "dict" else kind
        return f"a {kind} of {', '.join(f'{name} {said(value, items)}' for name, value in found.items()) or 'nothing'}"
    if isinstance(found, Sequence) and not isinstance(found, str):
        return f"a {kind} of {', '.join(said(value, items) for value in found) or 'nothing'}"
    return f"a {kind}"


def _shape(value: Tensor, items: int) -> str:
    sides = ["M" if number == 0 and side == items else str(side) for number, side in enumerate(value.shape)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})" + ("" if value.ndim and len(value) == items else f" for M = {items}")


def _cure(found: object, items: int) -> str:
    if isinstance(found, Mapping):
        best = [name for name, value in found.items() if isinstance(value, Tensor) and value.ndim == 2 and len(value) == items] or [*found]
        name = "pooler_output" if "pooler_output" in found else str(next(iter(best), "name"))
        return f"Let its forward return one tensor: `return x.{name}`." if name in dir(found) else f"Let its forward `return x[{name!r}]`."
    if isinstance(found, Sequence):
        return "Let its forward return one tensor, such as `return x[0]`."
    if not isinstance(found, Tensor):
        return "Let its forward return one tensor, such as `return x.pooler_output`."
    if found.ndim == 0 or len(found) != items:
        return "Keep items separate: its output must have one row for each."
    if found.ndim == 1:
        return "Keep the dimension of the vector: `return x.unsqueeze(1)`."
    if found.ndim == 3:
        return "Make one vector of its tokens: `return x.mean(1)`, or the first token: `return x[:, 0]`."
    return "End it with nn.Flatten(), or with nn.AdaptiveAvgPool2d(1) and nn.Flatten()."


def of_types(x: Inputs, parameters: Mapping[str, Tensor], error: Exception) -> DataError | None:
    """Return the error for items of another type than a network computes with; None where that is not what is wrong."""
    named: Mapping[str, Tensor] = {"x": x} if isinstance(x, Tensor) else x
    about_types = any(
        word in str(error) for word in ("dtype", "scalar type", "not implemented for", "should be the same", "floating point")
    )
    own = next((value.dtype for value in parameters.values() if value.is_floating_point()), torch.float32)
    other = [name for name, value in named.items() if value.is_floating_point() and value.dtype != own]
    whole = [name for name, value in named.items() if not value.is_floating_point()]
    if not about_types or not (other or whole):
        return None
    name = (other or whole)[0]
    return other_type(own, name, named[name].dtype, str(error).partition("\n")[0])


def other_type(own: torch.dtype, name: str, found: torch.dtype, detail: str) -> DataError:
    """Return the error for items of another type than a module computes with.

    Args:
        own: The type of its parameters.
        name: What the items are called: `x`, or their name in a mapping.
        found: Their type.
        detail: What more there is to say, in a few words.
    """
    convert = f"{name}.{'double' if own == torch.float64 else 'float'}()"
    cure = f"{convert}, or the module: learner.double()" if found == torch.float64 else convert
    return DataError(f"the module computes with {own}, and the items {name!r} are {found} ({detail}). Convert them: {cure}.")


def frozen_parts(module: nn.Module) -> list[nn.Module]:
    """Return the parts inside a module that are frozen: they have parameters, and none of these needs a gradient.

    A part without parameters (dropout, normalisation without scale and shift) belongs to what holds it: it is frozen inside a frozen part,
    and only there. Each part in the answer stands for all that it holds.
    """
    return _frozen_inside(module)[0]


def _frozen_inside(module: nn.Module) -> tuple[list[nn.Module], bool, bool]:
    """Return the frozen parts, whether the module has parameters, and whether one needs a gradient. One pass, made for every update."""
    parts: list[nn.Module] = []
    own = [value.requires_grad for value in module._parameters.values() if value is not None]
    has, needs = bool(own), any(own)
    for child in module._modules.values():
        if child is not None:
            inside, child_has, child_needs = _frozen_inside(child)
            parts += [child] if child_has and not child_needs else inside
            has, needs = has or child_has, needs or child_needs
    return parts, has, needs


def require_shapes(named: Iterable[tuple[str, Tensor]]) -> None:
    """Raise an error if a parameter or a buffer has no shape yet.

    Args:
        named: As from `module.named_parameters()`.

    Raises:
        RecipeError: One has none; it is named.
    """
    for name, value in named:
        if is_lazy(value):
            raise RecipeError(f"{name!r} has no shape yet: it belongs to a lazy module. Call the module once on some items first.")


def plain_name(name: str) -> str:
    """Return the name of a parameter or a buffer as it was before `torch.compile`."""
    return name.replace(f"{COMPILED}.", "")


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by their plain names, as they can be saved.

    Raises:
        RecipeError: A parameter or buffer has no shape yet.
        SavedError: The module has other state than tensors.
    """
    require_shapes(module.state_dict().items())
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise SavedError(
                f"a learner is saved as tensors, and {name!r} is a {type(value).__name__}. Keep it in a buffer (register_buffer), or let "
                "get_extra_state return a tensor."
            )
    return {plain_name(name): value for name, value in module.state_dict().items()}


def load_plain_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill a module with what `plain_state` gave of it or of its like; errors are those of `load_state_dict`."""
    own = {plain_name(name): name for name in module.state_dict()}
    module.load_state_dict({own.get(plain_name(name), name): value for name, value in tensors.items()})


def plain(module: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` was given; any other module unchanged."""
    return module.get_submodule(COMPILED) if COMPILED in module._modules else module


def dense(module: nn.Module) -> nn.Module:
    """Return a private copy of a module after its embeddings were told to give dense gradients, which every update rule takes."""
    for part in module.modules():
        if isinstance(part, nn.Embedding | nn.EmbeddingBag):
            part.sparse = False
    return module
