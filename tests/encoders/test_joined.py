"""Joined encoders stand side by side, each at unit length."""

import numpy as np
import pytest

from cases.encoders import Lengths
from kshot.encoders.encoder import Encoder
from kshot.encoders.joined import JoinedEncoder
from kshot.errors import RecipeError


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
