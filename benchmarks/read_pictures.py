"""Time reading pictures: ink of Omniglot's size, and a JPEG of 12 megapixels against Pillow's own reduced decoding.

    python -m benchmarks.read_pictures

Marks, CPU time on one thread: at most 10 ms for a drawing of 105×105 pixels that is read as anyone's picture; for a JPEG of 12 megapixels
at most 1.5 times Pillow's `draft` at the size that `ink` works at. Reading at 84×84 pixels as a photograph is shown beside them.
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.timing import Timing, ratio
from kshot.allocator import keep_freed_memory
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.omniglot_archive import EMBEDDED, unpack
from kshot.data.pictures.paper import LONGER_SIDE
from kshot.data.pictures.picture import Picture

MARK_MS = 10
MARK_RATIO = 1.5
DRAWINGS = 20
TURNS = 15


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    keep_freed_memory()
    ink = unpack(EMBEDDED.read_bytes()).ink
    chosen = np.random.default_rng(0).permutation(len(ink))[:DRAWINGS]
    drawings = [Image.fromarray(np.where(ink[number], 0, 255).astype(np.uint8)) for number in chosen]
    read = Ink().read
    small = cpu_turns({"ink": lambda: [read(drawing) for drawing in drawings]})["ink"]
    milliseconds = 1000 * small.median / DRAWINGS
    print(f"reading pictures, CPU time on one thread, medians of {TURNS} turns")
    print(f"  ink, 105×105            {milliseconds:6.1f} ms   mark {MARK_MS}")
    missed = milliseconds > MARK_MS
    with tempfile.TemporaryDirectory() as folder:
        for grain in (0, 8):
            path = Path(folder) / f"{grain}.jpg"
            photograph(grain).save(path, quality=85)
            photo = Picture(84).read
            turns = cpu_turns({"draft": partial(draft, path), "ink": partial(read, path), "photograph": partial(photo, path)})
            times = ratio(turns["ink"], turns["draft"])
            missed |= times > MARK_RATIO
            print(f"  JPEG of 12 megapixels, {path.stat().st_size / 1e6:.1f} MB: draft {1000 * turns['draft'].median:.0f} ms")
            print(f"    ink                   {1000 * turns['ink'].median:6.1f} ms   {times:.2f} times draft   mark {MARK_RATIO}")
            print(f"    photograph            {1000 * turns['photograph'].median:6.1f} ms")
    return int(missed)


def cpu_turns(contenders: Mapping[str, Callable[[], object]]) -> dict[str, Timing]:
    """Let contenders take turns, as `take_turns` does, but count CPU time: decoding waits for no one."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(TURNS + 1):
        for name, contender in contenders.items():
            began = time.process_time()
            contender()
            if turn:
                seconds[name].append(time.process_time() - began)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def photograph(grain: int) -> Image.Image:
    """A letter by a broad pen on unevenly lit paper, 4000 × 3000 pixels."""
    image = Image.new("RGB", (4000, 3000), (235, 230, 215))
    ImageDraw.Draw(image).line([(1000, 2400), (1900, 600), (2800, 2400)], fill=(40, 40, 60), width=60)
    light = np.linspace(0.6, 1, 4000)[None, :, None]
    pixels = np.asarray(image) * light
    if grain:
        pixels += np.random.default_rng(0).normal(0, grain, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draft(path: Path) -> Image.Image:
    """Decode a JPEG as Pillow alone would, at the least of its reduced sizes that is large enough."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft(None, (LONGER_SIDE, LONGER_SIDE))
        image.load()
        return image


if __name__ == "__main__":
    sys.exit(main())
