"""A training state in one file, written whole or not at all: all that an exact resume needs.

A head that exists only for training is in the file, but not in the best state, which is saved as the learner. The file is safetensors with
the JSON part in its header; all that is read back is checked before anything is changed. In: a `TrainState` and its recipe. Out: the same.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import safetensors.torch
import torch
from torch import Tensor

from kshot.atomic import write_bytes
from kshot.errors import SavedError
from kshot.learners.backbone_form import load_plain_state, plain_name, plain_state
from kshot.meta_train.same_run import differences, environment
from kshot.meta_train.state import TrainState, on_cpu
from kshot.regular_file import parse_json
from kshot.tensor_file import MOST_BYTES, form, misfits, read_header, read_tensors, unusable
from kshot.value_types import misfit

FORMAT = 1
STATE = "state.safetensors"
"""Name of the state file in the folder of a run."""


_PLAIN = ("update", "best_score", "best_update", "waited", "stopped", "history", "loss_sum")


def save_state(path: Path, state: TrainState[Any], recipe: dict[str, Any]) -> None:
    """Write a state. The file at `path` is whole at all times.

    Args:
        path: Path of the file.
        state: The run between two updates.
        recipe: What the run does, as plain JSON values. A resume with another recipe is refused.

    Raises:
        SavedError: The disk refused the file, or what is trained has other state than tensors. The earlier state is untouched.
    """
    tensors = {f"learner/{name}": tensor for name, tensor in on_cpu(plain_state(state.trained)).items()}
    tensors |= {f"best/{plain_name(name)}": tensor for name, tensor in state.best.items()}
    optimizer = state.optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for number, values in optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
            else:
                plain.setdefault(str(number), {})[name] = value
    header = {
        "format": FORMAT,
        "recipe": recipe,
        "environment": environment(),
        "optimizer": plain,
        **{name: getattr(state, name) for name in _PLAIN},
    }
    header["checksum"] = _checksum(header, tensors)
    write_bytes(path, safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))


def _checksum(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Return the checksum of everything in a state file except the checksum."""
    digest = hashlib.sha256(json.dumps({name: value for name, value in header.items() if name != "checksum"}, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"\0{name}\0{tensors[name].dtype}\0{tuple(tensors[name].shape)}\0".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class _Validated(TypedDict):
    update: int
    mean: Any  # a number, which may be NaN or infinite
    interval: Any
    loss: Any


class _Content(TypedDict):
    """The JSON part of a state file."""

    format: int
    recipe: dict[str, Any]
    environment: dict[str, Any]
    optimizer: dict[str, dict[str, Any]]
    update: int
    best_score: float | None
    best_update: int
    waited: int
    stopped: bool
    history: list[_Validated]
    loss_sum: float
    checksum: NotRequired[str]


def read_state(path: Path, most: int = MOST_BYTES) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the JSON part and the tensors of a state file.

    Args:
        path: The file.
        most: Bytes that the file may have.

    Raises:
        SavedError: The file is missing, cut off or damaged, is not a state, is larger than `most`, or has a newer format.
    """
    try:
        header = read_header(path, most)
        content = parse_json(header.metadata["kshot"], finite=False)  # the mean of a validation may be NaN
    except FileNotFoundError:
        raise SavedError(f"there is no training state {path}. Start the run without --resume.") from None
    except (OSError, ValueError, KeyError) as error:
        raise SavedError(f"{path} is not a whole training state ({error}). Start the run again in another folder.") from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int:
        raise SavedError(f"{path} is not a training state: it has no format. Start the run again in another folder.")
    if version > FORMAT:
        raise SavedError(f"{path} has format {version}; this kshot reads up to {FORMAT}. Install a newer kshot.")
    if fault := _fault(content):
        raise _damaged(path, fault)
    try:
        tensors, _ = read_tensors(path, header)
    except (OSError, ValueError) as error:
        raise SavedError(f"{path} is not a whole training state ({error}). Start the run again in another folder.") from error
    if content.get("checksum", "") not in ("", _checksum(content, tensors)):  # earlier versions wrote none
        raise _damaged(path, "its contents have changed since it was written")
    return content, tensors


def _fault(content: dict[str, Any]) -> str:
    """Say what is wrong with the JSON part of a state; empty if nothing is."""
    if content["format"] < 1:
        return f"formats are 1 and more; found {content['format']}"
    if fault := misfit(_Content, content):
        return fault
    if negative := next((name for name in ("update", "best_update", "waited") if content[name] < 0), None):
        return f"{negative} must be at least 0; found {content[negative]}"
    for entry in content["history"]:
        if odd := next((name for name in ("mean", "interval", "loss") if type(entry[name]) not in (int, float)), None):
            return f"the {odd} of a validation must be a number; found {entry[odd]!r}"
    updates = [entry["update"] for entry in content["history"]]
    if updates != sorted(set(updates)) or (updates and not 0 < updates[0] <= updates[-1] <= content["update"]):
        return "the validations do not follow each other"
    return ""


def _damaged(path: Path, fault: str) -> SavedError:
    return SavedError(f"{path} is damaged: {fault}. Start the run again in another folder.")


def restore(path: Path, state: TrainState[Any], recipe: dict[str, Any]) -> list[str]:
    """Bring a new state to where a saved one was.

    Args:
        path: A file written by `save_state`.
        state: A state with a learner and an optimiser built from the same recipe. It is changed in place, after all checks.
        recipe: What this run does. It must equal the recipe of the saved run.

    Returns:
        The differences between this environment and the saved one. If there are any, the continuation is right but not bit-identical.

    Raises:
        SavedError: The file cannot be used, or the recipe differs (the message names each difference).
    """
    content, tensors = read_state(path, _most_bytes(state))
    if differing := differences(content["recipe"], recipe):
        raise SavedError(
            f"{path} belongs to a run with another recipe: {'; '.join(differing[:5])}. "
            "Resume with the recipe of the run, or start a new run in another folder."
        )
    trained, best = (_plainly_named(_under(part, tensors)) for part in ("learner/", "best/"))
    for found, module in ((trained, state.trained), (best, state.learner)):
        wanted = plain_state(module)
        if found is best and not best and content["best_score"] is None:
            continue  # before the first validation
        if differing_tensors := misfits(wanted, {name: form(tensor) for name, tensor in found.items()}, "the state"):
            whose = "its best state does" if found is best else "it does"
            raise SavedError(f"{path}: {whose} not fit the learner that its recipe builds today: {differing_tensors}.")
        if useless := unusable(found, map(plain_name, dict(module.named_parameters()))):
            raise _damaged(path, f"{'best/' if found is best else 'learner/'}{useless}")
    try:
        values = _optimizer_values(state.optimizer, content["optimizer"], _under("optimizer/", tensors), content["update"])
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    load_plain_state(state.trained, trained)
    own = {plain_name(name): name for name in state.learner.state_dict()}
    state.best = {own[name]: value for name, value in best.items()}
    state.optimizer.load_state_dict({"state": values, "param_groups": state.optimizer.state_dict()["param_groups"]})
    for name in _PLAIN:
        setattr(state, name, content[name])
    now = environment()
    return differences(content["environment"], now)


def _plainly_named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {plain_name(name): tensor for name, tensor in tensors.items()}


def _under(beginning: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(beginning): tensor for name, tensor in tensors.items() if name.startswith(beginning)}


def _most_bytes(state: TrainState[Any]) -> int:
    """Return how large a state file of this learner can be: the learner, its best state and at most four tensors per parameter."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.trained.state_dict().values())
    return 64 * 2**20 + 8 * int(size)


def _optimizer_values(
    optimizer: torch.optim.Optimizer, plain: Mapping[str, Mapping[str, Any]], tensors: Mapping[str, Tensor], updates: int
) -> dict[int, dict[str, Any]]:
    """Return what an optimiser keeps of each parameter, by the number of the parameter.

    Raises:
        ValueError: It does not fit the parameters, or a part of it is missing.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values: dict[int, dict[str, Any]] = {_number(number, len(parameters)): dict(one) for number, one in plain.items()}
    for name, tensor in tensors.items():
        text, _, key = name.partition("/")
        number = _number(text, len(parameters))
        parameter = parameters[number]
        if tensor.numel() != 1 and tensor.shape != parameter.shape:
            raise ValueError(f"optimizer/{name} has the shape {tuple(tensor.shape)} for a parameter of {tuple(parameter.shape)}")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(f"optimizer/{name} holds values that are no real numbers or not finite")
        if key == "exp_avg_sq" and bool((tensor < 0).any()):
            raise ValueError(f"optimizer/{name} holds a negative mean of squares")
        if key != "step" and tensor.shape == parameter.shape:  # other strides would round differently
            tensor = torch.empty_like(parameter).copy_(tensor)
        values.setdefault(number, {})[key] = tensor
    wanted = _kept_by(optimizer)
    for number, one in values.items():
        if wanted is not None and set(one) != wanted:
            raise ValueError(f"parameter {number} of the optimiser needs {', '.join(sorted(wanted)) or 'nothing'}; found {sorted(one)}")
        shape = parameters[number].shape
        for key in (wanted or set()) - {"step"}:
            if not isinstance(one[key], Tensor) or one[key].shape != shape:
                raise ValueError(f"optimizer/{number}/{key} is not a tensor of the shape {tuple(shape)}")
        if "step" in (wanted or ()) and not 0 <= float(one["step"]) <= updates:
            raise ValueError(f"optimizer/{number}/step must be from 0 to {updates}; found {float(one['step']):g}")
    if wanted and updates and not values:
        raise ValueError(f"after {updates} updates, what the optimiser keeps ({', '.join(sorted(wanted))}) is missing")
    return values


def _kept_by(optimizer: torch.optim.Optimizer) -> set[str] | None:
    """Name what an optimiser of `Optimization` keeps of each parameter; None for another optimiser, about which nothing is known."""
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
        return {"step", "exp_avg", "exp_avg_sq"}
    if type(optimizer) is torch.optim.SGD:
        return {"momentum_buffer"} if optimizer.param_groups[0]["momentum"] else set()
    return None


def _number(text: str, count: int) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or int(text) >= count:
        raise ValueError(f"the optimiser has {count} parameters; there is no parameter {text[:20]!r}")
    return int(text)
