"""The complete Omniglot (Lake, Salakhutdinov & Tenenbaum 2015; MIT licence) as one file inside the package.

`omniglot.xz` is compressed by xz and holds: eight bytes with the length of a JSON header; the header (names, background alphabets,
fingerprint); and one bit per pixel, drawing after drawing. Official zips and their unpacked trees are read into the same form.

Out: `Drawings`. Next: `kshot.data.pictures.omniglot`.
"""

import hashlib
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kshot.data.pictures.picture_file import MOST_BYTES, open_image
from kshot.errors import DataError
from kshot.regular_file import look, read_bytes

EMBEDDED = Path(__file__).parents[1] / "embedded" / "omniglot.xz"
SIDE = 105
DRAWERS = 20
_PARTS = ("images_background", "images_evaluation")
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
"""What `zipfile` raises on a damaged file; RuntimeError where the file looks encrypted or packed by an unknown method."""


@dataclass(frozen=True, eq=False)
class Drawings:
    """All drawings, characters sorted by alphabet and name, 20 drawers of each in order.

    Attributes:
        characters: Alphabet and name of each character, such as `("Greek", "character01")`.
        background: The alphabets of the background set.
        ink: bool (20 · characters, 105, 105); True is ink.
    """

    characters: tuple[tuple[str, str], ...]
    background: frozenset[str]
    ink: np.ndarray

    def fingerprint(self) -> str:
        """Compute the SHA-256 of names and pixels, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(self.characters).encode())
        digest.update(np.packbits(self.ink).tobytes())
        return digest.hexdigest()


def pack(drawings: Drawings) -> bytes:
    """Make the content of `omniglot.xz`."""
    header = json.dumps(
        {
            "characters": drawings.characters,
            "background": sorted(drawings.background),
            "fingerprint": drawings.fingerprint(),
        }
    ).encode()
    raw = len(header).to_bytes(8, "little") + header + np.packbits(drawings.ink).tobytes()
    return lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)


def unpack(packed: bytes) -> Drawings:
    """Read what `pack` made."""
    raw = lzma.decompress(packed)
    header, start = _header(raw)
    characters = tuple((alphabet, character) for alphabet, character in header["characters"])
    count = DRAWERS * len(characters)
    bits = np.unpackbits(np.frombuffer(raw, np.uint8, offset=start), count=count * SIDE * SIDE)
    return Drawings(characters, frozenset(header["background"]), bits.view(bool).reshape(count, SIDE, SIDE))


def read_header(packed: bytes) -> tuple[tuple[tuple[str, str], ...], frozenset[str], str]:
    """Read characters, background alphabets and fingerprint, without the pixels."""
    header, _ = _header(lzma.LZMADecompressor().decompress(packed, max_length=1 << 20))
    return tuple((alphabet, name) for alphabet, name in header["characters"]), frozenset(header["background"]), header["fingerprint"]


def _header(raw: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), 8 + length


def read_official(root: Path) -> Drawings:
    """Read the official zips in a folder, or their unpacked trees: `images_background/Alphabet/characterNN/xxxx_yy.png`.

    Raises:
        DataError: Neither is there, a file cannot be read, or a character does not have 20 drawings of 105×105 pixels, one per drawer.
    """
    found: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    background = set()
    for part in _PARTS:
        before = len(found)
        for alphabet, character, drawer, ink in _pictures(root, part):
            drawings = found.setdefault((alphabet, character), {})
            if drawer in drawings:
                raise DataError(
                    f"Omniglot's character {alphabet}/{character} in {root} has two drawings by drawer {drawer:02}; expected one. "
                    "Copy the official files again, into an empty folder."
                )
            drawings[drawer] = ink
            if part == "images_background":
                background.add(alphabet)
        if len(found) == before:
            raise DataError(f"there are no drawings in {root / part}, or in its zip. Unpack or copy the official files again.")
    characters = tuple(sorted(found))
    for name in characters:
        if sorted(found[name]) != list(range(1, DRAWERS + 1)):
            raise DataError(
                f"Omniglot's character {'/'.join(name)} in {root} has {len(found[name])} drawings; expected "
                f"{DRAWERS}, by drawers 01 to {DRAWERS}. Unpack or copy the official files again."
            )
    ink = np.stack([found[name][drawer] for name in characters for drawer in range(1, DRAWERS + 1)])
    return Drawings(characters, frozenset(background), ink)


def _pictures(root: Path, part: str) -> Iterator[tuple[str, str, int, np.ndarray]]:
    tree, archive = root / part, root / f"{part}.zip"
    if look(tree) == "folder":
        for path in sorted(tree.rglob("*.png")):
            try:
                content = read_bytes(path, MOST_BYTES)
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}. Copy the official files again.") from error
            yield _picture(path.relative_to(root).as_posix(), content, tree)
    elif look(archive) == "file":
        try:
            with zipfile.ZipFile(archive) as opened:
                for name in sorted(opened.namelist()):
                    if name.endswith(".png") and not name.startswith("__MACOSX"):
                        yield _picture(name, opened.read(name), archive)
        except _ZIP_FAULTS as error:
            raise DataError(f"{archive} is not a whole zip file ({error}). Copy it again.") from error
    else:
        raise DataError(f"expected {part}.zip or the folder {part} in {root}; found neither. Give the folder of Omniglot's official files.")


def _picture(name: str, content: bytes, source: Path) -> tuple[str, str, int, np.ndarray]:
    """Read `…/Alphabet/characterNN/xxxx_yy.png` into alphabet, character, drawer and ink."""
    try:
        alphabet, character, file = name.split("/")[-3:]
        drawer = int(file.removesuffix(".png").split("_")[1])
        grey = np.asarray(open_image(io.BytesIO(content)).convert("L"))
    except (ValueError, IndexError, OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise DataError(f"{name} in {source} is not a drawing of Omniglot: {error}. Copy the official files again.") from error
    if grey.shape != (SIDE, SIDE):
        raise DataError(f"{name} in {source} has {grey.shape[1]}×{grey.shape[0]} pixels; Omniglot's have {SIDE}×{SIDE}.")
    return alphabet, character, drawer, grey < 128
