"""Pictures as queries, as Pillow images and in class folders.

Every mode and format; damaged, mislabelled, of strange sizes; bombs, broken EXIF, broken chunks.
"""

import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hostile.case import Case, Cases, Words
from hostile.damage import damages
from hostile.stock import Stock

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B", "I;16L")
FORMATS = {
    "PNG": "png", "JPEG": "jpg", "BMP": "bmp", "GIF": "gif", "TIFF": "tif", "WEBP": "webp", "PPM": "ppm", "TGA": "tga", "ICO": "ico",
    "JPEG2000": "jp2",
    "DIB": "dib", "AVIF": "avif",
}  # fmt: skip
_REFUSED = {"EPS": "eps", "PDF": "pdf", "PCX": "pcx", "SGI": "sgi", "DDS": "dds", "ICNS": "icns"}
_SIZES = {"1x1": (1, 1), "1x2": (1, 2), "2x1": (2, 1), "1x500": (1, 500), "500x1": (500, 1), "1x20000": (1, 20_000), "20000x1": (20_000, 1)}


def cases() -> Cases:
    """All cases of this family."""
    for mode in MODES:
        for size in ((16, 16), (1, 1), (0, 0), (0, 5), (5, 0)):
            yield Case(f"picture/object/{mode} {size[0]}x{size[1]}", _as_object(mode, size), ending="refused" if 0 in size else "any")
        for format_ in FORMATS:
            if format_ != "AVIF":  # which has few modes, and is slow to write
                data = _lazily(format_, mode)
                yield Case(f"picture/mode/{format_} {mode}", _as_query(data, f"query.{FORMATS[format_]}"), mentions=("query.",))
    for format_, suffix in FORMATS.items():
        data = _lazily(format_)
        for name, damage in damages(rounds=8, replaced=format_ == "PNG").items():
            yield Case(f"picture/damaged {format_}/{name}", _as_query(data, f"query.{suffix}", damage), mentions=("query.",))
        for other in FORMATS.values():
            yield Case(f"picture/mislabelled/{format_} as {other}", _as_query(data, f"query.{other}"), mentions=("query.",))
        for name, size in _SIZES.items():
            yield Case(f"picture/size/{format_} {name}", _as_query(_lazily(format_, size=size), f"query.{suffix}"), mentions=("query.",))
    for format_, suffix in _REFUSED.items():
        for name in (f"query.{suffix}", "query.png"):
            foreign = f"picture/foreign/{format_} as {name}"
            yield Case(foreign, _as_query(_lazily(format_), name), ending="refused", mentions=("query.",))
    for name, (bomb, suffix) in _bombs().items():
        yield Case(f"picture/bomb/{name}", _as_query(bomb, f"query.{suffix}"), mentions=("query.",))
    for name, exif in _exif().items():
        for format_ in ("JPEG", "PNG", "WEBP"):
            data = partial(_with_exif, format_, exif)
            yield Case(f"picture/exif/{format_} {name}", _as_query(data, f"query.{FORMATS[format_]}"), mentions=("query.",))
    for name, data in _chunks().items():
        yield Case(f"picture/chunk/{name}", _as_query(data, "query.png"), mentions=("query.",))
    for name, damage in damages(rounds=4).items():
        yield Case(f"picture/in a class/{name}", _in_a_class(damage), mentions=("pet3",))
    for name, thing in {
        "none": None, "number": 7, "list": [], "bytes": b"", "array": np.zeros((4, 4)), "text": "nowhere.png", "closed": "CLOSED",
        "nan": float("nan"),
        "folder": ".", "nul": "a\0b.png", "long": "x" * 5000, "surrogate": "a\udcff.png",
    }.items():  # fmt: skip
        yield Case(f"picture/thing/{name}", _as_thing(thing), ending="refused")


def _lazily(format_: str, mode: str = "RGB", size: tuple[int, int] = (16, 12)) -> Callable[[], bytes]:
    """A picture of noise, encoded when it is needed; as a PNG where Pillow cannot write the format, the mode or the size."""

    def data() -> bytes:
        found = _encoded(format_, mode, size) or _encoded("PNG", mode, size) or _encoded("PNG", "RGB", size)
        assert found is not None
        return found

    return data


@cache
def _encoded(format_: str, mode: str, size: tuple[int, int]) -> bytes | None:
    """A picture of noise in a format and a mode, or None where Pillow cannot write it."""
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _noise(mode, size).save(buffer, format_)
    except (OSError, ValueError, KeyError, SystemError, RuntimeError, struct.error):
        return None
    return buffer.getvalue()


def _noise(mode: str, size: tuple[int, int]) -> Image.Image:
    image = Image.new(mode, size)
    bands = max(1, len(image.getbands()))
    width = {"I": 4, "F": 4}.get(mode, 2 if mode.startswith("I;16") else bands)
    if 0 in size or mode in ("1", "F", "RGBX", "La", "RGBa", "PA"):
        return image
    return Image.frombytes(mode, size, random.Random(mode).randbytes(size[0] * size[1] * width))


def _as_query(data: bytes | Callable[[], bytes], name: str, damage: Callable[[Path], None] | None = None) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path(name).write_bytes(data if isinstance(data, bytes) else data())
        if damage is not None:
            damage(Path(name))
        return ["predict", stock.finished, name, "--support", stock.pets, "--json"]

    return prepare


def _in_a_class(damage: Callable[[Path], None]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        from hostile.stock import QUICK, copied

        damage(copied(stock.pets, Path("pets")) / "pet3" / "1.png")
        return ["train", "protonet", "--data", "pets", "--out", "run", *QUICK]

    return prepare


def _as_object(mode: str, size: tuple[int, int]) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        import kshot

        classifier = kshot.Classifier(stock.finished, stock.pets)
        picture = _noise(mode, size)
        return lambda: classifier.predict([picture])

    return prepare


def _as_thing(thing: Any) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        import kshot

        classifier = kshot.Classifier(stock.finished, stock.pets)
        if isinstance(thing, str) and thing == "CLOSED":
            with Image.open(stock.pets / "pet0" / "0.png") as closed:
                pass
            return lambda: classifier.predict([closed])
        return lambda: classifier.predict([thing])

    return prepare


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int = 8, colour: int = 2, *more: bytes, zeros: int = 0, interlace: int = 0) -> bytes:
    """A PNG whose rows are `zeros` zero bytes in all."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    press, piece = zlib.compressobj(1), bytes(1_000_000)
    rows = b"".join(press.compress(piece[: min(len(piece), zeros - start)]) for start in range(0, zeros, len(piece))) + press.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + b"".join(more) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _bombs() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Small files of large pictures, made when they are needed: from the header alone, or with data that are all zero."""

    def png(*form: int, zeros: int = 0, interlace: int = 0) -> tuple[Callable[[], bytes], str]:
        return lambda: _png(*form, zeros=zeros, interlace=interlace), "png"  # type: ignore[arg-type]

    bombs = {f"png {side}": png(side, side) for side in (0, 20_000, 65_535, 2**31 - 1, 2**32 - 1)}
    bombs |= {"png 0x5": png(0, 5), "png 5x0": png(5, 0), "png 2^31x1": png(2**31 - 1, 1)}
    for side in (4000, 9000):
        for colour, channels in ((0, 1), (2, 3), (6, 4)):
            bombs[f"png zeros {side} of {channels}"] = png(side, side, 8, colour, zeros=(side * channels + 1) * side)
    bombs["png interlaced"] = png(4000, 4000, 8, 6, zeros=4000 * 4000 * 4 + 20_000, interlace=1)
    bombs["png 16 bit"] = png(5000, 5000, 16, 6, zeros=(5000 * 8 + 1) * 5000)
    for width, height in ((2**31 - 1, 2**31 - 1), (-1, 5), (5, -(2**31)), (0, 0), (100_000, 100_000)):
        head = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        bombs[f"bmp {width}x{height}"] = _there(head, "bmp")
        bombs[f"ppm {width}x{height}"] = _there(f"P6 {width} {height} 255\n".encode(), "ppm")
    for side in (0, 65_535):
        gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
        bombs[f"gif {side}"] = _there(gif, "gif")
        tga = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, side, side, 24, 0) + b"\xff\0\0\0" * 9
        bombs[f"tga {side}"] = _there(tga, "tga")
    bombs["ppm digits"] = _there(b"P6 " + b"9" * 5000 + b" 5 255\n", "ppm")
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))
    bombs["text chunks"] = _there(_png(1, 1, 8, 2, *[text] * 40, zeros=4), "png")
    return bombs


def _there(data: bytes, suffix: str) -> tuple[Callable[[], bytes], str]:
    return lambda: data, suffix


def _exif() -> dict[str, bytes]:
    head = b"Exif\0\0"
    entry = struct.pack("<HHI", 0x0112, 3, 1)

    def of(value: int) -> bytes:
        return head + b"II*\0\x08\0\0\0\1\0" + entry + struct.pack("<HH", value, 0) + bytes(4)

    broken = {f"orientation {value}": of(value) for value in (0, 1, 2, 5, 6, 8, 9, 255, 65_535)}
    broken |= {
        "empty": head, "no-head": b"x", "zeros": head + bytes(40), "far": head + b"II*\0\xff\xff\xff\x7f",
        "other-magic": head + b"MM\0\0" + bytes(20),
        "loop": head + b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "many": head + b"II*\0\x08\0\0\0\xff\xff" + bytes(60), "cut": of(6)[:-9],
        "text": head + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHI", 0x0112, 2, 40) + b"\xff" * 8, "rational": head + b"II*\0\x08\0\0\0\1\0"
        + struct.pack("<HHI", 0x0112, 5, 1) + struct.pack("<I", 26) + bytes(12),
        "type-99": head + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHI", 0x0112, 99, 1) + bytes(8),
        "count-huge": head + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHI", 0x0112, 3, 2**32 - 1) + bytes(8),
        "two-values": head + b"II*\0\x08\0\0\0\1\0"
        + struct.pack("<HHI", 0x0112, 3, 2) + struct.pack("<HH", 6, 6) + bytes(4),
    }  # fmt: skip
    return broken


def _with_exif(format_: str, exif: bytes) -> bytes:
    image = _noise("RGB", (16, 12))
    buffer = io.BytesIO()
    image.save(buffer, format_, exif=exif)
    return buffer.getvalue()


def _chunks() -> dict[str, bytes]:
    return {
        f"{kind.decode()} {name}": _png(4, 4, 8, 2, _chunk(kind, data), zeros=(4 * 3 + 1) * 4)
        for kind in (b"iCCP", b"tRNS", b"PLTE", b"gAMA", b"cHRM", b"eXIf", b"tEXt", b"iTXt", b"acTL", b"pHYs", b"sRGB", b"tIME", b"QQQQ")
        for name, data in {
            "empty": b"",
            "short": b"\0",
            "noise": random.Random(kind).randbytes(300),
            "nul": bytes(50),
            "text": b"a\0b" * 9,
        }.items()
    }
