"""The state of a tuning that was stopped: one safetensors file, written whole or not at all, from which it goes on to the same bits.

    network/NAME        the trained parameters; the others are those of the frozen encoder
    directions          the directions of the classes
    optimizer/I/NAME    what AdamW keeps of the I-th trained parameter
    fold/K/NAME         the vectors of a finished fold

The rest is a function of what is tuned, the examples and the plan, which are named in the header: another one of them is refused. In: a
`Learning` and finished folds. Out: the file, and from it both again. Next: `kshot.tasks.tune.stages`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from kshot.atomic import write_bytes
from kshot.errors import SavedError
from kshot.meta_train.same_run import differences, environment
from kshot.regular_file import parse_json
from kshot.tasks.tune.learning import Learning
from kshot.tensor_file import form, read_header, read_tensors
from kshot.value_types import misfit

_FORMAT = 1
_KEPT = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of a parameter."""


@dataclass
class Progress:
    """How far a tuning is.

    Attributes:
        stage: Number of the stage: a fold, or after all folds the whole.
        step: Steps done in it.
        folds: The vectors of the finished folds, by their name in the file.
        seconds: Time spent so far.
    """

    stage: int = 0
    step: int = 0
    folds: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0


class _Content(TypedDict):
    """The JSON part of the file."""

    format: int
    identity: dict[str, Any]
    environment: dict[str, Any]
    stage: int
    step: int
    seconds: float
    checksum: str


@dataclass(frozen=True)
class Read:
    """A state that was read, and belongs to what is tuned.

    Attributes:
        progress: How far it is.
        tensors: What belongs to the stage that was stopped, by name; empty at its beginning.
        elsewhere: How this environment differs from that of the state, in words. Then what follows is right, but not to the bit.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]
    elsewhere: list[str]

    def fill(self, learning: Learning, path: Path) -> None:
        """Bring a new `Learning` to where the stage was stopped.

        Raises:
            SavedError: The file does not fit it.
        """
        wanted = _tensors_of(learning, kept=False)
        moved = {name.split("/")[1] for name in self.tensors if name.startswith("optimizer/")}  # the others never had a gradient
        learned = [(number, parameter) for number, parameter in enumerate(_parameters(learning)) if str(number) in moved]
        for number, parameter in learned:
            wanted |= {f"optimizer/{number}/{name}": torch.zeros(()) if name == "step" else parameter for name in _KEPT}
        for name in {*wanted, *self.tensors}:
            have, want = (form(one[name]) if name in one else "nothing" for one in (self.tensors, wanted))
            if have != want:
                raise _unusable(path, f"{name} must be {want}; found {have}")
        with torch.no_grad():
            for name, tensor in _tensors_of(learning, kept=False).items():
                tensor.copy_(self.tensors[name])
        kept = {}
        for number, parameter in learned:
            one = {name: self.tensors[f"optimizer/{number}/{name}"] for name in _KEPT}
            kept[number] = {name: one[name] if name == "step" else torch.empty_like(parameter).copy_(one[name]) for name in _KEPT}
        learning.optimizer.load_state_dict({"state": kept, "param_groups": learning.optimizer.state_dict()["param_groups"]})


def write_state(path: Path, identity: Mapping[str, Any], progress: Progress, learning: Learning | None) -> None:
    """Write a state. The file at `path` is whole at all times.

    Args:
        path: The file.
        identity: What is tuned, on which examples and how, as plain JSON values.
        progress: How far it is.
        learning: What learns, between two steps; None between two stages.

    Raises:
        SavedError: The disk refused it. The state that was there before is untouched.
    """
    tensors = {f"fold/{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in progress.folds.items()}
    if learning is not None and progress.step:
        tensors |= {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in _tensors_of(learning, kept=True).items()}
    content: dict[str, Any] = {
        "format": _FORMAT,
        "identity": dict(identity),
        "environment": environment(),
        "stage": progress.stage,
        "step": progress.step,
        "seconds": progress.seconds,
    }
    content["checksum"] = _checksum(content, tensors)
    write_bytes(path, safetensors.torch.save(tensors, {"kshot": json.dumps(content)}))


def read_state(path: Path, identity: Mapping[str, Any]) -> Read:
    """Read a state.

    Args:
        path: The file.
        identity: What is tuned now.

    Raises:
        SavedError: It is missing or damaged, or belongs to another tuning.
    """
    try:
        header = read_header(path)
        content = parse_json(header.metadata["kshot"])
        if fault := misfit(_Content, content):
            raise _unusable(path, fault)
        if content["format"] != _FORMAT:
            raise _unusable(path, f"its format is {content['format']}; this kshot reads {_FORMAT}")
        tensors, _ = read_tensors(path, header)
    except FileNotFoundError:
        raise SavedError(f"there is no tuning to resume: {path} is missing. Give the command without --resume.") from None
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(path, str(error)) from error
    if content["checksum"] != _checksum({name: value for name, value in content.items() if name != "checksum"}, tensors):
        raise _unusable(path, "its contents have changed since it was written")
    if other := differences(content["identity"], dict(identity)):
        raise SavedError(
            f"{path} belongs to another tuning: {'; '.join(other[:5])}. Give the same examples and flags as before, or begin again with "
            "--overwrite."
        )
    folds = {name.removeprefix("fold/"): tensor.numpy() for name, tensor in tensors.items() if name.startswith("fold/")}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith("fold/")}
    progress = Progress(content["stage"], content["step"], folds, content["seconds"])
    return Read(progress, rest, differences(content["environment"], environment()))


def _parameters(learning: Learning) -> list[torch.nn.Parameter]:
    return [*learning.trained(), learning.directions]


def _tensors_of(learning: Learning, *, kept: bool) -> dict[str, Tensor]:
    """Return what is trained by its name in the file, and with `kept`, what the optimiser keeps of it."""
    named = learning.tunable.network.named_parameters()
    found: dict[str, Tensor] = {f"network/{name}": parameter for name, parameter in named if parameter.requires_grad}
    found["directions"] = learning.directions
    if kept:
        state = learning.optimizer.state_dict()["state"]
        found |= {f"optimizer/{number}/{name}": value for number, values in state.items() for name, value in values.items()}
    return found


def _checksum(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"\0{name}\0{form(tensors[name])}\0".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _unusable(path: Path, fault: str) -> SavedError:
    return SavedError(f"{path} is damaged: {fault}. Begin again with --overwrite.")
