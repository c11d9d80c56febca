"""Decode one picture file, or say why not: the only place where a picture is opened.

In: a path, the bytes of a file, or an image that a program holds. Out: a decoded Pillow image, as it lies in the file. Next: `flat`.

Several threads may read at once. Of large pictures, one is decoded at a time, so that memory does not grow with the number of threads.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from kshot.data.kind import READ
from kshot.errors import DataError
from kshot.regular_file import opened

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".tga", ".jp2", ".ico", ".avif", ".heic"}
)
"""Files with these suffixes, in lower case, are taken for pictures."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "AVIF", "HEIF")
"""The formats that are opened, by Pillow's names, whatever a file is called. Others, such as EPS, would start other programs."""
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError, ZeroDivisionError),
    *(RuntimeError, struct.error, zlib.error),
)
"""What Pillow raises on damaged files: not one class. OSError comes from most decoders, the others from single formats and from EXIF."""
MOST_BYTES = 2**30
"""Bytes of a picture file: more than any picture of `MOST_PIXELS` needs."""
MOST_PIXELS = 100_000_000
"""Larger pictures are refused from their header."""
_MOST_PIXELS_OF = {"TIFF": 60_000_000, "WEBP": 40_000_000, "AVIF": 40_000_000, "HEIF": 40_000_000, "JPEG2000": 25_000_000}
"""Of formats whose decoders hold several copies of the picture."""
IN_MEMORY = Path("the picture")
"""What messages call a picture that was given as bytes."""
_LARGE = 16_000_000
"""Pixels above which one picture is decoded at a time."""
_DRAFT_GAP = 2
"""A JPEG is decoded at an eighth, a quarter or half of its size as long as it stays this many times as large as is needed."""


def is_picture_name(path: Path) -> bool:
    """Whether the suffix of a file is one of `SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


def open_image(file: BinaryIO) -> Image.Image:
    """Open a picture of one of `FORMATS`, undecoded.

    Raises:
        UnidentifiedImageError: It is none.
    """
    return Image.open(file, formats=_formats())


@contextmanager
def opened_picture(
    thing: object, side: int = 0, measure: Callable[..., int] = max, *, gap_of_eighth: int = _DRAFT_GAP
) -> Iterator[Image.Image]:
    """Open what a user calls a picture, decoded to its last row; errors of data inside the block name its file.

    Args:
        thing: A path, the bytes of a file, or a Pillow image. Of a file with several frames, the first is read.
        side: How many pixels are needed. A JPEG may be decoded at an eighth, a quarter or half of its size, of at least twice as many
            pixels. 0: the whole size.
        measure: Which of the picture's sides must have them: `min` or `max`.
        gap_of_eighth: How many times as many pixels an eighth of a JPEG must have. Each pixel of an eighth is the mean of 64.

    Raises:
        DataError: It is neither, or the file is missing, a folder, not readable, no picture, cut off, or too large; the message names it.
    """
    if isinstance(thing, Image.Image):
        try:
            with quiet:
                thing.load()
        except AssertionError:
            raise DataError("the picture is closed: its file was closed before it was read. Open it again, or load() it first.") from None
        except DAMAGE as error:
            raise DataError(f"the picture is cut off or damaged ({error}). Replace or remove it.") from error
        yield thing
        return
    if not isinstance(thing, str | Path | bytes):
        raise DataError(f"a picture is a path or a Pillow image; found {type(thing).__name__}. For an array: Image.fromarray(array).")
    with ExitStack() as until_done:
        path = IN_MEMORY if isinstance(thing, bytes) else Path(thing)
        file = until_done.enter_context(io.BytesIO(thing)) if isinstance(thing, bytes) else _opened(path, until_done)
        image = _decoded(file, path, lambda image: _draft(image, side, measure, gap_of_eighth), until_done)
        try:
            yield image
        except DataError as error:
            named = isinstance(thing, bytes) or str(path) in str(error)
            raise error if named else DataError(f"{path}: {error}") from error


def _decoded(file: BinaryIO, path: Path, draft: Callable[[Image.Image], None], until_done: ExitStack) -> Image.Image:
    try:
        with quiet:
            image = until_done.enter_context(open_image(file))
            _check_pixels(image, path)
            if image.width * image.height > _LARGE:
                until_done.enter_context(_one_large)
            draft(image)
            image.load()
            _check_pixels(image, path)  # an icon's header does not say how large its picture is
            if image.format in ("JPEG", "MPO"):
                _check_jpeg_end(file)
            return image
    except UnidentifiedImageError:
        empty = file.seek(0, 2) == 0
        what = "the file is empty" if empty else "it is not a picture in a known format, or is damaged at its start"
        told = "" if is_picture_name(path) else f" {READ}"
        raise DataError(f"cannot read {path}: {what}. Replace or remove it.{told}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"cannot read {path}: its size is unreasonable ({error}). Make it smaller.") from None
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(f"cannot read {path}: the picture is cut off or damaged ({error}). Replace or remove it.") from error
    except MemoryError:
        raise DataError(f"cannot read {path}: it does not fit into memory. Make it smaller.") from None


def _opened(path: Path, until_done: ExitStack) -> BinaryIO:
    try:
        return until_done.enter_context(opened(path, MOST_BYTES))
    except FileNotFoundError:
        raise DataError(f"there is no file {path}. Check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; expected a picture file.") from None
    except PermissionError:
        raise DataError(f"cannot read {path}: permission denied. Allow reading it.") from None
    except OSError as error:  # a named pipe, a device, a name that is too long
        raise DataError(f"cannot read {path}: {error.strerror or error}. Name a picture file that may be read.") from error


def _check_pixels(image: Image.Image, path: Path) -> None:
    most = _MOST_PIXELS_OF.get(image.format or "", MOST_PIXELS)
    if image.width * image.height > most:
        raise DataError(
            f"cannot read {path}: it has {image.width:,} × {image.height:,} pixels, more than {most // 1_000_000} million. Make it smaller."
        )


def _draft(image: Image.Image, side: int, measure: Callable[..., int], gap_of_eighth: int) -> None:
    if not side:
        return
    scale = 8 if measure(image.size) >= 8 * gap_of_eighth * side else measure(image.size) // (_DRAFT_GAP * side)
    if image.format in ("JPEG", "MPO") and scale > 1:
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))


def _check_jpeg_end(file: BinaryIO) -> None:
    # Decoders fill what is missing of a JPEG with grey when they were told to be lenient, or when little is missing.
    file.seek(0)
    data = file.read()
    if data.rfind(b"\xff\xd9") < data.find(b"\xff\xda"):
        raise OSError("its end is missing")


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # some versions of Pillow know no AVIF, and HEIF comes with a plug-in
    return tuple(name for name in FORMATS if name in Image.OPEN)


class _Quiet:
    """Silences Pillow's warnings (odd metadata, many pixels) while any thread reads; a process has one set of warning filters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0 and self._caught is not None:
                self._caught.__exit__(None, None, None)
                self._caught = None


quiet = _Quiet()
_one_large = threading.RLock()
