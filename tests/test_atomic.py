"""A file is written whole or not at all, whatever refuses or kills the writer."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kshot import atomic
from kshot.errors import SavedError

SOURCE = Path(atomic.__file__).resolve().parents[1]


def unfinished_files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part")]


def run_python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "state"
    data = random.Random(0).randbytes(300_000)
    atomic.write_bytes(path, data)
    assert path.read_bytes() == data
    atomic.write_bytes(path, b"short")
    assert path.read_bytes() == b"short"
    atomic.write_bytes(path, b"")
    assert path.read_bytes() == b""
    assert [file.name for file in path.parent.iterdir()] == ["state"]


def test_text_is_utf_8_and_json_is_json(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "text", "fünf × 一\n")
    assert (tmp_path / "text").read_bytes() == "fünf × 一\n".encode()
    atomic.write_json(tmp_path / "value.json", {"name": "Ñ", "scores": [0.5, 1]})
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Ñ", "scores": [0.5, 1]}
    assert "Ñ" in text
    assert text.endswith("}\n")


def test_json_refuses_what_is_not_json_and_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    atomic.write_json(path, 1)
    with pytest.raises(ValueError, match="the value is nan, which JSON does not have"):
        atomic.write_json(path, float("nan"))
    assert path.read_text(encoding="utf-8") == "1\n"


@pytest.mark.parametrize("refusing", ["fsync", "chmod", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, refusing, refuse)
        with pytest.raises(SavedError) as caught:
            atomic.write_bytes(path, b"new" * 1000)
    message = str(caught.value)
    assert str(path) in message
    assert "3,000 bytes" in message
    assert "No space left on device; the earlier file is untouched" in message
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(SavedError) as caught:
            atomic.write_bytes(tmp_path / "state", b"new")
    assert "untouched" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


WRITES_PAST_A_LIMIT = """
import resource, signal, sys
from pathlib import Path
from kshot import atomic, errors

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails with an error, half done, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    atomic.write_bytes(Path(sys.argv[1]), b"new" * 10_000)
except errors.SavedError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process's files are a thing of POSIX")
def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    out, err = run_python(WRITES_PAST_A_LIMIT, str(path)).communicate(timeout=30)
    assert str(path) in out, err
    assert "File too large; the earlier file is untouched" in out
    assert path.read_bytes() == b"old"
    assert unfinished_files(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SavedError, match=r"cannot write .*file/inner/state"):
        atomic.write_bytes(tmp_path / "file" / "inner" / "state", b"new")


def test_an_interruption_passes_through_and_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert unfinished_files(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are a thing of POSIX")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_mode_of_an_ordinary_one(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        atomic.write_bytes(tmp_path / "state", b"new")
        assert os.umask(mask) == mask  # reading the mask has not changed it
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == mode


WRITES_WITHOUT_END = """
import itertools, sys
from pathlib import Path
from kshot import atomic

path = Path(sys.argv[1])
for number in itertools.count():
    atomic.write_bytes(path, bytes([number % 251]) * (1_000 * (number % 251) + 1))
    if number == 0:
        print("started", flush=True)
"""


def is_whole(data: bytes) -> bool:
    return len(set(data)) == 1 and len(data) == 1_000 * data[0] + 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a thing of POSIX")
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_never_leaves_a_torn_file(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "state"
    writer = run_python(WRITES_WITHOUT_END, str(path))
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n", writer.communicate(timeout=5)[1]
        start, moment = time.monotonic(), random.Random(seed).uniform(0.02, 0.3)
        seen: set[int] = set()
        while (so_far := time.monotonic() - start) < moment or (len(seen) < 2 and so_far < 10):  # a reader beside the writer
            data = path.read_bytes()
            assert is_whole(data)
            seen.add(data[0])
    finally:
        writer.kill()
        writer.communicate(timeout=5)
    assert writer.returncode == -signal.SIGKILL
    assert len(seen) > 1
    assert is_whole(path.read_bytes())
    assert len(unfinished_files(tmp_path)) <= 1
    atomic.write_bytes(path, b"\0")  # what the kill left behind stands in nobody's way
    assert path.read_bytes() == b"\0"


def test_json_refuses_what_holds_itself_and_what_is_too_deep(tmp_path: Path) -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(ValueError, match="is nested more than 100 deep, or holds itself"):
            atomic.json_text(value)
    assert atomic.json_text(deep[0]).count("[") == 100
