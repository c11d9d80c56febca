"""The training state: all that an exact resume needs, in one file that is written whole or not at all.

`TrainState` holds the learner, the optimiser, the progress of the run, the best state so far, the patience used up and the history.
Everything else about a run is a function of its recipe: the schedule depends on the number of the update; the episodes and the randomness
of stock modules depend on (seed, update). A head that exists only for training is in the state, but not in the best state, which is saved
as the learner. The file is safetensors with the JSON part in its header.
"""

import copy
import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from kshot.atomic import write_bytes
from kshot.errors import SavedError
from kshot.learners.backbone_form import load_plain_state, plain_name, plain_state
from kshot.learners.learner import Trainable
from kshot.short_repr import short_repr, shown

FORMAT = 1
STATE = "state.safetensors"
"""Name of the state file in the folder of a run."""

Trained = TypeVar("Trained", bound=Trainable)


@dataclass
class TrainState(Generic[Trained]):
    """The state of a run between two updates.

    Attributes:
        learner: The learner, or a learned optimiser in its training, with its present parameters and buffers.
        optimizer: Optimiser of the parameters that are trained.
        update: Updates done.
        with_head: The module that holds the learner and a head, if the learner is trained with a head (`Learner.for_training`).
        best: Parameters and buffers of the learner at the best validation so far, by name, on the CPU; empty before the first one.
        best_score: Score of the best validation, or None.
        best_update: Updates done at the best validation.
        waited: Validations since the best one.
        stopped: Whether patience ran out.
        history: One entry per validation: update, mean, interval, and the mean training loss since the validation before.
        loss_sum: Sum of the losses since the last validation, so that its mean survives a resume.
    """

    learner: Trained
    optimizer: torch.optim.Optimizer
    with_head: Trainable | None = None
    update: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float | None = None
    best_update: int = 0
    waited: int = 0
    stopped: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0

    def __repr__(self) -> str:
        best = "no validation yet" if self.best_score is None else f"best {shown(self.best_score)} at update {self.best_update}"
        head = [] if self.with_head is None else [f"with_head={type(self.with_head).__name__}"]
        parts = [f"update={self.update}", repr(self.learner), *head, type(self.optimizer).__name__, best, f"waited={self.waited}"]
        return short_repr("TrainState", [*parts, f"stopped={self.stopped}"])

    @property
    def trained(self) -> Trainable:
        """The module that an update changes: the learner with its head, or the learner."""
        return self.learner if self.with_head is None else self.with_head

    def best_or_last(self) -> dict[str, Tensor]:
        """Return the tensors to keep when the run is over."""
        return self.best or on_cpu(self.learner.state_dict())


_PLAIN = ("update", "best_score", "best_update", "waited", "stopped", "history", "loss_sum")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_table_of_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(number.isdecimal() and isinstance(part, dict) for number, part in value.items())


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) and all(map(_is_number, row.values())) for row in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "recipe": lambda value: isinstance(value, dict),
    "environment": lambda value: isinstance(value, dict),
    "optimizer": _is_table_of_tables,
    "update": _is_count,
    "best_score": lambda value: value is None or _is_number(value),
    "best_update": _is_count,
    "waited": _is_count,
    "stopped": lambda value: isinstance(value, bool),
    "history": _is_history,
    "loss_sum": _is_number,
}
"""What the header of a state file holds, and whether a value can be that."""


def on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU that share no memory; a copy of anything that is no tensor (`get_extra_state`)."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() if isinstance(tensor, Tensor) else copy.deepcopy(tensor)
        for name, tensor in tensors.items()
    }


def environment() -> dict[str, Any]:
    """Return what must be equal for bit identity: machine, torch version and thread count."""
    return {
        "machine": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads(),
    }


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


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and the tensors of a state file.

    Raises:
        SavedError: The file is missing, cut off or damaged, is not a state, or has a newer format.
    """
    try:
        data = path.read_bytes()
        tensors = safetensors.torch.load(data)
        header = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["kshot"])
    except FileNotFoundError:
        raise SavedError(f"there is no training state {path}. Start the run without --resume.") from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise SavedError(f"{path} is not a whole training state ({error}). Start the run again in another folder.") from error
    version = header.get("format") if isinstance(header, dict) else None
    if not isinstance(version, int):
        raise SavedError(f"{path} is not a training state: it has no format. Start the run again in another folder.")
    if version > FORMAT:
        raise SavedError(f"{path} has format {version}; this kshot reads up to {FORMAT}. Install a newer kshot.")
    if missing := [key for key in _FITS if key not in header]:
        raise SavedError(f"{path} is damaged: {', '.join(missing)} is missing. Start the run again in another folder.")
    if header.get("checksum", "") not in ("", _checksum(header, tensors)):  # earlier versions wrote none
        raise SavedError(f"{path} is damaged: its contents have changed since it was written. Start the run again in another folder.")
    if wrong := [key for key, fits in _FITS.items() if not fits(header[key])]:
        raise SavedError(f"{path} is damaged: {wrong[0]} is {header[wrong[0]]!r}. Start the run again in another folder.")
    return header, tensors


def restore(path: Path, state: TrainState[Any], recipe: dict[str, Any]) -> list[str]:
    """Bring a new state to where a saved one was.

    Args:
        path: A file written by `save_state`.
        state: A state with a learner and an optimiser built from the same recipe. It is changed in place.
        recipe: What this run does. It must equal the recipe of the saved run.

    Returns:
        The differences between this environment and the saved one. If there are any, the continuation is right but not bit-identical.

    Raises:
        SavedError: The file cannot be used, or the recipe differs (the message names each difference).
    """
    header, tensors = read_state(path)
    if differing := differences(header["recipe"], recipe):
        raise SavedError(
            f"{path} belongs to a run with another recipe: {'; '.join(differing[:5])}. "
            "Resume with the recipe of the run, or start a new run in another folder."
        )
    try:
        load_plain_state(state.trained, _under("learner", tensors))
    except RuntimeError as error:  # the code has changed: the same recipe now builds another network
        first = str(error).partition("\n\t")[2].partition("\n")[0]
        raise SavedError(f"{path} does not fit the learner that its recipe builds today: {first}") from error
    own = {plain_name(name): name for name in state.learner.state_dict()}
    state.best = {own.get(name, name): value for name, value in _under("best", tensors).items()}
    if state.best and _shapes(state.best) != _shapes(state.learner.state_dict()):
        raise SavedError(f"{path} is damaged: its best state has other tensors than the learner. Start the run again in another folder.")
    values = _optimizer_values(path, header["optimizer"], _under("optimizer", tensors), state.optimizer)
    state.optimizer.load_state_dict({"state": values, "param_groups": state.optimizer.state_dict()["param_groups"]})
    for name in _PLAIN:
        setattr(state, name, header[name])
    now = environment()
    return differences(header["environment"], now)


def _under(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part of a state file, by their names in it."""
    return {name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _optimizer_values(
    path: Path, plain: dict[str, dict[str, Any]], tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[int, dict[str, Any]]:
    """What the optimiser remembers, by the number of the parameter and by name, in the memory layout of the parameters.

    Raises:
        SavedError: A tensor belongs to no parameter or has another shape, or one parameter has values that another lacks.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values: dict[str, dict[str, Any]] = {number: dict(part) for number, part in plain.items()}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        known = number.isdecimal() and int(number) < len(parameters)
        if known and tensor.shape == (() if key == "step" else parameters[int(number)].shape):
            # other strides would round differently
            values.setdefault(number, {})[key] = tensor if key == "step" else torch.empty_like(parameters[int(number)]).copy_(tensor)
        else:
            found = f"optimizer/{name} of shape {tuple(tensor.shape)}"
            raise SavedError(f"{path} does not fit the parameters that its recipe builds today: found {found}. Start the run again.")
    if len({frozenset(part) for part in values.values()}) > 1:
        raise SavedError(
            f"{path} is damaged: the optimiser's values of some parameters are missing. Start the run again in another folder."
        )
    return {int(number): part for number, part in values.items()}


def differences(saved: Any, now: Any, where: str = "") -> list[str]:
    """List the differences between two nested structures of plain values, for example `training.lr was 0.1, is 0.2`."""
    if isinstance(saved, dict) and isinstance(now, dict):
        keys = [*saved, *(key for key in now if key not in saved)]
        return [text for key in keys for text in differences(saved.get(key), now.get(key), f"{where}.{key}" if where else key)]
    return [] if saved == now else [f"{where} was {_said(saved)}, is {_said(now)}"]


def _said(value: Any) -> str:
    return "not set" if value is None else repr(value)
