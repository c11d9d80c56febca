"""Read one picture file whole, or say why not.

In: a path, or an image that a program holds already. Out: a loaded Pillow image. Next: the `read` of a `Preprocess`.
"""

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from kshot.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".tga", ".jp2", ".ico", ".avif", ".heic"}
)
"""Files with these suffixes, in lower case, are taken for pictures."""


def is_picture_name(path: Path) -> bool:
    """Whether the suffix of a file is one of `SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


@contextmanager
def opened_picture(thing: object) -> Iterator[Image.Image]:
    """Open what a user calls a picture; errors of data inside the block name its file.

    Args:
        thing: A path or a Pillow image.

    Raises:
        DataError: It is neither, or `read_picture` cannot read the file.
    """
    if isinstance(thing, Image.Image):
        yield thing
        return
    if not isinstance(thing, str | Path):
        raise DataError(f"a picture is a path or a Pillow image; found {type(thing).__name__}. For an array: Image.fromarray(array).")
    try:
        yield read_picture(Path(thing))
    except DataError as error:
        raise error if str(thing) in str(error) else DataError(f"{thing}: {error}") from error


def read_picture(path: Path) -> Image.Image:
    """Read a picture upright and decoded to its last row; of a file with several frames, the first.

    Raises:
        DataError: The file is missing, a folder, not readable, not a picture, cut off, or far too large; the message names it.
    """
    try:
        with _QUIET, path.open("rb") as file, Image.open(file) as image:
            image.load()
            if image.format in ("JPEG", "MPO"):
                _check_jpeg_end(path)
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}. Check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; expected a picture file.") from None
    except PermissionError:
        hint = "it is a folder; expected a picture file" if path.is_dir() else "permission denied. Allow reading it"
        raise DataError(f"cannot read {path}: {hint}.") from None
    except UnidentifiedImageError:
        what = "the file is empty" if path.stat().st_size == 0 else "it is not a picture in a known format, or is damaged at its start"
        raise DataError(f"cannot read {path}: {what}. Replace or remove it.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"cannot read {path}: its size is unreasonable ({error}). Make it smaller.") from None
    # What Pillow's decoders raise on damaged files is not one class: OSError for most, the others come from single formats.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise DataError(f"cannot read {path}: the picture is cut off or damaged ({error}). Replace or remove it.") from error
    except MemoryError:
        raise DataError(f"cannot read {path}: it does not fit into memory. Make it smaller.") from None


def _check_jpeg_end(path: Path) -> None:
    # Decoders fill what is missing of a JPEG with grey when they were told to be lenient, or when little is missing.
    data = path.read_bytes()
    if data.rfind(b"\xff\xd9") < data.find(b"\xff\xda"):
        raise OSError("its end is missing")


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


_QUIET = _Quiet()
