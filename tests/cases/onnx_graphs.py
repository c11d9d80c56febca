"""ONNX files small enough to work out on paper, made without PyTorch."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

FLOAT, BYTES = TensorProto.FLOAT, TensorProto.UINT8


def save_means(path: Path, shape: tuple[object, ...], kind: int = BYTES, metadata: dict[str, str] | None = None) -> Path:
    """Write a graph that takes pictures and returns the mean over all but the first axis and the channels: (M, 3)."""
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["light"], to=FLOAT),
        helper.make_node("ReduceMean", ["light"], ["vectors"], axes=axes, keepdims=0),
    ]
    return save(path, nodes, [("pixels", kind, shape)], [("vectors", FLOAT, ("M", 3))], metadata)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], metadata: dict[str, str] | None = None) -> Path:
    """Write a graph of nodes; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes, "worked out by hand", *([helper.make_tensor_value_info(*one) for one in ports] for ports in (inputs, outputs))
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path
