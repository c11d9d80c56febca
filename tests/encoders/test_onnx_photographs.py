"""Anybody's ONNX file is an encoder of photographs, or is refused with what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from cases.onnx_graphs import BYTES, FLOAT, save, save_means
from kshot.encoders.encoder import PortableEncoder
from kshot.encoders.photograph_encoder import PhotographEncoder
from kshot.encoders.table import open_encoder, read_encoder
from kshot.errors import RecipeError, SavedError


def opened(path: Path) -> PhotographEncoder:
    encoder = open_encoder(str(path))
    assert isinstance(encoder, PhotographEncoder)
    return encoder


def picture(*colour: int, size: int = 8) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (size, size, 3)).copy()


def test_pixels_and_light(tmp_path: Path) -> None:
    pixels = opened(save_means(tmp_path / "pixels.onnx", ("M", 8, 8, 3)))
    assert pixels.encode([picture(1, 2, 3), picture(4, 5, 6)]).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (pixels.name, pixels.features, pixels.form.size) == (str(tmp_path / "pixels.onnx"), 3, 8)
    light = opened(save_means(tmp_path / "light.onnx", ("M", 3, 8, 8), FLOAT))
    expected = (np.array([255, 0, 51]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(light.encode([picture(255, 0, 51)])[0], expected, rtol=1e-6)


def test_metadata_says_how_light_is_scaled_and_how_large_an_open_size_is(tmp_path: Path) -> None:
    told = {"kshot.mean": "0.5, 0.5, 0.5", "kshot.deviation": "[0.5, 0.25, 1.0]", "kshot.size": "12"}
    encoder = opened(save_means(tmp_path / "a.onnx", ("M", 3, "H", "W"), FLOAT, told))
    assert encoder.form.size == 12
    np.testing.assert_allclose(encoder.encode([picture(255, 255, 255, size=12)]), [[1, 2, 0.5]], rtol=1e-6)
    usual = opened(save_means(tmp_path / "b.onnx", ("M", 3, "H", "W"), FLOAT))
    assert usual.form.size == 224
    assert usual.fingerprint != encoder.fingerprint


def test_a_graph_for_one_photograph_at_a_time(tmp_path: Path) -> None:
    encoder = opened(save_means(tmp_path / "one.onnx", (1, 8, 8, 3)))
    assert encoder.encode([picture(number, 0, 0) for number in range(9)])[:, 0].tolist() == list(range(9))


def test_it_is_written_and_read_on_another_machine(tmp_path: Path) -> None:
    encoder: PortableEncoder = opened(save_means(tmp_path / "a.onnx", ("M", 3, 8, 8), FLOAT))
    encoder.write(tmp_path / "model")
    (tmp_path / "a.onnx").unlink()
    for again in (read_encoder(tmp_path / "model"), open_encoder(str(tmp_path / "model"))):
        assert again.fingerprint == encoder.fingerprint
        assert again.encode([picture(7, 8, 9)]).shape == (1, 3)


@pytest.mark.parametrize(
    ("shape", "kind", "metadata", "message"),
    [
        (("M", 8, 8, 3), FLOAT, {}, r"its inputs are pixels tensor\(float\) \('\?', 8, 8, 3\); expected one input, uint8"),
        (("M", 3, 8, 8), BYTES, {}, r"its inputs are pixels tensor\(uint8\) \('\?', 3, 8, 8\); expected one input, uint8"),
        (("M", 8, 3), BYTES, {}, r"its inputs are pixels tensor\(uint8\) \('\?', 8, 3\); expected one input"),
        ((2, 8, 8, 3), BYTES, {}, "with M open or 1"),
        (("M", 8, 9, 3), BYTES, {}, "photographs are squares"),
        (("M", 2000, 2000, 3), BYTES, {}, "its photographs have 2,000 × 2,000 pixels; 1 to 1,024 are read"),
        (("M", 0, 0, 3), BYTES, {}, "its photographs have 0 × 0 pixels; 1 to 1,024 are read"),
        (("M", 3, "H", "W"), FLOAT, {"kshot.size": "9" * 5000}, "its metadata gives kshot.size as '9{79}…"),
        (("M", 3, 8, 8), FLOAT, {"kshot.mean": "x" * 5000}, "kshot.mean as 'x{79}…; expected three numbers between 0 and 1"),
        (("M", 3, "H", "W"), FLOAT, {"kshot.size": "big"}, "its metadata gives kshot.size as 'big'; expected a number of pixels"),
        (("M", 3, 8, 8), FLOAT, {"kshot.mean": "127, 127, 127"}, "kshot.mean as '127, 127, 127'; expected three numbers between 0 and 1"),
        (("M", 3, 8, 8), FLOAT, {"kshot.deviation": "0.5"}, "kshot.deviation as '0.5'; expected three numbers"),
        (("M", 3, 8, 8), FLOAT, {"kshot.deviation": "1, 0, 1"}, r"deviations of \(1.0, 0.0, 1.0\); expected positive numbers"),
    ],
)
def test_a_graph_that_takes_no_photographs_is_refused(
    shape: tuple[object, ...], kind: int, metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    axes = {3: [1], 4: None}[len(shape)]
    path = tmp_path / "a.onnx"
    if axes is None:
        save_means(path, shape, kind, metadata)
    else:
        nodes = [helper.make_node("Cast", ["pixels"], ["vectors"], to=FLOAT)]
        save(path, nodes, [("pixels", kind, shape)], [("vectors", FLOAT, shape)], metadata)
    with pytest.raises(RecipeError, match=f"is no encoder of photographs: .*{message}"):
        open_encoder(str(path))


def test_a_graph_without_one_vector_per_photograph_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["pixels"], ["vectors"], to=FLOAT)]
    path = save(tmp_path / "a.onnx", nodes, [("pixels", BYTES, ("M", 8, 8, 3))], [("vectors", FLOAT, ("M", 8, 8, 3))])
    with pytest.raises(RecipeError, match=r"its first output is float32 \(1, 8, 8, 3\) for one photograph; expected one vector, \(1, D\)"):
        open_encoder(str(path))


def test_a_graph_whose_output_has_no_axis_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Constant", [], ["vectors"], value=helper.make_tensor("v", FLOAT, (), [1.0]))]
    path = save(tmp_path / "a.onnx", nodes, [("pixels", BYTES, ("M", 8, 8, 3))], [("vectors", FLOAT, ())])
    with pytest.raises(RecipeError, match="its first output is no array of vectors"):
        open_encoder(str(path))


def test_a_file_that_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("not a graph")
    with pytest.raises(SavedError, match=r"cannot open .*a\.txt as an ONNX file"):
        open_encoder(str(tmp_path / "a.txt"))
