"""One reader of files: regular ones only, never more than a ceiling, and a path that cannot be reached is not one where nothing is."""

import ast
import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kshot import regular_file
from kshot.errors import DataError, SavedError
from kshot.regular_file import DEEPEST, look, names_in, parse_json, read_bytes, read_json, read_text

PACKAGE = Path(regular_file.__file__).parent
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and devices have other names there")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    there = os.getcwd()
    os.chdir(path.parent)  # the address of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(there)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def giant(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


@POSIX
@pytest.mark.parametrize(
    ("make", "message", "what"),
    [
        (pipe, "it is a named pipe, not a regular file", "other"),
        (plug, "it is a socket, not a regular file", "other"),
        (zeros, "it is a device, not a regular file", "other"),
        (giant, r"it has 1,099,511,627,776 bytes, and at most 1,000 are read", "file"),
        (Path.mkdir, "Is a directory", "folder"),
        (lambda path: None, "No such file", "nothing"),
    ],
)
def test_only_regular_files_are_read(tmp_path: Path, make: Callable[[Path], Any], message: str, what: str) -> None:
    make(tmp_path / "it")
    with pytest.raises(OSError, match=message) as caught:
        read_bytes(tmp_path / "it", 1000)
    assert caught.value.filename == str(tmp_path / "it")
    assert look(tmp_path / "it") == what


def test_a_link_to_a_regular_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 5) == b"12345"
    assert look(tmp_path / "link") == "file"
    with pytest.raises(OSError, match="it has 5 bytes, and at most 4 are read"):
        read_bytes(tmp_path / "link", 4)


def test_a_file_that_grows_or_hides_its_size_stops_at_the_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    monkeypatch.setattr(regular_file, "_require_regular", lambda *_: None)
    with pytest.raises(OSError, match="at most 4 are read"):
        read_bytes(tmp_path / "file", 4)


@pytest.mark.parametrize(("name", "reason"), [("x\0y", "embedded null byte"), ("x" * 300, "File name too long")])
def test_a_name_that_no_file_has_is_an_error_with_the_path(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SavedError, match=rf"cannot reach .*x: .*{reason}|cannot reach .*x.*y: .*{reason}"):
        look(tmp_path / name, SavedError)
    with pytest.raises(OSError, match=reason):
        read_bytes(tmp_path / name, 10)


def test_what_may_not_be_looked_at_is_not_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Any, *_: Any, **__: Any) -> Any:  # what mode 000 does to everyone but root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        with pytest.raises(DataError, match=rf"cannot reach {tmp_path}: Permission denied\. Check the path and its permissions"):
            look(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        with pytest.raises(SavedError, match=rf"cannot list the folder {tmp_path}: Permission denied\. Allow reading it"):
            names_in(tmp_path, SavedError)


def test_names_are_sorted_and_there_are_none_where_there_is_no_folder(tmp_path: Path) -> None:
    for name in "bca":
        (tmp_path / name).touch()
    assert names_in(tmp_path) == ["a", "b", "c"]
    assert names_in(tmp_path / "a") == names_in(tmp_path / "nowhere") == []


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert read_text(tmp_path / "text") == "[1, 2]"
    assert read_json(tmp_path / "text") == [1, 2]


def test_a_text_that_is_not_utf_8_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xff\xfe[")
    with pytest.raises(ValueError, match=r"it is UTF-16\. Save it as UTF-8: iconv -f UTF-16"):
        read_text(tmp_path / "text")
    (tmp_path / "text").write_bytes(b"a\nb\ncaf\xe9")
    with pytest.raises(
        ValueError, match=r"line 3 is not UTF-8: byte 0xe9 at character 4\. Save the file as UTF-8; .* iconv -f WINDOWS-1252"
    ):
        read_text(tmp_path / "text")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ("[1e400]", "the number 1e400 is too large"),
        ("[" * 5000 + "]" * 5000, "it is nested more than 100 deep"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "it is nested more than 100 deep"),
        ('{"a":' * 300 + "1" + "}" * 300, "it is nested more than 100 deep"),
        ("1" * 5000, "digits"),
        ("{", "Expecting"),
    ],
)
def test_what_is_not_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_what_is_json_is_read() -> None:
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert json.dumps(parse_json(deep)) == deep
    assert parse_json('{"a": [1, 2.5e3, "x", null, true]}') == {"a": [1, 2500.0, "x", None, True]}
    assert parse_json("[1e400, Infinity]", finite=False) == [float("inf")] * 2


LOOKING = {"exists", "is_file", "is_dir", "read_text", "read_bytes"}
ELSEWHERE = {
    "regular_file.py",
    "atomic.py",  # os.path.exists in a handler, where nothing may be raised
    "learners/inner_loop/planning/footprint.py",  # files of the system
    "results/compare/peak_memory.py",
    "data/pictures/omniglot.py",  # files of the package
    "data/pictures/lake_runs.py",
    "web/page/route.py",
}


@pytest.mark.slow
def test_every_room_reads_with_it() -> None:
    """Only `regular_file` asks what is at a path, reads it, and opens it to be read."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            if node.func.attr in LOOKING or (node.func.attr == "open" and any(str(mode).startswith("r") for mode in modes)):
                found.append(f"{name}:{node.lineno} {node.func.attr}")
    assert found == []
