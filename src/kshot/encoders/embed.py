"""From things to vectors: the one edge that fitting, predicting, estimating and serving use.

    embed          things in, vectors out: in order, in bounded memory, cached, an error in place of what cannot be read
    content_key    what a thing is, whatever it is called

The vector of a thing that was seen before is found by its content, before anything is decoded. What is left is read on all cores while the
network computes. In: an encoder and things. Out: vectors, or errors. Next: `kshot.tasks`.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from kshot.data.reading import cores, in_order, read_or_fault
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import ContractError, DataError
from kshot.regular_file import opened

_LARGEST_FILE = 2**28
"""Bytes of a file that is looked up by its content; larger ones are read each time, if at all."""
_PIECE = 2**20


@dataclass
class _Entry:
    """A thing on its way.

    Attributes:
        key: Its content; empty where it is not cached.
        path: Its file, if it has one.
        item: What `encode` takes, where `answer` is None.
        answer: Its vector, or why it has none.
    """

    key: bytes
    path: Path | None
    item: object
    answer: np.ndarray | DataError | None


def embed(
    encoder: Encoder, things: Iterable[object], *, cache: VectorCache | None = None, batch: int = 64
) -> Iterator[np.ndarray | DataError]:
    """Turn things into vectors.

    Args:
        encoder: Reads and encodes.
        things: What `encoder.read` takes. They are taken as they are needed, a few batches ahead, so that an endless stream may be given.
        cache: Where vectors are looked up and kept; None: nowhere. Numbers are never cached: computing is as fast.
        batch: How many items the encoder is given at once.

    Yields:
        For each thing, in order, its vector, float32 (D,), finite; or an error, not raised, that names the file, if there is one, and says
        what is wrong.

    Raises:
        ContractError: `encode` returned something other than float32 (M, D).
    """
    kept = None if encoder.reads == "numbers" else cache
    alone = encoder.reads in ("photographs", "ink")  # decoding one takes longer than handing it to a thread
    size = 1 if alone else batch
    ahead = max(2 * cores(), 2 * -(-batch // size))
    waiting: deque[_Entry] = deque()
    unread = 0
    try:
        for some in in_order(partial(_look_up_or_read, encoder, kept), _parts(things, size), ahead=ahead):
            for entry in some:
                waiting.append(entry)
                unread += entry.answer is None
                if unread == batch:
                    _encode(encoder, kept, waiting)
                    unread = 0
            while waiting and waiting[0].answer is not None:
                yield waiting.popleft().answer  # type: ignore[misc]  # it is not None
            if len(waiting) >= 4 * batch:  # a few new things between many known ones
                _encode(encoder, kept, waiting)
                unread = 0
        _encode(encoder, kept, waiting)
        while waiting:
            yield waiting.popleft().answer  # type: ignore[misc]  # every one has its answer now
    finally:
        if kept is not None:
            kept.flush()


def content_key(thing: object) -> bytes:
    """Return what tells a text, or the file at a path, from all others, whatever it is called; nothing for what has no such thing.

    Args:
        thing: A text, or a path as `Path`.
    """
    if isinstance(thing, str):
        return blake2b(b"text " + thing.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if isinstance(thing, Path):
        try:
            with opened(thing, _LARGEST_FILE) as file:
                digest = blake2b(b"file ", digest_size=16)
                while piece := file.read(_PIECE):
                    digest.update(piece)
                return digest.digest()
        except OSError:
            return b""  # reading it will say why
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "biuf":
        shape = f"{thing.dtype.str} {thing.shape} ".encode()
        return blake2b(shape + np.ascontiguousarray(thing).tobytes(), digest_size=16).digest()
    return b""


def _parts(things: Iterable[object], size: int) -> Iterator[list[object]]:
    source = iter(things)
    while part := list(islice(source, size)):
        yield part


def _look_up_or_read(encoder: Encoder, cache: VectorCache | None, things: list[object]) -> list[_Entry]:
    return [_entry(encoder, cache, thing) for thing in things]


def _entry(encoder: Encoder, cache: VectorCache | None, thing: object) -> _Entry:
    path = Path(thing) if encoder.reads in ("photographs", "ink") and isinstance(thing, str | os.PathLike) else None
    key, looked_up = b"", False
    if cache is not None:
        key = content_key(path or thing)
        looked_up = bool(key)
        if (known := _known(encoder, cache, key)) is not None:
            return _Entry(key, path, None, known)
    item = read_or_fault(encoder.read, thing) if path else _unnamed(encoder, thing)
    if isinstance(item, DataError):
        return _Entry(b"", path, None, item)
    if cache is not None and not looked_up:  # a picture in memory is known by its pixels
        key = content_key(item) if isinstance(item, np.ndarray) else b""
        if (known := _known(encoder, cache, key)) is not None:
            return _Entry(key, path, None, known)
    return _Entry(key, path, item, None)


def _unnamed(encoder: Encoder, thing: object) -> object:
    """Read what has no name: a text is not repeated in the error about it."""
    try:
        return encoder.read(thing)
    except DataError as error:
        return error


def _known(encoder: Encoder, cache: VectorCache, key: bytes) -> np.ndarray | None:
    vector = cache.get(encoder.fingerprint, key) if key else None
    return vector if vector is not None and vector.shape == (encoder.features,) else None


def _encode(encoder: Encoder, cache: VectorCache | None, entries: deque[_Entry]) -> None:
    """Give every entry that has an item its vector."""
    unread = [entry for entry in entries if entry.answer is None]
    if not unread:
        return
    vectors = encoder.encode([entry.item for entry in unread])
    expected = (len(unread), encoder.features)
    if not isinstance(vectors, np.ndarray) or vectors.shape != expected or vectors.dtype != np.float32:
        found = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise ContractError(f"encoder {encoder.name!r} must return float32 {expected} for {len(unread)} items; found {found}.")
    finite = np.isfinite(vectors).all(1)
    for entry, vector, good in zip(unread, vectors, finite, strict=True):
        entry.answer, entry.item = vector if good else _not_finite(encoder, entry.path), None
    if cache is not None:
        new = [number for number, entry in enumerate(unread) if entry.key and finite[number]]
        cache.put(encoder.fingerprint, [unread[number].key for number in new], vectors[new])


def _not_finite(encoder: Encoder, path: Path | None) -> DataError:
    where = f"{path}: " if path else ""
    return DataError(f"{where}encoder {encoder.name!r} gives numbers that are not finite for it. Leave it out, or choose another encoder.")
