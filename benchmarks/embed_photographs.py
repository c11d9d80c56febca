"""Time frozen EfficientNet-Lite0 on photographs: ONNX Runtime against PyTorch, from memory and from files, and one picture alone.

    python -m benchmarks.embed_photographs

Marks, all cores, contenders in turns: from arrays in memory at least 4.5 times the rate of PyTorch as it comes, with equal vectors to 1e-4;
from JPEGs of 500 × 375 pixels at least 0.6 of the rate from memory, from JPEGs of 12 megapixels at least 0.12. One picture in a process of
its own, with the import of the encoder and the opening of its graph: CPU time at most 0.4 s above importing numpy, Pillow and ONNX Runtime,
and at most 150 MB (Linux). The one-time export is not counted; its time is shown.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import Timing, ratio, take_turns
from kshot.backbones.efficientnet_lite import EfficientNetLite0
from kshot.data.reading import cores
from kshot.encoders.embed import embed
from kshot.encoders.photograph_encoder import PhotographEncoder
from kshot.encoders.photograph_export import open_efficientnet_lite0
from kshot.errors import DataError

SIZE = 224
IN_MEMORY, FILES, LARGE_FILES = 64, 64, 16
TURNS = 5
MARK_TORCH, MARK_FILES, MARK_LARGE, MARK_EQUAL = 4.5, 0.6, 0.12, 1e-4
MARK_SECONDS, MARK_MEGABYTES = 0.4, 150

_COST = """
import time
from pathlib import Path
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.process_time(), int(peak.split()[1]) / 1024)
"""
_ALONE = f"import numpy, PIL.Image, onnxruntime{_COST}"
_ONE = f"""import sys
from pathlib import Path
from kshot.encoders.embed import embed
from kshot.encoders.table import open_encoder
(vector,) = embed(open_encoder("efficientnet_lite0"), [Path(sys.argv[1])])
assert vector.shape == (1280,) and "torch" not in sys.modules{_COST}"""


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    began = time.perf_counter()
    encoder = open_efficientnet_lite0()
    print(f"embedding photographs with {encoder.name}, {cores()} cores, load {os.getloadavg()[0]:.1f}, medians of {TURNS} turns")
    print(f"  opening the encoder, with its export if it was not there   {time.perf_counter() - began:6.1f} s")
    missed = rates(encoder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.jpg"
        photograph(500, 375, 0).save(path, quality=90)
        alone, one = cost(_ALONE), cost(_ONE, str(path))
    seconds = one[0] - alone[0]
    print(f"  one picture alone: CPU time above its imports   {seconds:6.2f} s    mark {MARK_SECONDS}   (imports {alone[0]:.2f} s)")
    print(f"                     memory                       {one[1]:6.0f} MB   mark {MARK_MEGABYTES}")
    return int(missed or seconds > MARK_SECONDS or one[1] > MARK_MEGABYTES)


def rates(encoder: PhotographEncoder) -> bool:
    """Print how many photographs per second each contender embeds; return whether a mark is missed."""
    pixels = np.random.default_rng(0).integers(0, 256, (IN_MEMORY, SIZE, SIZE, 3), dtype=np.uint8)
    items = list(pixels)
    network = EfficientNetLite0(weights="imagenet").eval().network
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # memory layout of the weights
    torch.set_num_threads(cores())

    @torch.inference_mode()
    def as_it_comes() -> np.ndarray:
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() - 127) / 128
        vectors: np.ndarray = network.head(network.blocks(network.stem(x))).mean((2, 3)).numpy()  # not through `forward`: channels last
        return vectors

    off = float(np.abs(encoder.encode(items) - as_it_comes()).max())
    with tempfile.TemporaryDirectory() as folder:
        small = [written(Path(folder) / f"{number}.jpg", 500, 375, number) for number in range(FILES)]
        large = [written(Path(folder) / f"large {number}.jpg", 4000, 3000, number) for number in range(LARGE_FILES)]
        contenders: dict[str, Callable[[], object]] = {
            "memory": lambda: encoder.encode(items),
            "torch": as_it_comes,
            "small": lambda: embedded(encoder, small),
            "large": lambda: embedded(encoder, large),
        }
        times = take_turns(contenders, turns=TURNS)
        size = large[0].stat().st_size / 1e6
    counts = {"memory": IN_MEMORY, "torch": IN_MEMORY, "small": FILES, "large": LARGE_FILES}
    each = {name: Timing(tuple(seconds / counts[name] for seconds in timing.seconds)) for name, timing in times.items()}
    rows = (
        ("arrays in memory, ONNX Runtime", "memory", None, 0.0),
        ("arrays in memory, PyTorch as it comes", "torch", ratio(each["torch"], each["memory"]), MARK_TORCH),
        ("JPEGs of 500 × 375 pixels", "small", ratio(each["memory"], each["small"]), MARK_FILES),
        (f"JPEGs of 12 megapixels, {size:.1f} MB", "large", ratio(each["memory"], each["large"]), MARK_LARGE),
    )
    missed = off > MARK_EQUAL
    for what, name, found, mark in rows:
        told = "" if found is None else f"   {found:5.2f} {'times slower' if name == 'torch' else 'of memory'}   mark {mark}"
        print(f"  {what:40} {1 / each[name].median:7.1f} per second{told}")
        missed |= found is not None and found < mark
    print(f"  largest difference from PyTorch          {off:.1e}              mark {MARK_EQUAL}")
    return missed


def embedded(encoder: PhotographEncoder, paths: list[Path]) -> int:
    """Embed files without a cache; return how many."""
    found = list(embed(encoder, paths))
    assert not any(isinstance(one, DataError) for one in found)
    return len(found)


def written(path: Path, width: int, height: int, seed: int) -> Path:
    """Write a JPEG."""
    photograph(width, height, seed).save(path, quality=90)
    return path


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Draw something as hard to compress as a photograph: soft shapes, with grain."""
    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 1))
    return Image.fromarray((np.asarray(shapes) + grain).clip(0, 255).astype(np.uint8))


def cost(code: str, *arguments: str) -> tuple[float, float]:
    """Run Python code in a process of its own; return the least CPU seconds and megabytes of several runs, which the code prints last."""
    runs = []
    for _ in range(TURNS):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        seconds, megabytes = done.stdout.split()[-2:]
        runs.append((float(seconds), float(megabytes)))
    return min(runs)


if __name__ == "__main__":
    sys.exit(main())
