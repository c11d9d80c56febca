"""Tables of users: the same rows from every form, and one clear fault for each row that cannot be read."""

import csv
import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.data.tables.array_rows import start_npz
from kshot.data.tables.table_file import FORMS, is_table, open_table
from kshot.errors import DataError

ROWS = [{"text": 'where is "my" card?\nasked twice', "label": "card"}, {"text": "Überweisung, bitte", "label": "transfer"}]


def written(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def as_csv(path: Path, rows: list[dict[str, str]], **format: str) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **format)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def as_json_lines(path: Path, rows: list[dict[str, str]]) -> str:
    return written(path, "".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(path: Path, rows: list[dict[str, str]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def as_data_set(path: Path, rows: list[dict[str, str]]) -> str:
    path.mkdir()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(path / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table)
    (path / "dataset_info.json").write_text("{}")
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return str(path)


def as_structured(path: Path, rows: list[dict[str, str]]) -> str:
    np.save(path, np.array([tuple(row.values()) for row in rows], [(name, "U40") for name in rows[0]]))
    return str(path)


WRITERS: dict[str, Callable[[Path, list[dict[str, str]]], str]] = {
    "t.csv": as_csv,
    "semicolons.csv": lambda path, rows: as_csv(path, rows, delimiter=";"),
    "t.TSV": lambda path, rows: as_csv(path, rows, delimiter="\t"),
    "unix.csv": lambda path, rows: as_csv(path, rows, lineterminator="\n"),
    "t.jsonl": as_json_lines,
    "t.json": as_json_lines,
    "t.parquet": as_parquet,
    "t": as_data_set,
    "t.npy": as_structured,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, ROWS)
    table = open_table(path)
    assert is_table(path)
    assert table.columns == ("text", "label")
    assert list(table.rows()) == ROWS
    assert list(table.head()) == ROWS
    assert list(table.each()) == ROWS  # a second pass


@pytest.mark.slow
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9) for _ in range(3)]), min_size=1
    )
)
def test_csv_as_python_writes_it_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    named = [dict(zip("abc", row, strict=True)) for row in rows]
    assert list(open_table(as_csv(path, named)).rows()) == named


def test_a_byte_order_mark_and_lines_that_end_in_any_way(tmp_path: Path) -> None:
    for mark in ("", "\ufeff"):
        for end in ("\n", "\r\n", "\r"):
            for name, comma in (("t.csv", ","), ("t.tsv", "\t")):
                path = written(tmp_path / name, f"{mark}text{comma}label{end}{end}é{comma}x{end}{end}")
                assert list(open_table(path).rows()) == [{"text": "é", "label": "x"}]
    path = written(tmp_path / "t.jsonl", '\ufeff{"text": "é"}\r\n\r\n')
    assert list(open_table(path).rows()) == [{"text": "é"}]


def test_lines_of_texts_keep_their_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "t.txt", b"one, two\n\nthree \xff\nfour\n")
    rows = list(open_table(path).each())
    assert rows[:2] + rows[3:] == [{"text": "one, two"}, {"text": ""}, {"text": "four"}]
    assert "line 3 is not UTF-8: byte 0xff at character 7" in str(rows[2])


def test_a_column_without_a_name_gets_one(tmp_path: Path) -> None:
    assert open_table(written(tmp_path / "t.csv", ",text \n0,a\n")).columns == ("column 1", "text")


FAULTS = {
    "a field too many": (b"text,label\na,b,c\n", "line 2 has 3 fields, and the header names 2"),
    "a field too few": (b"text,label\na\n", "line 2 has 1 fields, and the header names 2"),
    "not UTF-8": (b"text,label\ncaf\xe9,b\n", "line 2 is not UTF-8: byte 0xe9 at character 4.*iconv -f WINDOWS-1252"),
    "a quotation mark inside": (b'text,label\n"a"b,c\n', "line 2 has a quotation mark .* Double each"),
    "a quotation mark across lines": (b'text,label\n"a\nb"b,c\n', "the row of lines 2 to 3 has a quotation mark"),
    "a field without an end": (b'text,label\n"' + 140 * (b"x" * 1000 + b"\n"), "more than 131,072 characters, or a quotation mark"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_row_that_cannot_be_read_is_one_fault(tmp_path: Path, case: str) -> None:
    content, message = FAULTS[case]
    table = open_table(written(tmp_path / "t.csv", content))
    with pytest.raises(DataError, match=message):
        list(table.rows())
    if case != "a field without an end":
        path = written(tmp_path / "more.csv", b"text,label\nfirst,x\n" + content.partition(b"\n")[2] + b"last,y\n")
        rows = list(open_table(path).each())
        assert [row for row in rows if isinstance(row, dict)] == [{"text": "first", "label": "x"}, {"text": "last", "label": "y"}]
        assert len(rows) == 3


def test_a_quotation_mark_that_is_never_closed_swallows_nothing_silently(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", b'text,label\n"a,b\nc,d\ne,f\n')
    with pytest.raises(DataError, match="the row of lines 2 to 4 has a quotation mark that is never closed"):
        list(open_table(path).rows())


def test_a_line_without_an_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.data.tables.text_rows.LONGEST_LINE", 20)
    path = written(tmp_path / "t.jsonl", b'{"text": "a"}\n{"text": "' + 50 * b"x" + b'"}\n{"text": "b"}\n')
    rows = list(open_table(path).each())
    assert (rows[0], rows[2], len(rows)) == ({"text": "a"}, {"text": "b"}, 3)
    assert "line 2 has more than 20 characters" in str(rows[1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{text", "line 2 is not JSON .* at character 2"),
        ("[1, 2]", "line 2 holds no JSON object.*jq -c"),
        ("3", "line 2 holds no JSON object"),
        ('{"text": ' + 200 * "[" + 200 * "]" + "}", "line 2 is not usable JSON: it is nested"),
    ],
)
def test_a_line_that_is_no_object(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path / "t.jsonl", f'{{"text": "a"}}\n{line}\n{{"text": "b"}}\n')
    table = open_table(path)
    with pytest.raises(DataError, match=message):
        list(table.rows())
    assert [row for row in table.each() if isinstance(row, dict)] == [{"text": "a"}, {"text": "b"}]


def test_keys_of_json_lines_may_be_missing(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"a": 1}\n{"b": NaN, "a": null}\n' + 100 * '{"a": 2}\n' + '{"late": 3}\n')
    table = open_table(path)
    rows = list(table.rows())
    assert table.columns == ("a", "b")
    assert rows[0] == {"a": 1, "b": None}
    assert rows[-1] == {"a": None, "b": None}
    assert rows[1]["b"] != rows[1]["b"]  # not a number


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\n\n", "holds empty lines only"),
        ("t.csv", "text,label\n".encode("utf-16"), "is UTF-16. Save it as UTF-8: iconv"),
        ("t.csv", b"caf\xe9,label\n", "line 1 is not UTF-8"),
        ("t.csv", b"x" * 200_000 + b",label\na,b\n", "line 1 has a field of more than 131,072 characters"),
        ("t.csv", b"x" * 1001 + b",label\na,b\n", "a column with a name of 1,001 characters"),
        ("t.csv", b"text,label,text\na,b,c\n", "more than one column is called 'text'"),
        ("t.jsonl", b"\n", "no line holds a JSON object"),
        ("t.jsonl", b"[\n", "line 1 is not JSON"),
        ("t.xlsx", b"PK", "its name ends in '.xlsx'. Save the sheet as CSV"),
        ("t.pkl", b"", "kshot opens no pickles"),
        ("t.dat", b"", "Name a file that ends in .csv, .tsv"),
        ("t.parquet", b"PAR1", "as a Parquet file: "),
        ("t.npy", b"\x93NUMPY", "as an array of NumPy: "),
        ("t.npz", b"PK", "as an array of NumPy: "),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(open_table(written(tmp_path / name, content)).rows())


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.npy", "t.npz"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"no table at .*{name}. Check the path"):
        open_table(str(tmp_path / name))
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="regular file"):
        open_table(str(tmp_path / name))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="is a folder and not a table"):
        open_table(str(tmp_path / "folder.csv"))


def test_a_table_that_changes_between_two_passes(tmp_path: Path) -> None:
    table = open_table(written(tmp_path / "t.csv", "a,b\n1,2\n"))
    written(tmp_path / "t.csv", "a,c\n1,2\n")
    with pytest.raises(DataError, match="has changed while it was read"):
        list(table.rows())


def stream_of(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]  # it is a raw stream in all but its class


def test_standard_input_is_read_once() -> None:
    stream = stream_of(b"text,label\na,b\nc,d\n")
    table = open_table("-", stream=stream)
    assert (table.form, table.columns) == ("csv", ("text", "label"))
    rows = [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]
    assert list(table.head()) == rows
    assert list(table.rows()) == rows
    with pytest.raises(DataError, match="standard input can be read only once"):
        list(table.rows())
    assert not stream.closed


def test_the_form_of_standard_input() -> None:
    assert list(open_table("-", stream=stream_of(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')).rows()) == [{"a": 1}, {"a": 2}]
    assert list(open_table("-", form="lines", stream=stream_of(b"a, b\n")).rows()) == [{"text": "a, b"}]
    with pytest.raises(DataError, match="csv, tsv, jsonl, lines, and parquet was asked for"):
        open_table("-", form="parquet", stream=stream_of(b""))
    with pytest.raises(DataError, match="standard input is empty"):
        open_table("-", stream=stream_of(b""))
    with pytest.raises(DataError, match=r"'cvs' is no form of a table.* mean 'csv'"):
        open_table("-", form="cvs", stream=stream_of(b""))
    with pytest.raises(DataError, match="standard input cannot be read here"):
        open_table("-")
    assert set(FORMS) == {"csv", "tsv", "jsonl", "lines", "parquet", "npy", "npz", "datasets"}


def test_answers_need_not_wait_for_the_end_of_standard_input() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as pipe:
        pipe.write(b'{"text": "a"}\n')
        rows = open_table("-", stream=stream).rows()
        assert next(rows) == {"text": "a"}
        pipe.write(b'{"text": "b"}\n')
        assert next(rows) == {"text": "b"}


def test_arrays_are_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    table = open_table(str(tmp_path / "x.npy"))
    assert table.columns == ("column 1", "column 2")
    assert list(table.rows())[2] == {"column 1": 4.0, "column 2": 5.0}
    np.savez(tmp_path / "x.npz", x=np.arange(2000).reshape(1000, 2), y=np.array(500 * ["a", "b"]))
    rows = list(open_table(str(tmp_path / "x.npz")).rows())
    assert (len(rows), rows[999]) == (1000, {"x 1": 1998, "x 2": 1999, "y": "b"})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, "need one length, the number of rows. Found: x has 3, y has 2"),
        ({"x": np.zeros((3, 2, 2))}, r"the array x has the shape \(3, 2, 2\)"),
        ({"x": np.array([{}], object)}, "kshot opens no pickles"),
        ({}, "Found: no array"),
    ],
)
def test_arrays_that_are_no_tables(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]  # its stub takes the names of arrays for a flag
    with pytest.raises(DataError, match=message):
        open_table(str(tmp_path / "x.npz"))


def test_an_archive_with_something_else_than_arrays_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("note.txt", "no array")
    with pytest.raises(DataError, match=r"holds the file note\.txt, which is no array"):
        open_table(str(tmp_path / "x.npz"))


def test_a_forged_shape_is_refused_without_a_warning(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4611686018427387904), }\n"
    written(tmp_path / "x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80))
    with pytest.raises(DataError, match="as an array of NumPy"):
        open_table(str(tmp_path / "x.npy"))


def test_an_archive_that_unpacks_to_more_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1000, 100)))
    monkeypatch.setattr("kshot.data.tables.array_rows.MOST_IN_MEMORY", 500_000)
    with pytest.raises(DataError, match=r"unpacks to 800,\d+ bytes; at most 500,000"):
        start_npz(str(tmp_path / "x.npz"))


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "t.parquet", 1000 * ROWS)
    content = bytearray(Path(path).read_bytes())
    content[10:200] = bytes(190)
    written(tmp_path / "t.parquet", bytes(content))
    with pytest.raises(DataError, match=r"cannot read .*t.parquet as a Parquet file"):
        list(open_table(path).rows())


def test_a_time_beyond_those_of_python_is_one_fault(tmp_path: Path) -> None:
    times = pa.array([0, 2**62, 1], pa.timestamp("us"))
    pq.write_table(pa.table({"when": times}), tmp_path / "t.parquet")
    first, fault, last = open_table(str(tmp_path / "t.parquet")).each()
    assert isinstance(fault, DataError)
    assert "row 2: a date or a time is beyond those of Python" in str(fault)
    assert isinstance(first, dict)
    assert isinstance(last, dict)


def test_the_parts_of_a_data_set_are_named(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert is_table(str(tmp_path))
    with pytest.raises(DataError, match=r"holds the parts train, test of a data set. Name one of them: .*/train or .*/test"):
        open_table(str(tmp_path))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("[]", "as a file of a data set: it is no JSON object"),
        ("{}", "names no files of the data set"),
        ('{"_data_files": [{"filename": "../secret.arrow"}]}', "names no files of the data set"),
        ('{"_data_files": [{"filename": "a.arrow"}], "_indices_data_files": [{}]}', "is a selection of rows"),
        ('{"_data_files": [{"filename": "a.arrow"}]}', "cannot read .*a.arrow as an Arrow file of a data set: No such file"),
    ],
)
def test_a_damaged_data_set_is_named(tmp_path: Path, state: str, message: str) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(DataError, match=message):
        open_table(str(tmp_path))


@pytest.mark.slow
def test_data_sets_as_their_library_saves_them(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["card", "transfer"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    expected = [{"text": "a", "label": "transfer"}, {"text": "b", "label": "card"}, {"text": "c", "label": None}]
    data.save_to_disk(tmp_path / "set", num_shards=2)
    assert list(open_table(str(tmp_path / "set")).rows()) == expected
    data.select([2, 0]).save_to_disk(tmp_path / "selected")
    assert list(open_table(str(tmp_path / "selected")).rows()) == [expected[2], expected[0]]
    data.to_parquet(str(tmp_path / "t.parquet"))
    assert list(open_table(str(tmp_path / "t.parquet")).rows()) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, 3000 * [{"text": 1000 * "x", "label": "y"}])
    table = open_table(path)
    tracemalloc.start()
    assert sum(1 for _ in table.rows()) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 600_000, peak  # the file has 3 MB


@pytest.mark.parametrize("start", [b"", b"text,label\na,b\n", b"text,label\na," + b"b" * 100])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.txt"])
def test_a_file_with_a_hole_as_large_as_a_disk_ends_with_an_error(tmp_path: Path, name: str, start: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(start)
    os.truncate(path, 2**40)
    with pytest.raises(DataError, match=r"holds 16 and more bytes of zero in a row: this is no text\. Check the file\."):
        list(open_table(str(path)).rows())
