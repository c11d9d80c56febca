"""Several encoders as one: `A+B`, the vectors of a thing side by side, each scaled to unit length.

    e(x) = [a(x) / |a(x)|, b(x) / |b(x)|]

so that the squared distance of two things is the sum of their squared distances in each part, on one scale. A vector of zeros stays so.
"""

from collections.abc import Sequence

import numpy as np

from kshot.encoders.encoder import Encoder, Provenance, Reads, fingerprint_of
from kshot.errors import RecipeError
from kshot.short_repr import short_repr


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


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def _once(values: Sequence[str]) -> str:
    """Join texts, each named once."""
    return "; ".join(dict.fromkeys(value for value in values if value))
