"""The header of a safetensors file is read and judged before its tensors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import kshot.errors
from kshot.tensor_file import form, misfits, read_arrays, read_header, read_tensors, unusable

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False]), "c": torch.tensor(7, dtype=torch.int64)}


def put(path: Path, header: Any, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_header_and_tensors_are_those_that_were_written(tmp_path: Path) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "t", {"note": "x"})
    header = read_header(tmp_path / "t")
    assert header.forms == {"a": "float32 (2, 3)", "b": "bool (2,)", "c": "int64 ()"} == {k: form(v) for k, v in TENSORS.items()}
    assert header.metadata == {"note": "x"}
    assert header.size == (tmp_path / "t").stat().st_size
    back, digest = read_tensors(tmp_path / "t", header)
    assert all(torch.equal(back[name], value) for name, value in TENSORS.items())
    assert re.fullmatch("[0-9a-f]{64}", digest)
    arrays, same = read_arrays(tmp_path / "t", header)
    assert same == digest
    assert {name: form(value) for name, value in arrays.items()} == header.forms
    assert all(np.array_equal(arrays[name], value.numpy()) for name, value in TENSORS.items())


def test_a_header_and_arrays_are_read_without_torch(tmp_path: Path) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "t")
    code = (
        "import sys; from pathlib import Path; from kshot.tensor_file import read_arrays, read_header; path = Path(sys.argv[1])\n"
        "print(sorted(read_arrays(path, read_header(path))[0]), 'torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(kshot.errors.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t")], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("['a', 'b', 'c'] False", 0), done.stderr


def test_numbers_that_numpy_does_not_have_are_a_fault_of_the_file(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "t")
    with pytest.raises(ValueError, match=r"bfloat16|BF16|dtype"):
        read_arrays(tmp_path / "t", read_header(tmp_path / "t"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32])
def test_every_type_of_numbers_has_its_form(tmp_path: Path, dtype: torch.dtype) -> None:
    safetensors.torch.save_file({"a": torch.ones(2, dtype=dtype)}, tmp_path / "t")
    assert read_header(tmp_path / "t").forms == {"a": form(torch.ones(2, dtype=dtype))}


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        (b"{", b"", "its header is not that of a safetensors file"),
        (b"\xff", b"", "its header is not that of a safetensors file"),
        (b"[" * 5000 + b"]" * 5000, b"", "nested more than 100 deep"),
        ([1], b"", "it is no table"),
        ({"a": 3}, b"", "the tensor 'a' has no description"),
        (entry(dtype="F4"), bytes(8), "the tensor 'a' has numbers of the type 'F4'; known are F64, F32"),
        (entry(dtype=["F32"]), bytes(8), "has numbers of the type"),
        (entry(shape=[10**12]), bytes(8), r"the tensor 'a' of float32 \(1000000000000,\) has 8 bytes"),
        (entry(shape=[-2]), bytes(8), "has no shape and place"),
        (entry(shape="2"), bytes(8), "has no shape and place"),
        (entry(data_offsets=[0, 8, 9]), bytes(8), "has no shape and place"),
        (entry(data_offsets=[0, True]), bytes(8), "has no shape and place"),
        (entry(), bytes(7), r"its header describes \d+ bytes; found \d+"),
        (entry(), bytes(9), r"its header describes \d+ bytes; found \d+"),
        ({**entry(), "__metadata__": {"x": 3}}, bytes(8), "the metadata in its header are not texts"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path: Path, header: Any, body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_header(put(tmp_path / "t", header, body))


def test_a_header_longer_than_its_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"1234567", (2**60).to_bytes(8, "little") + b"{}"):
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(ValueError, match="not a safetensors file, or is cut off"):
            read_header(tmp_path / "t")


def test_a_sparse_giant_is_refused_from_its_first_bytes(tmp_path: Path) -> None:
    with (tmp_path / "t").open("wb") as file:
        file.truncate(2**34)
    with pytest.raises(ValueError, match=r"its header|not a safetensors file"):
        read_header(tmp_path / "t")
    with pytest.raises(OSError, match=r"at most 1,000 are read"):
        read_header(tmp_path / "t", 1000)


def test_differences_are_named_and_cut_after_five() -> None:
    wanted = {"x": torch.zeros(2), "y": torch.zeros(3)}
    assert misfits(wanted, {"x": "float32 (2,)", "y": "float32 (3,)"}, "the file") == ""
    assert misfits(wanted, {"x": "float64 (2,)", "z": "int64 ()"}, "the file") == (
        "y is missing from the file; z is not part of the learner; x is float64 (2,) in the file and float32 (2,) in the learner"
    )
    assert misfits({str(n): torch.zeros(1) for n in range(8)}, {}, "the file").endswith("4 is missing from the file; and 3 more")
    assert misfits({}, {"x" * 100_000: "int64 ()"}, "the file") == f"{'x' * 200}… is not part of the learner"


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("w", [1.0, NAN, 2.0], "w holds 1 of 3 values that are not finite"),
        ("w", [-INF, INF, 2.0], "w holds 2 of 3 values that are not finite"),
        ("buffer", [NAN, 1.0], "buffer holds 1 of 2 values that are not finite"),
        ("buffer", [INF, -INF], "buffer holds 1 of 2 values that are not finite"),
        ("norm.running_mean", [-INF, 1.0], "norm.running_mean holds 1 of 2 values that are not finite"),
        ("norm.running_var", [1.0, -1e-9], "norm.running_var holds a negative variance"),
        ("w", [-1.0, 0.0], ""),
        ("mask", [-INF, 0.0], ""),
        ("norm.running_var", [0.0, 1.0], ""),
    ],
)
def test_numbers_that_make_every_answer_useless_are_named(name: str, values: list[float], message: str) -> None:
    assert unusable({"fine": torch.ones(2), "count": torch.tensor(3), name: torch.tensor(values)}, ["w"]) == message
