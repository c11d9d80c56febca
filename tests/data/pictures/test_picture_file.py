"""Reading one picture: every way in which a file can be none."""

import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from kshot.data.pictures.picture_file import is_picture_name, read_picture
from kshot.errors import DataError

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF", "ppm": "PPM"}


def photograph(size: tuple[int, int] = (64, 48)) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


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
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    path = tmp_path / "secret.png"
    photograph().save(path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"secret\.png: permission denied"):
        read_picture(path)


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
def test_pictures_come_upright_once(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"photo.{suffix}"
    photograph((64, 48)).save(path, exif=exif)
    read = read_picture(path)
    assert read.size == (48, 64)
    assert read.getexif().get(0x0112, 1) == 1


def test_names_of_pictures() -> None:
    assert is_picture_name(Path("a/B.JPeG"))
    assert not is_picture_name(Path("Thumbs.db"))
    assert not is_picture_name(Path("png"))
