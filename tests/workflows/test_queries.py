"""What a person names as queries: files, folders, patterns, standard input."""

import os
from pathlib import Path

import pytest

from kshot.workflows.queries import Query, find_queries


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


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_back_has_an_end(inbox: Path) -> None:
    os.symlink(inbox / "inbox", inbox / "inbox" / "fox" / "back", target_is_directory=True)
    assert inputs("inbox") == ["inbox/a.JPG", "inbox/b.png", "inbox/fox/2.png", "inbox/fox/deep/1.png"]
