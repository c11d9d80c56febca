"""ONNX files are opened or refused with a reason, and computed in parts."""

import builtins
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cases.onnx_graphs import FLOAT, save_means
from kshot.encoders.onnx_file import OnnxFile, Port
from kshot.errors import RecipeError, SavedError, SetupError


def test_a_file_says_what_it_takes_and_computes_it(tmp_path: Path) -> None:
    graph = OnnxFile(save_means(tmp_path / "means.onnx", ("M", 2, 2, 3), metadata={"by": "hand"}))
    assert graph.inputs == (Port("pixels", "tensor(uint8)", (None, 2, 2, 3)),)
    assert graph.outputs == (Port("vectors", "tensor(float)", (None, 3)),)
    assert graph.metadata == {"by": "hand"}
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert graph.run({"pixels": pixels}).tolist() == [[4.5, 5.5, 6.5], [16.5, 17.5, 18.5]]


def test_parts_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = OnnxFile(save_means(tmp_path / "means.onnx", ("M", 2, 2, 3)))
    parts = [{"pixels": np.full((size, 2, 2, 3), number, np.uint8)} for number, size in enumerate([1, 3, 2, 4, 1] * 5)]
    for cores in (1, 4):
        monkeypatch.setattr("kshot.encoders.onnx_file.cores", lambda cores=cores: cores)
        assert [part[:, 0].tolist() for part in graph.run_each(parts)] == [
            [number] * len(part["pixels"]) for number, part in enumerate(parts)
        ]
        assert graph.run_each([]) == []


def test_what_a_graph_does_not_take_is_an_error(tmp_path: Path) -> None:
    graph = OnnxFile(save_means(tmp_path / "means.onnx", ("M", 2, 2, 3)))
    with pytest.raises(
        SavedError, match=r"means\.onnx cannot be computed with pixels float32 \(1, 2, 2, 3\): .*Unexpected input data type"
    ):
        graph.run({"pixels": np.zeros((1, 2, 2, 3), np.float32)})
    with pytest.raises(SavedError, match=r"cannot be computed with pixels uint8 \(1, 5, 2, 3\)"):
        graph.run({"pixels": np.zeros((1, 5, 2, 3), np.uint8)})


def test_a_flipped_bit_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = save_means(tmp_path / "means.onnx", ("M", 2, 2, 3), FLOAT).read_bytes()
    refused = 0
    for place in range(len(whole)):
        (tmp_path / "damaged.onnx").write_bytes(whole[:place] + bytes([whole[place] ^ 128]) + whole[place + 1 :])
        try:
            _ = OnnxFile(tmp_path / "damaged.onnx").inputs
        except SavedError:
            refused += 1
    assert refused > len(whole) // 2
    assert capfd.readouterr().out == ""


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = save_means(tmp_path / "means.onnx", ("M", 2, 2, 3), FLOAT).read_bytes()
    for content in (b"", b"no graph at all", whole[: len(whole) // 2]):
        (tmp_path / "damaged.onnx").write_bytes(content)
        with pytest.raises(SavedError, match=r"cannot open .*damaged\.onnx as an ONNX file: .*Make or copy it again"):
            _ = OnnxFile(tmp_path / "damaged.onnx").inputs
    with pytest.raises(SavedError, match=r"none\.onnx is no ONNX file: there is nothing"):
        OnnxFile(tmp_path / "none.onnx")
    with pytest.raises(SavedError, match="is no ONNX file: there is a folder"):
        OnnxFile(tmp_path)


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "cuda:-1", ""])
def test_an_unknown_device_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="encoders compute on cpu, cuda, or a numbered GPU such as cuda:1; found"):
        OnnxFile(save_means(tmp_path / "means.onnx", ("M", 2, 2, 3)), device)


def test_a_gpu_is_asked_for_by_number_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_means(tmp_path / "means.onnx", ("M", 2, 2, 3))
    with pytest.raises(SetupError, match=r"this ONNX Runtime computes on no GPU.*onnxruntime-gpu"):
        OnnxFile(path, "cuda")
    import onnxruntime

    asked: list[Any] = []

    def session(path: str, options: Any, providers: list[Any], **_: Any) -> Any:
        asked.append(providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    real = onnxruntime.InferenceSession
    fake = SimpleNamespace(
        InferenceSession=session,
        SessionOptions=onnxruntime.SessionOptions,
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    for device in ("cuda", "cuda:2", "cpu"):
        _ = OnnxFile(path, device).inputs
    assert asked == [[("CUDAExecutionProvider", {"device_id": 0})], [("CUDAExecutionProvider", {"device_id": 2})], ["CPUExecutionProvider"]]


def test_without_onnx_runtime_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    for extra in ("photos", "text"):
        with pytest.raises(SetupError, match=rf"a frozen encoder needs onnxruntime.*pip install 'kshot\[{extra}\]'"):
            OnnxFile(tmp_path / "any.onnx", extra=extra)


def test_the_graph_is_loaded_when_it_is_first_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    loaded: list[str] = []
    real = onnxruntime.InferenceSession

    def session(path: str, *args: Any, **kwargs: Any) -> Any:
        loaded.append(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    graph = OnnxFile(save_means(tmp_path / "means.onnx", ("M", 2, 2, 3), FLOAT))
    assert not loaded
    graph.run_each([{"pixels": np.zeros((1, 2, 2, 3), np.float32)}] * 3)
    graph.run({"pixels": np.zeros((1, 2, 2, 3), np.float32)})
    assert len(loaded) == 1
