"""Ink on paper, made by hand: two classes that any learner of drawings tells apart."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def drawings(root: Path) -> Path:
    """Crosses and circles, four each."""
    rng = np.random.default_rng(0)
    for name in ("circle", "cross"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            image = Image.new("L", (200, 200), 240)
            pen = ImageDraw.Draw(image)
            x, y = (int(value) for value in rng.integers(30, 60, 2))
            if name == "circle":
                pen.ellipse((x, y, x + 100, y + 100), outline=20, width=6)
            else:
                pen.line((x, y, x + 100, y + 100), fill=20, width=6)
                pen.line((x, y + 100, x + 100, y), fill=20, width=6)
            image.save(root / name / f"{number}.png")
    return root
