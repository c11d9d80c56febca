"""The cache trusts nothing that was not written by it, and never stands in the way."""

from pathlib import Path

import numpy as np
import pytest

from cases.logged import Logged
from kshot.data.cache import cache_folder, read_array, write_array
from kshot.errors import SetupError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_written_is_read(folder: Path) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_array("a.bin", array)
    again = read_array("a.bin")
    assert again is not None
    assert np.array_equal(again, array)
    assert again.dtype == np.uint8
    assert cache_folder() == folder


def test_what_is_not_there_is_none() -> None:
    assert read_array("nothing.bin") is None


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 33, 100])
def test_a_file_cut_off_anywhere_is_none(cut: int, folder: Path) -> None:
    write_array("a.bin", np.arange(100, dtype=np.uint8))
    file = folder / "a.bin"
    file.write_bytes(file.read_bytes()[:cut])
    assert read_array("a.bin") is None


def test_a_flipped_bit_anywhere_is_found(folder: Path, logged: Logged) -> None:
    write_array("a.bin", np.arange(10, dtype=np.uint8))
    file = folder / "a.bin"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert read_array("a.bin") is None
    assert "is damaged; it is made again" in logged.text


def test_a_folder_that_cannot_be_written_is_logged_and_no_error(folder: Path, logged: Logged) -> None:
    folder.write_text("a file where the folder should be")
    write_array("a.bin", np.zeros(3, np.uint8))
    assert "nothing is cached" in logged.text
    assert read_array("a.bin") is None


def test_the_folder_follows_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KSHOT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/kshot")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "kshot"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "kshot"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/kshot/cache")


def test_without_a_home_folder_nothing_is_cached_and_nothing_fails(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("KSHOT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(SetupError, match=r"no home folder.*KSHOT_CACHE"):
        cache_folder()
    assert read_array("a.bin") is None
    write_array("a.bin", np.zeros(3, np.uint8))
    assert "nothing is cached" in logged.text
