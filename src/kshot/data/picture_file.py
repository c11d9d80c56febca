"""Read one picture file whole, or say why not.

In: a path. Out: a loaded Pillow image. Next: a `Preprocess`, in data sets of folders and in prediction.
"""

import struct
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kshot.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".tga", ".jp2", ".ico", ".avif", ".heic"}
)
"""Files with these suffixes, in small letters, are meant to be pictures."""


def is_picture_name(path: Path) -> bool:
    """Whether the suffix of a file says that it is a picture."""
    return path.suffix.lower() in SUFFIXES


def read_picture(path: Path) -> Image.Image:
    """A picture, decoded to its last row; of a file with several frames, the first.

    Raises:
        DataError: The file is missing, a folder, not readable, not a picture, cut off, or unreasonably large; the message names it.
    """
    try:
        # A file of several thousand by several thousand pixels is a photograph; Pillow only warns of it and refuses twice that.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as file, Image.open(file) as image:
                image.load()
                return image.copy() if image.format is None else _detached(image)
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
    # What Pillow's decoders raise on damaged files is not one class: OSError for most, these others from parsers of single formats.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise DataError(f"cannot read {path}: the picture is cut off or damaged ({error}). Replace or remove it.") from error
    except MemoryError:
        raise DataError(f"cannot read {path}: it does not fit into memory. Make it smaller.") from None


def _detached(image: Image.Image) -> Image.Image:
    """A copy that needs the file no more and keeps its EXIF orientation."""
    copy = image.copy()
    copy.info.update(image.info)
    copy.getexif()[0x0112] = image.getexif().get(0x0112, 1)
    return copy
