"""Two commands never write one model at a time, whatever they call it."""

import os
from pathlib import Path

import pytest

from kshot.errors import SavedError
from kshot.tasks.one_writer import one_writer


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("other", ["{0}/m", "{0}/x/../m", "{0}/link"])
def test_a_second_writer_is_refused_by_any_name_of_the_folder(tmp_path: Path, other: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "m")
    with one_writer(tmp_path / "m"):
        message = rf"another command is writing .*: process {os.getpid()} on .*, started 20.*\. Wait for its end, then give"
        with pytest.raises(SavedError, match=message), one_writer(Path(other.format(tmp_path))):
            pass
        with one_writer(tmp_path / "n"):
            pass
    assert not (tmp_path / "m").exists()
    with one_writer(tmp_path / "m"):
        pass


def test_an_error_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), one_writer(tmp_path):
        raise ZeroDivisionError
    with one_writer(tmp_path):
        pass


def test_without_a_cache_folder_there_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "file"))
    with one_writer(tmp_path / "m"), one_writer(tmp_path / "m"):
        pass
    with one_writer(Path("a\0b")):
        pass
