"""Small drawings as the service takes them: crosses, rings and hooks, each a little different."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("cross", "hook", "ring")


def drawn(name: str, seed: int = 0) -> bytes:
    """Return the PNG file of a drawing in Omniglot's own form: 105 × 105 pixels of one bit."""
    shift = np.random.default_rng(seed).integers(-5, 6, 6).tolist()
    image = Image.new("L", (105, 105), 255)
    draw = ImageDraw.Draw(image)
    a, b, c, d, e, f = shift
    if name == "cross":
        draw.line((25 + a, 25 + b, 80 + c, 80 + d), fill=0, width=4)
        draw.line((80 + e, 25 + f, 25 + a, 80 + c), fill=0, width=4)
    elif name == "ring":
        draw.ellipse((25 + a, 25 + b, 80 + c, 80 + d), outline=0, width=4)
    else:
        draw.line((30 + a, 20 + b, 30 + c, 80 + d, 80 + e, 80 + f), fill=0, width=4)
    file = io.BytesIO()
    image.convert("1").save(file, "PNG")
    return file.getvalue()


def image(name: str, seed: int = 0) -> dict[str, str]:
    """Return a drawing as an example of the wire format."""
    return {"image": base64.b64encode(drawn(name, seed)).decode()}


def task(*names: str, shot: int = 2, source: dict[str, str] | None = None) -> dict[str, object]:
    """Return the body that makes a task of drawings."""
    return {
        **(source or {"learner": "omniglot-protonet"}),
        "classes": {name: [image(name, seed) for seed in range(shot)] for name in names or NAMES},
    }
