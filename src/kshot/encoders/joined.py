"""Several encoders as one: `A+B`, the vectors of a thing side by side, each scaled to unit length.

    e(x) = [a(x) / |a(x)|, b(x) / |b(x)|]

so that the squared distance of two things is the sum of their squared distances in each part, on one scale. A vector of zeros stays so.

In a folder, each part lies in a folder of its own, and `encoder.json` names them in order.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from kshot.encoders.encoder import Encoder, PortableEncoder, Provenance, Reads, fingerprint_of
from kshot.encoders.encoder_folder import described, read_description, write_files
from kshot.errors import RecipeError
from kshot.short_repr import short_repr

KIND = "joined"
"""In the description of an encoder in a folder."""
_MOST_PARTS = 16


class _Description(TypedDict):
    kind: str
    fingerprint: str
    parts: int
    digests: dict[str, str]


class JoinedEncoder:
    """At least two encoders of the same kind of things, as one.

    Args:
        parts: The encoders, in the order of their places in the vector.

    Raises:
        RecipeError: There are fewer than two, they read different things, or one is there twice.
    """

    def __init__(self, parts: Sequence[Encoder]) -> None:
        names = [part.name for part in parts]
        if len(parts) < 2:
            raise RecipeError(f"encoders are joined from at least two, such as A+B; found {'+'.join(names) or 'none'}.")
        if len(kinds := {part.reads for part in parts}) > 1:
            told = ", ".join(f"{part.name} reads {part.reads}" for part in parts)
            raise RecipeError(f"joined encoders read the same things; found {len(kinds)} kinds: {told}. Join encoders of one kind.")
        if len(set(names)) < len(names):
            raise RecipeError(f"{'+'.join(names)} names an encoder twice, which adds nothing. Name each once.")
        self.parts = tuple(parts)
        self.name = "+".join(names)
        self.reads: Reads = parts[0].reads
        self.features = sum(part.features for part in parts)
        self.fingerprint = fingerprint_of("joined", *(part.fingerprint for part in parts))
        origins = [part.provenance for part in parts]
        self.provenance = Provenance(
            *(_once(values) for values in zip(*((one.licence, one.source, one.package) for one in origins), strict=True))
        )

    def __repr__(self) -> str:
        return short_repr("JoinedEncoder", [repr(self.name), f"features={self.features}", f"fingerprint={self.fingerprint!r}"])

    def read(self, thing: object) -> tuple[object, ...]:
        """Read one thing with every part, each at its own size."""
        return tuple(part.read(thing) for part in self.parts)

    def encode(self, items: Sequence[object]) -> np.ndarray:
        """Return vectors (M, D), D the sum over the parts."""
        columns = list(zip(*items, strict=True)) if items else [()] * len(self.parts)
        return np.concatenate([_unit(part.encode(column)) for part, column in zip(self.parts, columns, strict=True)], axis=1)

    def write(self, folder: Path) -> None:
        """Write every part into a folder of its own; see `PortableEncoder.write`.

        Raises:
            RecipeError: A part cannot be written; nothing is.
            SavedError: The folder or the disk refused it.
        """
        for place, part in enumerate(portable_parts(self)):
            part.write(_folder_of(folder, place))
        write_files(folder, described({"kind": KIND, "fingerprint": self.fingerprint, "parts": len(self.parts)}, {}))


def portable_parts(encoder: Encoder) -> list[PortableEncoder]:
    """Return the parts of an encoder, or the encoder itself if it is not joined, as encoders that can be written.

    Raises:
        RecipeError: One cannot.
    """
    parts: list[PortableEncoder] = []
    for part in encoder.parts if isinstance(encoder, JoinedEncoder) else (encoder,):
        if not isinstance(part, PortableEncoder):
            raise RecipeError(f"the encoder {part.name!r} cannot be written into a model. Leave --self-contained out.")
        parts.append(part)
    return parts


def read_joined(folder: Path, read: Callable[[Path], Encoder]) -> JoinedEncoder:
    """Open joined encoders from their folder.

    Args:
        folder: The folder.
        read: Reads a part from its own.

    Raises:
        SavedError: Something is missing, damaged, or of a kind that this version does not know.
    """
    found: _Description = read_description(folder, _Description, KIND)
    return JoinedEncoder([read(_folder_of(folder, place)) for place in range(min(found["parts"], _MOST_PARTS))])


def _folder_of(folder: Path, place: int) -> Path:
    return folder / f"encoder.part-{place}"


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def _once(values: Sequence[str]) -> str:
    """Join texts, each named once."""
    return "; ".join(dict.fromkeys(value for value in values if value))
