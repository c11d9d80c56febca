"""Reading one picture: every way in which a file can be none."""

import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from kshot.data.pictures import picture_file
from kshot.data.pictures.flat import upright
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.pictures.picture_file import is_picture_name, opened_picture
from kshot.errors import DataError

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF", "ppm": "PPM"}


def photograph(size: tuple[int, int] = (64, 48)) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def read_picture(path: Path) -> Image.Image:
    with opened_picture(path) as image:
        return upright(image)


def complaint_about(path: Path) -> str | None:
    try:
        read_picture(path)
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    photograph().save(path, FORMATS[suffix])
    read = read_picture(path)
    path.unlink()
    assert read.size == (64, 48)
    assert np.asarray(read.convert("RGB")).shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.7, 0.95])
def test_cut_off_files_are_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"photo.{suffix}"
    photograph().save(path, FORMATS[suffix])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=rf"cannot read .*photo\.{suffix}: "):
        read_picture(path)


def test_a_jpeg_without_its_end_is_not_read_even_leniently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    photograph((300, 200)).save(path, progressive=True)
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(DataError, match=r"photo\.jpg: the picture is cut off or damaged"):
        read_picture(path)


def test_flipped_bytes_give_a_picture_or_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "photo"
    for kind in FORMATS.values():
        photograph((20, 15)).save(path, kind)
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, min(damaged.size, 400), 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            complaint = complaint_about(path)
            assert complaint is None or str(path) in complaint


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    with pytest.raises(DataError, match=r"notes\.png: it is not a picture in a known format"):
        read_picture(text)
    text.write_bytes(b"")
    with pytest.raises(DataError, match=r"notes\.png: the file is empty"):
        read_picture(text)
    with pytest.raises(DataError, match=r"there is no file .*missing\.png"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(DataError, match="is a folder; expected a picture file"):
        read_picture(tmp_path)
    with pytest.raises(DataError, match=r"notes\.png"):
        read_picture(text / "inside.png")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    photograph().save(path)
    path.chmod(0)
    with pytest.raises(DataError, match=r"secret\.png: permission denied"):
        read_picture(path)


def test_permission_denied_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "secret.png"
    photograph().save(path)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match=r"secret\.png: permission denied"):
        read_picture(path)


def test_a_closed_picture_is_told(tmp_path: Path) -> None:
    photograph().save(tmp_path / "closed.png")
    with Image.open(tmp_path / "closed.png") as closed:
        pass
    with pytest.raises(DataError, match="the picture is closed: its file was closed before it was read"), opened_picture(closed):
        pass


@pytest.mark.skipif(os.name != "posix", reason="named pipes and devices have other names there")
def test_special_files_are_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # nobody writes: to open it would wait for ever
    with pytest.raises(DataError, match=r"cannot read .*pipe\.png: it is a named pipe, not a regular file\. Name a picture file"):
        read_picture(tmp_path / "pipe.png")
    (tmp_path / "zeros.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"zeros\.png: it is a device, not a regular file"):
        read_picture(tmp_path / "zeros.png")
    with (tmp_path / "giant.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"giant\.png: it has 1,099,511,627,776 bytes, and at most 1,073,741,824 are read"):
        read_picture(tmp_path / "giant.png")


def test_a_bomb_is_not_decoded_and_a_large_picture_does_not_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    photograph().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert read_picture(path).size == (64, 48)  # above the limit Pillow warns, above twice the limit it refuses
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"large\.png: its size is unreasonable"):
        read_picture(path)


def test_the_filters_of_warnings_are_as_before_whatever_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    photograph().save(path)
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read_picture(path) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_pictures_come_upright(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"photo.{suffix}"
    photograph((64, 48)).save(path, exif=exif)
    assert read_picture(path).size == (48, 64)
    marked = Image.new("L", (90, 60), 0)
    marked.paste(255, (60, 0, 90, 30))  # the upper right of what lies in the file is the lower right of the upright picture
    marked.save(path, exif=exif)
    assert (Picture(30, 1, "pad").read(path)[0] > 128).nonzero()[0].min() == 20


ORIENTATION = 0x0112


def exif_header(kind: int, count: int, value: bytes) -> bytes:
    """An EXIF block of one entry, the orientation, of any type, count and value."""
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHI", 1, ORIENTATION, kind, count) + value.ljust(4, b"\0") + b"\0\0\0\0"


BROKEN_EXIF = {
    "not TIFF": b"Exif\0\0nonsense",
    "empty": b"Exif\0\0",
    "cut off in its header": b"Exif\0\0MM\0*",
    "a table beyond the end": b"Exif\0\0MM\0*\xff\xff\xff\xf0",
    "a value beyond the end": exif_header(5, 1, b"\xff\xff\xff\xf0"),
    "an unknown type": exif_header(99, 1, b"\0\x06"),
    "text": exif_header(2, 4, b"six\0"),
    "an unknown orientation": exif_header(3, 1, b"\0\x63"),
    "a count beyond the end": exif_header(3, 0xFFFFFF, b"\0\0\0\x08"),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("broken", BROKEN_EXIF)
def test_a_picture_with_broken_exif_is_read_as_it_lies_without_a_warning(tmp_path: Path, broken: str, suffix: str) -> None:
    path, plain = tmp_path / f"photo.{suffix}", tmp_path / f"plain.{suffix}"
    image = photograph((64, 48))
    image.save(path, exif=BROKEN_EXIF[broken])
    image.save(plain)
    assert np.array_equal(Picture(24).read(path), Picture(24).read(plain))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of this opening, which is not ours
        opened = Image.open(path)
    with opened:
        assert np.array_equal(Picture(24).read(opened), Picture(24).read(plain))


def test_damaged_exif_of_any_kind_stops_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    whole = exif_header(3, 1, b"\0\x06") + rng.bytes(40)
    path = tmp_path / "photo.jpg"
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(6, len(whole), 3):
            damaged[place] = rng.integers(256)
        photograph((12, 8)).save(path, exif=bytes(damaged))
        assert Picture(8).read(path).shape == (3, 8, 8)


@pytest.mark.parametrize("reader", [Picture(8), Picture(8, fit="pad"), Ink()])
@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_an_error(reader: Picture | Ink, size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=rf"the picture has no pixels: it is {size[0]} × {size[1]}"):
        reader.read(Image.new("RGB", size))


@pytest.mark.parametrize(("suffix", "place"), [("png", 16), ("bmp", 18), ("tga", 12), ("ppm", 3)])
def test_a_file_that_says_it_has_no_pixels_is_an_error_with_its_name(tmp_path: Path, suffix: str, place: int) -> None:
    path = tmp_path / f"none.{suffix}"
    photograph((4, 4)).save(path)
    data = bytearray(path.read_bytes())
    data[place] = 0 if suffix != "ppm" else ord("0")
    data[place : place + 4] = bytes(4) if suffix == "png" else data[place : place + 4]
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"none\.{suffix}: "):
        Picture(8).read(path)


@pytest.mark.parametrize("kind", ["EPS", "PCX", "SGI", "MSP", "XBM"])
def test_only_promised_formats_are_opened_whatever_a_file_is_called(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("Ghostscript was called"))
    file = io.BytesIO()
    photograph().convert("1" if kind in ("MSP", "XBM") else "RGB").save(file, kind)
    path = tmp_path / "photo.png"
    path.write_bytes(file.getvalue())
    with pytest.raises(DataError, match=r"photo\.png: it is not a picture in a known format"):
        read_picture(path)


def test_pictures_are_opened_in_one_place() -> None:
    source = Path(picture_file.__file__).parents[2]
    opening = [path.name for path in source.rglob("*.py") if "Image.open(" in path.read_text(encoding="utf-8")]
    assert opening == ["picture_file.py"]


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    end = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(bytes(9))
    return b"\x89PNG\r\n\x1a\n" + end + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def test_above_100_megapixels_a_picture_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_header(10_000, 10_001))
    with pytest.raises(DataError, match=r"large\.png: it has 10,000 × 10,001 pixels, more than 100 million\. Make it smaller"):
        read_picture(path)
    path.write_bytes(png_header(10_000, 10_000))
    with pytest.raises(DataError, match=r"large\.png: the picture is cut off or damaged"):
        read_picture(path)


def test_an_icon_that_hides_a_large_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = io.BytesIO()
    photograph((64, 48)).save(inside, "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside.getvalue()), 22)
    path = tmp_path / "small.ico"
    path.write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + inside.getvalue())
    assert read_picture(path).size == (64, 48)
    monkeypatch.setattr(picture_file, "MOST_PIXELS", 2000)
    with pytest.raises(DataError, match=r"small\.ico: it has 64 × 48 pixels"):
        read_picture(path)


def test_a_large_jpeg_is_decoded_at_the_size_that_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    photograph((1600, 800)).resize((1600, 800)).save(path)
    for side, measure, size in ((0, max, (1600, 800)), (100, max, (200, 100)), (100, min, (400, 200)), (401, min, (1600, 800))):
        with opened_picture(path, side, measure) as image:
            assert image.size == size


def test_names_of_pictures() -> None:
    assert is_picture_name(Path("a/B.JPeG"))
    assert not is_picture_name(Path("Thumbs.db"))
    assert not is_picture_name(Path("png"))


@pytest.mark.parametrize(
    ("longer", "twice", "once"), [(399, 399, 399), (400, 200, 200), (799, 400, 400), (800, 200, 100), (1599, 400, 200), (1600, 200, 200)]
)
def test_a_jpeg_is_reduced_while_it_stays_twice_as_large_or_an_eighth_large_enough(
    tmp_path: Path, longer: int, twice: int, once: int
) -> None:
    path = tmp_path / "wide.jpg"
    Image.new("RGB", (longer, longer // 2)).save(path)
    for gap, expected in ((2, twice), (1, once)):
        with opened_picture(path, 100, gap_of_eighth=gap) as image:
            assert image.width == expected
