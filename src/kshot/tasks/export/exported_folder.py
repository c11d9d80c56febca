"""An exported task in a folder: written whole or not at all, after its own program has given kshot's probabilities.

    network.onnx     a thing as the network takes it → a vector
    task.json        the classes, the rule (`kshot.tasks.export.rule`), its calibration, and what the network takes, in words
    predict.py       thirty lines of numpy and ONNX Runtime that answer with the two
    inputs.npz       a few things as the network takes them, to try it
    examples.npz     for a learner without classes: examples of two made-up ones, to try it
    tokenizer.json   for texts

In: a `Task`. Out: the folder. `task.json` is written last: where it lies, the others are whole.
"""

import io
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kshot.atomic import json_text, write_bytes
from kshot.encoders.encoder import Provenance
from kshot.encoders.onnx_export import WITHIN
from kshot.errors import ContractError, SavedError
from kshot.regular_file import look, names_in
from kshot.tasks.export.example import example_of
from kshot.tasks.export.rule import Rule
from kshot.version import VERSION

FORMAT = 1
TASK, NETWORK, EXAMPLE, INPUTS, EXAMPLES, TOKENIZER = (
    "task.json",
    "network.onnx",
    "predict.py",
    "inputs.npz",
    "examples.npz",
    "tokenizer.json",
)


@dataclass(frozen=True, eq=False)
class Task:
    """What is exported.

    Attributes:
        source: What it was made of, as the user named it.
        classes: The names of the N classes; none for a learner that learns them from `examples` on the other machine.
        rule: How vectors become probabilities.
        network: The ONNX file.
        takes: What it takes, in words, as plain JSON values.
        inputs: A few things as the network takes them, by the names of its inputs, to try and to check it.
        probabilities: What kshot answers for `inputs`, (M, N).
        provenance: Of the weights.
        examples: Without classes: things as the network takes them, and `labels`.
        sets: Coverage → the log-probability from which on a class is in the set of a thing; the most probable class always is.
        more: Further files by name, such as a tokenizer.
    """

    source: str
    classes: tuple[str, ...]
    rule: Rule
    network: bytes
    takes: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray]
    probabilities: np.ndarray
    provenance: Provenance
    examples: Mapping[str, np.ndarray] = field(default_factory=dict)
    more: Mapping[str, bytes] = field(default_factory=dict)
    sets: Mapping[str, float] = field(default_factory=dict)


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Check before the long work that a task can be exported to a folder.

    Raises:
        SavedError: It is a file, holds an exported task that may not be replaced, or holds other files.
    """
    if look(folder, SavedError) not in ("folder", "nothing"):
        raise SavedError(f"{folder} is a file; a task is exported as a folder. Choose another name.")
    names = names_in(folder, SavedError)
    if TASK in names and not overwrite:
        raise SavedError(f"{folder} holds an exported task. Replace it with --overwrite, or choose another folder.")
    known = {TASK, NETWORK, EXAMPLE, INPUTS, EXAMPLES, TOKENIZER}
    if others := [name for name in names if name not in known and not name.endswith(".part") and TASK not in names]:
        raise SavedError(f"{folder} holds other files, such as {others[0]}. Choose an empty or new folder.")


def write_task(folder: Path, task: Task) -> None:
    """Write a task, after its program has answered as kshot does.

    Raises:
        ContractError: It has not; nothing is written.
        SavedError: The folder or the disk refused it.
    """
    files = _files(task)
    off = _checked(files, task)
    if not off <= WITHIN:
        raise ContractError(
            f"the exported task gives probabilities that differ from kshot's by {off:.2g}; at most {WITHIN} is allowed. Please report it."
        )
    for name in sorted(files, key=lambda name: name == TASK):
        write_bytes(folder / name, files[name])
    for name in {EXAMPLES, TOKENIZER} - files.keys():  # of a task that was there before
        (folder / name).unlink(missing_ok=True)


def _files(task: Task) -> dict[str, bytes]:
    content = {
        "format": FORMAT,
        "kshot": VERSION,
        "source": task.source,
        "classes": list(task.classes),
        "network": {"file": NETWORK, "sha256": sha256(task.network).hexdigest(), "takes": dict(task.takes)},
        "provenance": {"licence": task.provenance.licence, "source": task.provenance.source, "package": task.provenance.package},
        "rule": task.rule.as_dict(),
        "calibration": {"temperature": task.rule.temperature, "sets": dict(task.sets)},
    }
    files = {NETWORK: task.network, EXAMPLE: example_of(task.rule).encode(), INPUTS: _npz(task.inputs), **task.more}
    if task.examples:
        files[EXAMPLES] = _npz(task.examples)
    return {**files, TASK: (json_text(content) + "\n").encode()}


def _checked(files: Mapping[str, bytes], task: Task) -> float:
    """Run the program as it will lie in the folder, and return how far its probabilities are from kshot's."""
    with TemporaryDirectory(prefix="kshot-export-") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        program = runpy.run_path(str(Path(name) / EXAMPLE))
        if task.examples:
            program["learn"](task.examples)
        found = program["probabilities"](task.inputs)
    return float(np.abs(found - task.probabilities).max()) if found.shape == task.probabilities.shape else float("inf")


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the flag allow_pickle among the names
    return buffer.getvalue()
