"""Photographs reach the graph as the pixels that they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cases.onnx_graphs import FLOAT, save_means
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder, PortableEncoder, Provenance
from kshot.encoders.encoder_folder import DESCRIPTION, GRAPH
from kshot.encoders.onnx_file import OnnxFile
from kshot.encoders.photograph_encoder import PhotographEncoder, PhotographForm, read_photograph_encoder
from kshot.errors import DataError, SavedError
from kshot.regular_file import read_json

FORM = PhotographForm("means", 3, "0123456789abcdef", 8, "pixels", (), (), Provenance("MIT", "worked out by hand"))
LIGHT = replace(FORM, layout="light", mean=(0.5, 0.25, 0.0), deviation=(0.5, 0.25, 1.0))


def means(folder: Path) -> PhotographEncoder:
    return PhotographEncoder(OnnxFile(save_means(folder / "means.onnx", ("M", 8, 8, 3))), FORM)


def test_pixels_are_given_as_they_are(tmp_path: Path) -> None:
    encoder: Encoder = means(tmp_path)
    image = Image.new("RGB", (20, 8), (255, 0, 0))
    image.paste((10, 20, 30), (6, 0, 14, 8))  # the middle square
    item = encoder.read(image)
    assert isinstance(item, np.ndarray)
    assert (item.shape, item.dtype) == ((8, 8, 3), np.uint8)
    assert encoder.encode([item]).tolist() == [[10, 20, 30]]
    assert encoder.encode([]).shape == (0, 3)


def test_light_is_scaled_per_channel(tmp_path: Path) -> None:
    encoder = PhotographEncoder(OnnxFile(save_means(tmp_path / "means.onnx", ("M", 3, 8, 8), FLOAT)), LIGHT)
    found = encoder.encode([encoder.read(Image.new("RGB", (8, 8), (255, 0, 51)))])
    np.testing.assert_allclose(found, [[1, -1, 0.2]], rtol=1e-6)


def test_a_batch_of_any_size_keeps_its_order(tmp_path: Path) -> None:
    encoder = means(tmp_path)
    items = [np.full((8, 8, 3), number, np.uint8) for number in range(37)]
    for size in (1, 4, 5, 37):
        assert encoder.encode(items[:size])[:, 0].tolist() == list(range(size))


def test_every_picture_that_is_read_elsewhere_is_read_here(tmp_path: Path) -> None:
    encoder = means(tmp_path)
    path = tmp_path / "a.png"
    Image.new("L", (8, 8), 7).save(path)
    things = [path, str(path), Image.new("L", (8, 8), 7), np.full((8, 8), 7, np.uint8), np.full((16, 12, 3), 7, np.uint8)]
    assert [one.tolist() for one in embed(encoder, things) if not isinstance(one, DataError)] == [[7, 7, 7]] * 5


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (np.zeros((8, 8, 3)), r"an array of pixels is uint8 \(H, W, 3\), or \(H, W\) for grey; found float64 \(8, 8, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), r"found uint8 \(8, 8, 4\)"),
        (np.zeros((0, 8), np.uint8), r"found uint8 \(0, 8\)"),
        (7, "a picture is a path or a Pillow image; found int"),
    ],
)
def test_what_is_no_picture_is_refused(thing: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        means(tmp_path).read(thing)


def test_an_encoder_is_written_and_read(tmp_path: Path) -> None:
    for form, shape, kind in ((FORM, ("M", 8, 8, 3), None), (LIGHT, ("M", 3, 8, 8), FLOAT)):
        path = save_means(tmp_path / "means.onnx", shape, *([kind] if kind else []))
        encoder: PortableEncoder = PhotographEncoder(OnnxFile(path), form)
        encoder.write(tmp_path / form.layout)
        again = read_photograph_encoder(tmp_path / form.layout)
        assert again.form == form
        assert repr(again) == repr(encoder)
        item = np.full((8, 8, 3), 9, np.uint8)
        assert np.array_equal(again.encode([item]), encoder.encode([item]))
    assert read_photograph_encoder(tmp_path / "light", name="mine").name == "mine"


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    means(tmp_path).write(folder)
    graph, description = (folder / GRAPH).read_bytes(), (folder / DESCRIPTION).read_text()
    (folder / GRAPH).write_bytes(graph[:-1] + b"?")
    with pytest.raises(SavedError, match=r"encoder\.onnx: its SHA-256 is not the one in encoder\.json\. Make the encoder again, or copy"):
        read_photograph_encoder(folder)
    (folder / GRAPH).unlink()
    with pytest.raises(SavedError, match=r"encoder\.onnx: No such file"):
        read_photograph_encoder(folder)
    (folder / GRAPH).write_bytes(graph)
    assert read_json(folder / DESCRIPTION)["kind"] == "photographs"
    for old, new, message in (
        ('"size": 8', '"size": "8"', "encoder.size must be a whole number; found '8'"),
        ('"kind": "photographs"', '"kind": "sentence"', "encoder.kind must be 'photographs'; found 'sentence'"),
        ('"encoder.onnx"', '"../a"', r"encoder\.digests names '\.\./a', which is no file of an encoder"),
        ('"features": 3,', "", "encoder.features is missing"),
        ("{", "", "Expecting value|Extra data"),
    ):
        assert old in description
        (folder / DESCRIPTION).write_text(description.replace(old, new))
        with pytest.raises(SavedError, match=message):
            read_photograph_encoder(folder)
