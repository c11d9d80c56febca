"""The memory that reading one picture takes, in a process of its own, with PyTorch loaded as in every command."""

import subprocess
import sys
import zlib
from pathlib import Path
from struct import pack

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

MOST = 1.2e9
READ = """
import resource, sys
import torch
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
{reader}.read(sys.argv[1])
status = open("/proc/self/status").read() if sys.platform == "linux" else ""  # there, getrusage counts the process that started this one
unit = 1 if sys.platform == "darwin" else 1024
print(int(status.split("VmHWM:")[1].split()[0]) * 1024 if status else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, width: int, height: int) -> Path:
    """A grid of dark lines on light, transparent paper, RGBA, made without holding it in memory."""
    packer = zlib.compressobj(1)
    paper, line = bytes([230, 220, 210, 128]) * width, bytes([20, 20, 40, 255]) * width
    rows = (packer.compress(b"\0" + (line if height // 3 < row < height // 3 + 300 else paper)) for row in range(height))
    data = b"".join([*rows, packer.flush()])
    header = pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="no module resource")
@pytest.mark.parametrize("reader", ["Picture(2500)", "Ink()"])
def test_the_largest_picture_takes_no_more_than_was_promised(tmp_path_factory: pytest.TempPathFactory, reader: str) -> None:
    path = tmp_path_factory.getbasetemp() / "large.png"
    if not path.exists():
        write_png(path, 10_000, 10_000)
    found = subprocess.run([sys.executable, "-c", READ.format(reader=reader), str(path)], capture_output=True, text=True, check=True)
    assert 0.1e9 < int(found.stdout) < MOST


@pytest.mark.skipif(sys.platform == "win32", reason="no module resource")
def test_a_large_jpeg_takes_no_more_than_its_reduced_form(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    image = Image.new("L", (10_000, 10_000), 230)
    image.paste(20, (2000, 3000, 8000, 3300))
    image.save(path)
    found = subprocess.run([sys.executable, "-c", READ.format(reader="Ink()"), str(path)], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 0.5e9
