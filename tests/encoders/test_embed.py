"""Things become vectors in order, in bounded memory, once per content, with a reason in place of what cannot be read."""

import os
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from cases.encoders import Lengths
from kshot.data.reading import cores
from kshot.encoders.embed import content_key, embed
from kshot.encoders.encoder import Encoder, Provenance, Reads
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import ContractError, DataError


class FirstBytes:
    """A stand-in for pictures: a path, or an array, to its first two bytes."""

    name, features, fingerprint = "first bytes", 2, "00000000000000ff"
    provenance = Provenance("MIT", "worked out by hand")
    reads: Reads = "photographs"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def read(self, thing: object) -> np.ndarray:
        self.seen.append(str(thing))
        if isinstance(thing, np.ndarray):
            return thing
        data = Path(str(thing)).read_bytes()
        if len(data) < 2:
            raise DataError("it has fewer than two bytes. Replace or remove it.")
        return np.frombuffer(data[:2], np.uint8)

    def encode(self, items: Sequence[object]) -> np.ndarray:
        return np.stack([np.asarray(item) for item in items]).astype(np.float32)


def values(found: Iterator[np.ndarray | DataError]) -> list[object]:
    return [str(one) if isinstance(one, DataError) else one.tolist() for one in found]


def test_vectors_come_in_order_with_a_reason_in_place_of_what_cannot_be_read() -> None:
    encoder: Encoder = Lengths()
    things = ["a b", "", "fox", 7, "  ", "a b c"]
    empty = "the text is empty. Leave it out."
    expected = [[3, 1], empty, [3, 0], "a text is a str; found int.", empty, [5, 2]]
    for batch in (1, 2, 3, 64):
        assert values(embed(encoder, things, batch=batch)) == expected
    assert values(embed(encoder, [])) == []
    assert values(embed(encoder, ["", 7])) == [empty, "a text is a str; found int."]


def test_a_text_is_not_repeated_in_its_error_and_a_file_is_named(tmp_path: Path) -> None:
    short = tmp_path / "short.jpg"
    short.write_bytes(b"a")
    (fault,) = values(embed(FirstBytes(), [short]))
    assert fault == f"{short}: it has fewer than two bytes. Replace or remove it."
    (fault,) = values(embed(FirstBytes(), [tmp_path / "none.jpg"]))
    assert fault == f"cannot read {tmp_path / 'none.jpg'}: No such file or directory."


@pytest.mark.parametrize("reads", ["texts", "photographs"])
def test_an_endless_stream_is_taken_only_a_few_batches_ahead(reads: Reads) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for number in count():
            taken += 1
            yield "x" * (number % 50 + 1)

    encoder = Lengths(reads=reads)
    first = list(islice(embed(encoder, endless(), batch=8), 100))
    assert [int(one[0]) for one in first if not isinstance(one, DataError)] == [number % 50 + 1 for number in range(100)]
    assert taken <= 100 + 8 + max(2 * 8, 2 * cores() * (1 if reads == "photographs" else 8)) + 8
    assert max(encoder.batches) == 8


def test_a_stream_of_broken_things_does_not_wait_for_a_batch() -> None:
    taken = 0

    def broken() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield ""

    assert all(isinstance(one, DataError) for one in islice(embed(Lengths(reads="photographs"), broken(), batch=8), 30))
    assert taken <= 30 + max(16, 2 * cores()) + 1


def test_what_was_seen_before_is_not_read_again(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    encoder = Lengths()
    texts = ["a b", "fox", "a b c"]
    first = values(embed(encoder, texts, cache=cache))
    assert (encoder.n_read, encoder.batches) == (3, [3])
    again = values(embed(encoder, ["fox", "new one", "a b c", "a b"], cache=cache))
    assert again == [first[1], [7, 1], first[2], first[0]]
    assert (encoder.n_read, encoder.batches) == (4, [3, 1])
    other = Lengths(scale=2.0)
    assert values(embed(other, ["fox"], cache=cache)) == [[6, 0]], "another fingerprint has vectors of its own"


def test_a_file_is_known_by_its_content_before_it_is_decoded(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "cache")
    encoder = FirstBytes()
    one, same, other = (tmp_path / name for name in ("one.jpg", "same.png", "other.jpg"))
    one.write_bytes(b"abc")
    same.write_bytes(b"abc")
    other.write_bytes(b"abd")
    assert values(embed(encoder, [one], cache=cache)) == [[97, 98]]
    assert values(embed(encoder, [str(same), same, other], cache=cache)) == [[97, 98]] * 3
    assert encoder.seen == [str(one), str(other)]
    one.write_bytes(b"xyz")
    assert values(embed(encoder, [one], cache=cache)) == [[120, 121]]


def test_pixels_in_memory_are_known_too(tmp_path: Path) -> None:
    class Counting(FirstBytes):
        encoded = 0

        def encode(self, items: Sequence[object]) -> np.ndarray:
            self.encoded += len(items)
            return super().encode(items)

    cache, encoder = VectorCache(tmp_path), Counting()
    for _ in range(2):
        assert values(embed(encoder, [np.array([1, 2], np.uint8), np.array([1, 2], np.int16)], cache=cache)) == [[1, 2], [1, 2]]
    assert encoder.encoded == 2, "pixels of another type are another picture"


def test_numbers_are_not_cached(tmp_path: Path) -> None:
    cache, encoder = VectorCache(tmp_path), Lengths(reads="numbers")
    for _ in range(2):
        assert values(embed(encoder, ["fox"], cache=cache)) == [[3, 0]]
    assert encoder.n_read == 2


def test_known_things_come_while_new_ones_wait_and_memory_stays_bounded(tmp_path: Path) -> None:
    cache, encoder = VectorCache(tmp_path), Lengths()
    known = [f"known {number}" for number in range(10)]
    list(embed(encoder, known, cache=cache))
    encoder.batches.clear()
    things = ["new", *(known * 20)]
    assert len(list(embed(encoder, things, cache=cache, batch=4))) == 201
    assert encoder.batches == [1]
    taken = 0

    def stream() -> Iterator[str]:
        nonlocal taken
        for thing in ["new one", *(known * 1000)]:
            taken += 1
            yield thing

    first = next(embed(encoder, stream(), cache=cache, batch=4))
    assert not isinstance(first, DataError)
    assert taken <= 4 * 4 + 2 * cores() * 4 + 4


def test_an_unwritable_cache_costs_time_only(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.write_text("in the way")
    encoder = Lengths()
    for _ in range(2):
        assert values(embed(encoder, ["fox"], cache=VectorCache(folder))) == [[3, 0]]
    assert encoder.n_read == 2


def test_numbers_that_are_not_finite_are_a_fault_of_their_thing_and_not_kept(tmp_path: Path) -> None:
    class Diverging(Lengths):
        def encode(self, items: Sequence[str]) -> np.ndarray:
            made = super().encode(items)
            made[[item == "bad" for item in items]] = np.inf
            return made

    cache = VectorCache(tmp_path)
    for _ in range(2):
        good, bad = values(embed(Diverging(), ["good", "bad"], cache=cache))
        assert good == [4, 0]
        assert "encoder 'lengths' gives numbers that are not finite for it" in str(bad)


@pytest.mark.parametrize("made", [np.zeros((1, 3), np.float32), np.zeros((2, 2), np.float32), np.zeros((1, 2)), [[1.0, 2.0]]])
def test_an_encoder_that_breaks_its_contract_is_an_error(made: object) -> None:
    class Wrong(Lengths):
        def encode(self, items: Sequence[str]) -> np.ndarray:
            return made  # type: ignore[return-value]  # that is the point

    with pytest.raises(ContractError, match=r"encoder 'lengths' must return float32 \(1, 2\) for 1 items; found"):
        list(embed(Wrong(), ["fox"]))


def test_content_keys_tell_things_apart(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"fox")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    keys = [content_key(thing) for thing in ("fox", "Fox", "\udce9", file, np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2))]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}
    unknown = (tmp_path / "none", tmp_path, tmp_path / "pipe", tmp_path / "loop", 7, np.array(["a"], object))
    assert [content_key(thing) for thing in unknown] == [b""] * 6
