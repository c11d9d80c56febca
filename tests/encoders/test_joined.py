"""Joined encoders stand side by side, each at unit length."""

from pathlib import Path

import numpy as np
import pytest

from cases.encoders import Lengths
from cases.onnx_graphs import save_means
from kshot.encoders.encoder import Encoder, Provenance
from kshot.encoders.encoder_folder import DESCRIPTION
from kshot.encoders.joined import JoinedEncoder, portable_parts
from kshot.encoders.onnx_file import OnnxFile
from kshot.encoders.photograph_encoder import PhotographEncoder, PhotographForm
from kshot.encoders.table import read_encoder
from kshot.errors import RecipeError, SavedError


def test_each_part_has_unit_length_and_its_own_place() -> None:
    joined: Encoder = JoinedEncoder([Lengths("a"), Lengths("b", scale=10.0)])
    items = [joined.read("a b d"), joined.read("abcd")]
    vectors = joined.encode(items)
    half = np.array([5, 2]) / np.sqrt(29)
    np.testing.assert_allclose(vectors, [[*half, *half], [1, 0, 1, 0]], rtol=1e-6)
    assert vectors.dtype == np.float32
    assert (joined.name, joined.features, joined.reads) == ("a+b", 4, "texts")
    assert joined.encode([]).shape == (0, 4)
    assert joined.provenance.licence == "MIT"
    assert joined.provenance.source == "worked out by hand: a; worked out by hand: b"


def test_zeros_stay_zeros() -> None:
    joined = JoinedEncoder([Lengths("a", scale=0.0), Lengths("b")])
    assert joined.encode([("abc", "abc")]).tolist() == [[0, 0, 1, 0]]


def test_the_fingerprint_depends_on_the_parts_and_their_order() -> None:
    a, b = Lengths("a"), Lengths("b")
    found = {JoinedEncoder(parts).fingerprint for parts in ([a, b], [b, a], [a, Lengths("b", scale=2.0)])}
    assert len(found) == 3
    assert JoinedEncoder([a, b]).fingerprint in found


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "joined from at least two, such as A\\+B; found none"),
        ([Lengths("a")], "joined from at least two, such as A\\+B; found a"),
        ([Lengths("a"), Lengths("b", "ink")], "joined encoders read the same things; found 2 kinds: a reads texts, b reads ink"),
        ([Lengths("a"), Lengths("b"), Lengths("a")], r"a\+b\+a names an encoder twice"),
    ],
)
def test_what_does_not_go_together_is_refused(parts: list[Lengths], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        JoinedEncoder(parts)


def means(folder: Path, name: str) -> PhotographEncoder:
    form = PhotographForm(name, 3, f"fingerprint of {name}", 8, "pixels", (), (), Provenance("MIT", "worked out by hand"))
    return PhotographEncoder(OnnxFile(save_means(folder / f"{name}.onnx", ("M", 8, 8, 3))), form)


def test_written_and_read_again_it_is_the_same(tmp_path: Path) -> None:
    joined = JoinedEncoder([means(tmp_path, "a"), means(tmp_path, "b")])
    joined.write(tmp_path / "written")
    again = read_encoder(tmp_path / "written")
    assert isinstance(again, JoinedEncoder)
    assert (again.name, again.fingerprint, again.features) == (joined.name, joined.fingerprint, 6)
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again.encode([again.read(picture)]), joined.encode([joined.read(picture)]))
    (tmp_path / "written" / "encoder.part-1" / DESCRIPTION).unlink()
    with pytest.raises(SavedError, match=r"encoder\.part-1"):
        read_encoder(tmp_path / "written")


def test_a_part_that_cannot_be_written_is_named_before_anything_is_written(tmp_path: Path) -> None:
    joined = JoinedEncoder([Lengths("a"), Lengths("b")])
    with pytest.raises(RecipeError, match="the encoder 'a' cannot be written into a model"):
        joined.write(tmp_path / "written")
    assert not (tmp_path / "written").exists()
    with pytest.raises(RecipeError, match="the encoder 'b' cannot be written"):
        portable_parts(Lengths("b"))
