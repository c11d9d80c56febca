"""Which column is what: named, found, or asked about."""

import json
from pathlib import Path

import pytest

from kshot.data.tables.columns import Columns, find_columns
from kshot.data.tables.labels import alike, label_name
from kshot.data.tables.table_file import TableFile, open_table
from kshot.errors import DataError


def table_of(folder: Path, **first: object) -> TableFile:
    path = folder / "t.jsonl"
    path.write_text(json.dumps(first) + "\n")
    return open_table(str(path))


FOUND: list[tuple[dict[str, object], Columns]] = [
    ({"text": "a", "label": "x"}, Columns("texts", ("text",), "label")),
    ({"id": 3, " Utterance": "a", "INTENT": "x"}, Columns("texts", (" Utterance",), "INTENT", ("id",))),
    ({"question": "a", "text": "b", "class": "x", "label": 3}, Columns("texts", ("text",), "label", ("question", "class"))),
    ({"kind": "x", "text": "a"}, Columns("texts", ("text",), "kind")),
    ({"phrase": "where is it", "label": "x"}, Columns("texts", ("phrase",), "label")),
    ({"phrase": "red", "label": "x"}, Columns("numbers", ("phrase",), "label")),
    ({"path": "a.jpg", "label": "x"}, Columns("photographs", ("path",), "label")),
    ({"image": "a.jpg", "kind": "x"}, Columns("photographs", ("image",), "kind")),
    ({"text": "", "label": "x"}, Columns("texts", ("text",), "label")),
    ({"text": None, "label": "x"}, Columns("texts", ("text",), "label")),
    ({"width": 1, "file": 2, "species": "x"}, Columns("numbers", ("width", "file"), "species")),
]


@pytest.mark.parametrize(("first", "expected"), FOUND, ids=lambda one: "" if isinstance(one, Columns) else "-".join(one))
def test_columns_are_found(tmp_path: Path, first: dict[str, object], expected: Columns) -> None:
    assert find_columns(table_of(tmp_path, **first)) == expected


def test_columns_are_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, text="a b", note="c d", path="p", label="x", kind="y")
    assert find_columns(table, text="note", label="kind") == Columns("texts", ("note",), "kind", ("text", "path", "label"))
    assert find_columns(table, path="note") == Columns("photographs", ("note",), "label", ("text", "path", "kind"))
    assert find_columns(table, reads="numbers").things == ("text", "note", "path", "kind")
    assert find_columns(table, reads="photographs").things == ("path",)


def test_answers_need_no_labels(tmp_path: Path) -> None:
    assert find_columns(table_of(tmp_path, anything="a"), reads="texts", labelled=False) == Columns("texts", ("anything",), "")
    assert find_columns(table_of(tmp_path, text="a"), labelled=False) == Columns("texts", ("text",), "")
    assert find_columns(table_of(tmp_path, text="a", label="b"), labelled=False) == Columns("texts", ("text",), "label")
    assert find_columns(table_of(tmp_path, text="a", class_="b", target="c", y="d"), labelled=False).label == ""


@pytest.mark.parametrize(
    ("first", "named", "message"),
    [
        ({"text": "a", "target": "x", "class": "y"}, {}, "the columns 'target', 'class' may each be what --label names. Name one: --label"),
        ({"query": "a", "review": "b", "label": "x"}, {}, "the columns 'query', 'review' may each be what --text names"),
        (
            {"path": "a", "text": "b", "label": "x"},
            {},
            "a column of texts, 'text', and a column of paths, 'path'.*--text text or --path path",
        ),
        ({"text": "a", "b": 1, "c": 2}, {}, "which column holds the labels.*--label COLUMN, with one of 'b', 'c'"),
        ({"a": 1, "b": 2, "c": 3}, {}, "which column holds the labels.*with one of 'a', 'b', 'c'. If these are data, add a line of names"),
        ({"a": "x", "b": "y", "label": "z"}, {"reads": "texts"}, "which column holds the texts.*--text COLUMN, with one of 'a', 'b'"),
        ({"a": "x", "b": "y", "label": "z"}, {"reads": "photographs"}, "which column holds the paths.*--path COLUMN"),
        ({"text": "a", "label": "x"}, {"text": "txt"}, "no column 'txt', which --text names. Did you mean 'text'"),
        ({"text": "a", "label": "x"}, {"label": "kind"}, "no column 'kind', which --label names. Its columns are 'text', 'label'"),
        ({"text": "a", "label": "x"}, {"text": "text", "path": "label"}, "--text and --path name two columns"),
        ({"label": "x"}, {}, "the column 'label' alone"),
        ({f"c{number}": 1 for number in range(15)}, {}, "'c11' and 3 more"),
    ],
)
def test_what_is_missing_or_ambiguous_is_asked_about(tmp_path: Path, first: dict[str, object], named: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_columns(table_of(tmp_path, **first), **named)  # type: ignore[arg-type]  # `reads` is a literal


def test_a_label_has_one_name_in_every_form() -> None:
    assert [label_name(value) for value in ("3", 3, 3.0, " 3 ", float("nan"), None, "", float("inf"))] == ["3"] * 4 + ["", "", "", "inf"]


def test_labels_that_differ_by_case_or_spaces_only() -> None:
    assert alike(["a", "A", "b ", "c", "b", "a", "ﬁ", "fi"]) == [("a", "A"), ("b ", "b"), ("ﬁ", "fi")]
    assert alike(["a", "b"]) == []
