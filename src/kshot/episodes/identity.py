"""The hash that identifies a set of episodes. It is printed with every result: an equal hash means an equal test."""

import hashlib
from collections.abc import Iterable

import numpy as np

from kshot.episodes.episode import DrawnEpisodes


def episodes_hash(fingerprint: str, drawn: Iterable[DrawnEpisodes]) -> str:
    """Return the SHA-256 of the data's fingerprint and all drawn indices.

    Args:
        fingerprint: Fingerprint of the data set.
        drawn: Rectangles in any order. The episodes are hashed in the order of their numbers, so it does not matter how they were
            batched or distributed.

    Returns:
        64 hexadecimal digits.
    """
    rows: list[tuple[int, bytes]] = []
    for rectangle in drawn:
        changes = [part for part in (rectangle.support_changes, rectangle.query_changes) if part is not None]
        head = np.array([rectangle.way, rectangle.support_y.shape[1], rectangle.query_y.shape[1], len(changes)])
        columns = [
            rectangle.numbers[:, None],
            np.broadcast_to(head, (len(rectangle), 4)),
            rectangle.classes,
            rectangle.support_items,
            rectangle.support_y,
            rectangle.query_items,
            rectangle.query_y,
        ]
        table = np.concatenate([column.astype("<i8") for column in columns + changes], axis=1)
        rows.extend((int(number), row.tobytes()) for number, row in zip(rectangle.numbers, table, strict=True))
    digest = hashlib.sha256(fingerprint.encode())
    for _, row in sorted(rows):
        digest.update(row)
    return digest.hexdigest()
