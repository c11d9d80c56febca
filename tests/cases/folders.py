"""Folders of small random pictures, as a user has them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def fill(root: Path, classes: Iterable[str], items: int = 3) -> Path:
    """Pictures of noise, 16×16; those of a class depend on its name alone."""
    for name in classes:
        (root / name).mkdir(parents=True)
        random = np.random.default_rng(sum(name.encode()))
        for item in range(items):
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / name / f"{item}.png")
    return root


def pets_in(root: Path, classes: int = 8, items: int = 3) -> Path:
    """`fill` with the classes pet0, pet1, …"""
    return fill(root, [f"pet{number}" for number in range(classes)], items)
