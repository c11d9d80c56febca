"""What a person names as queries: files, folders, patterns, standard input."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from kshot.errors import DataError
from kshot.tasks.queries import Query, TableForm, find_queries, queries_of


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("inbox/b.png", "inbox/a.JPG", "inbox/fox/2.png", "inbox/fox/deep/1.png", "inbox/notes.txt", "inbox/.hidden.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inputs(*words: str, lines: tuple[str, ...] = ()) -> list[str]:
    return [query.input for query in find_queries(words, lines)]


def test_a_folder_is_its_pictures_and_those_below_as_it_was_given(inbox: Path) -> None:
    below = ["a.JPG", "b.png", "fox/2.png", "fox/deep/1.png"]
    for given in ("inbox", "./inbox", str(inbox / "inbox")):
        assert inputs(given) == [f"{given}/{path}" for path in below]
    assert inputs("inbox/") == [f"inbox/{path}" for path in below]


def test_words_keep_their_order_and_files_are_taken_as_they_are(inbox: Path) -> None:
    assert inputs("none.png", "inbox/fox", "inbox/notes.txt", "none.png") == [
        "none.png", "inbox/fox/2.png", "inbox/fox/deep/1.png", "inbox/notes.txt", "none.png",
    ]  # fmt: skip


def test_patterns_are_expanded_and_a_file_with_such_a_name_is_a_file(inbox: Path) -> None:
    assert inputs("inbox/*.png") == ["inbox/b.png"]
    assert inputs("inbox/**/*.png") == ["inbox/b.png", "inbox/fox/2.png", "inbox/fox/deep/1.png"]
    assert inputs("in*") == inputs("inbox")
    (inbox / "[1].png").touch()
    assert inputs("[1].png") == ["[1].png"]


def test_a_dash_stands_for_the_lines_of_standard_input(inbox: Path) -> None:
    lines = ("inbox/b.png\n", "\n", "inbox/fox\r\n", " spaced .png")
    assert inputs("first.png", "-", "last.png", lines=lines) == [
        "first.png", "inbox/b.png", "inbox/fox/2.png", "inbox/fox/deep/1.png", " spaced .png", "last.png",
    ]  # fmt: skip


def test_what_holds_nothing_is_a_query_with_its_reason(inbox: Path) -> None:
    assert list(find_queries(["empty", "*.gif"], ())) == [
        Query("empty", "the folder empty holds no pictures. Check the path."),
        Query("*.gif", "no file fits the pattern *.gif. Check the path."),
    ]
    assert inputs("a\0b", "x" * 300) == ["a\0b", "x" * 300]  # told when it is read
    assert list(find_queries(["-"], ["a\0/b*"])) == [Query("a\0/b*", "no file fits the pattern a\0/b*. Check the path.")]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_back_has_an_end(inbox: Path) -> None:
    os.symlink(inbox / "inbox", inbox / "inbox" / "fox" / "back", target_is_directory=True)
    assert inputs("inbox") == ["inbox/a.JPG", "inbox/b.png", "inbox/fox/2.png", "inbox/fox/deep/1.png"]


def asked(*words: str, stream: bytes = b"", **form: Any) -> list[tuple[str | int, Any]]:
    found = queries_of(words, TableForm(**form), io.BufferedReader(io.BytesIO(stream)))  # type: ignore[arg-type]  # a stream in memory
    return [(query.input, query.fault or query.thing) for query in found]


def test_texts_are_tables_lines_standard_input_or_the_text_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("id,text\n1,a b\n2, \n3,c\n")
    Path("t.txt").write_text("one\n\ntwo\n")
    assert asked("t.csv", reads="texts") == [(1, "a b"), (2, "the text is empty."), (3, "c")]
    assert asked("t.csv", "t.txt", reads="texts")[3:] == [("t.txt:1", "one"), ("t.txt:2", "the text is empty."), ("t.txt:3", "two")]
    assert asked("my card is lost", reads="texts") == [("my card is lost", "my card is lost")]
    assert asked("-", reads="texts", stream=b"a, b\nc\n") == [(1, "a, b"), (2, "c")]
    assert asked("-", reads="texts", stream=b'{"text": "a"}\n') == [(1, "a")]
    assert asked("-", reads="texts", form="csv", stream=b"text\na\n") == [(1, "a")]
    assert asked("t.csv", reads="texts", columns=("id",)) == [(1, "1"), (2, "2"), (3, "3")]
    assert asked("*.tsv", reads="texts") == [("*.tsv", "no file fits the pattern *.tsv. Check the path.")]
    with pytest.raises(DataError, match="there is no table at none"):
        asked("none.csv", reads="texts")


def test_a_text_may_be_longer_than_a_name_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "where is my parcel? " * 20
    assert asked(text, reads="texts") == [(text, text)]
    assert asked("", reads="texts") == [("", "")]  # told when it is read
    with pytest.raises(
        DataError, match=r"there is no file parcel\. A text that is given as a word of the command has a space; give one with"
    ):
        asked("parcel", reads="texts")


def test_json_lines_on_standard_input_may_begin_with_a_byte_order_mark() -> None:
    assert asked("-", reads="texts", stream=b'\xef\xbb\xbf{"text": "a"}\n') == [(1, "a")]
    assert asked("-", reads="texts", stream=b"\xef\xbb\xbfa b\n") == [(1, "a b")]


def test_of_several_words_one_that_cannot_be_read_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("text\na b\n")
    assert asked("none.csv", "t.csv", "t", "c d", reads="texts") == [
        ("none.csv", "there is no table at none.csv. Check the path."),
        ("t.csv:1", "a b"),
        (
            "t",
            "there is no file t. A text that is given as a word of the command has a space; give one without on standard input: "
            "kshot predict MODEL -",
        ),
        ("c d", "c d"),
    ]
    assert asked("t.csv", "t.csv", reads="numbers", columns=("x",))[1][1].startswith("t.csv lacks 1 of the 1 columns")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_to_itself_is_told_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("loop.png", "loop.png")
    assert asked("loop.png", reads="photographs") == [("loop.png", "loop.png")]
    with pytest.raises(DataError, match=r"cannot reach loop\.png"):
        asked("loop.png", reads="texts")


def test_photographs_are_files_folders_or_tables_of_paths(inbox: Path) -> None:
    (inbox / "t.csv").write_text("photo,note\ninbox/b.png,x\n,y\n")
    assert asked("t.csv", reads="photographs") == [(1, Path("inbox/b.png")), (2, "there is no path in 'photo'.")]
    assert asked("inbox/fox", "inbox/*.png", reads="photographs") == [
        (path, path) for path in ("inbox/fox/2.png", "inbox/fox/deep/1.png", "inbox/b.png")
    ]  # fmt: skip
    assert asked("-", reads="photographs", stream=b"inbox/b.png\n") == [("inbox/b.png", "inbox/b.png")]


def test_numbers_are_the_model_s_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("b,a,c\n1,2,3\n4,,6\n")
    path = str(tmp_path / "t.csv")
    assert asked(path, reads="numbers", columns=("a", "b")) == [(1, {"a": "2", "b": "1"}), (2, {"a": "", "b": "4"})]
    with pytest.raises(DataError, match="lacks 1 of the 2 columns that the model reads: 'x'"):
        asked(path, reads="numbers", columns=("a", "x"))
    assert asked("-", reads="numbers", columns=("a",), stream=b"a\n5\n") == [(1, {"a": "5"})]
