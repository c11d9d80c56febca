"""Standard input that is there, that is closed, and that never was."""

import io
import sys
from pathlib import Path

import pytest

from kshot.data.tables.table_file import open_table
from kshot.errors import DataError
from kshot.standard_input import standard_input, standard_lines
from kshot.tasks.queries import TableForm, find_queries, queries_of


def text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)), encoding="utf-8")  # type: ignore[arg-type]  # BytesIO is raw enough


def test_what_is_there_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", text(b"a.png\nb.png\n"))
    found = standard_input()
    assert found is not None
    assert found.peek(1)[:1] == b"a"
    assert [query.thing for query in find_queries(["-"], standard_lines())] == ["a.png", "b.png"]


@pytest.mark.parametrize("closed", [True, False])
def test_what_is_not_there_is_said(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = text(b"")
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream if closed else None)
    assert standard_input() is None
    with pytest.raises(DataError, match=r"standard input cannot be read here\. Name a file"):
        list(find_queries(["-"], standard_lines()))
    with pytest.raises(DataError, match="standard input cannot be read here"):
        open_table("-", stream=standard_input())
    for reads in ("texts", "numbers"):
        with pytest.raises(DataError, match="standard input cannot be read here"):
            list(queries_of(["-"], TableForm(reads), standard_input()))


def test_words_beside_it_need_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    (tmp_path / "a.png").touch()
    assert [query.thing for query in find_queries([str(tmp_path / "a.png")], standard_lines())] == [str(tmp_path / "a.png")]
