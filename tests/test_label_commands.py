"""The commands for labels, in this process: what they print, write and refuse."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import kshot.encoders.table
from cases.encoders import Lengths
from kshot import cli
from kshot.exit_code import exit_code_of

Run = Callable[..., tuple[int, str, str]]
TEXTS = ["text,kind", "a,short", "bb,short", "ccc,short", "a b c d e,long", "a b c d e f,long", "a b c d e f g,long"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, in an empty folder, with an encoder that is worked out by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setitem(kshot.encoders.table.ENCODERS, "lengths", lambda device: Lengths())
    monkeypatch.setitem(kshot.encoders.table.DEFAULTS, "texts", "lengths")

    def call(*words: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        code = exit_code_of(cli.app)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def write(name: str, *lines: str) -> str:
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


@pytest.fixture
def model(run: Run) -> str:
    assert run("fit", write("t.csv", *TEXTS), "-o", "m", "--with", "class_means")[0] == 0
    return "m"


@pytest.mark.slow
def test_suggest_from_a_table_to_lines_json_and_a_file(run: Run, model: str) -> None:
    write("u.csv", "text", "abcdef", "a b", "ab cd ef gh", "a")
    code, out, err = run("suggest", model, "u.csv", "--count", "2")
    assert code == 0
    assert [line.partition(".")[0] for line in out.splitlines()] == ["1", "2"]
    assert all(". row " in line and ": adds " in line for line in out.splitlines())
    assert " %  (now short 0." in out or " %  (now long 0." in out
    assert "1 of 4 things are examples of the model already, and left out. By how alike things are, the labels of these 2 cover" in err
    code, out, err = run("suggest", model, "u.csv", "--count", "2", "--json", "-o", "next.csv")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2]
    assert "The suggestions are in next.csv" in err
    written = list(csv.DictReader(io.StringIO(Path("next.csv").read_text(encoding="utf-8"))))
    assert [row["input"] for row in written] == [str(row["input"]) for row in rows]
    assert list(written[0]) == ["input", "rank", "gain", "label", "probability", "error"]


@pytest.mark.slow
def test_suggest_names_what_cannot_be_read(run: Run, model: str) -> None:
    write("u.csv", "text", "abcde f", '""', "ab cd ef gh")
    code, out, err = run("suggest", model, "u.csv", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, rows[0]["error"], rows[0]["rank"], len(rows)) == (2, "the text is empty.", None, 3)
    assert "1 thing cannot be read; the reason is in the row of each. The others were compared." in err
    code, out, err = run("suggest", model, "u.csv", "--strict")
    assert (code, out) == (2, "")
    assert "2: the text is empty. Without --strict, it would be a row with its reason." in err
    code, out, _ = run("suggest", model, "-", stdin=b"abcde f\nab cd ef gh\n")
    assert (code, out.count("\n")) == (0, 2)
    code, out, err = run("suggest", model, "-", stdin=b"ab cd ef gh\n" * 3)  # all alike
    assert (code, out.partition("  (")[0]) == (0, "1. row 1: adds 100 %")
    assert "1 is suggested, where 10 were asked for: the others of 3 things are alike to it or to examples" in err


@pytest.mark.slow
def test_suggest_refuses(run: Run, model: str) -> None:
    for words, told in (
        (["suggest", model, "t.csv"], "there is nothing to suggest: all 6 things are examples of the model already"),
        (["suggest", model, "t.csv", "--count", "0"], "--count must be from 1 to 1,000; found 0."),
        (["suggest", model, "t.csv", "-o", "t.csv"], "--out t.csv is a file to be labelled"),
        (["suggest", "none", "t.csv"], "there is no model at none"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert told in err


@pytest.mark.slow
def test_suggest_refuses_a_model_of_a_quantity(run: Run) -> None:
    write("n.csv", "x,y", *(f"{x},{2 * x}" for x in range(12)))
    assert run("fit", "n.csv", "-o", "q", "--regression")[0] == 0
    code, _, err = run("suggest", "q", "n.csv")
    assert code == 2
    assert "q is a model of a quantity, which has no classes, so kshot suggests nothing to label." in err


@pytest.mark.slow
def test_doubt_lists_a_wrong_label_and_what_is_nearly_the_same(run: Run) -> None:
    words = ["ab", "abcdef g", "abcdefg h", "abcdefghi j"], ["a b c", "a b c d e f g h", "a b c d e f g i", "aa b c d"]
    rows = [f"{text},{kind}" for kind, texts in zip(("word", "words"), words, strict=True) for text in texts] + ["a b c d e,word"]
    assert run("fit", write("d.csv", "text,kind", *rows), "-o", "d", "--with", "class_means")[0] == 0
    code, out, err = run("doubt", "d", "--count", "2")
    assert code == 0
    assert out.startswith("1. row 9: word 0.")
    assert ", or words 0." in out.splitlines()[0]
    assert "1. row 6 and row 9 are nearly the same: words and word" in out
    assert "The evidence is against" in err
    code, out, _ = run("doubt", "d", "--count", "3", "--json", "-o", "doubts.csv")
    found = [json.loads(line) for line in out.splitlines()]
    assert (found[0]["input"], found[0]["kind"], found[0]["other"], found[0]["doubt"] > 0) == ("9", "label", "words", True)
    assert [row["rank"] for row in found if row["kind"] == "label"] == [1, 2, 3]
    written = list(csv.DictReader(io.StringIO(Path("doubts.csv").read_text(encoding="utf-8"))))
    assert [row["input"] for row in written] == [row["input"] for row in found]


@pytest.mark.slow
def test_doubt_refuses(run: Run, model: str) -> None:
    write("n.csv", "x,y", *(f"{x},{2 * x}" for x in range(12)))
    assert run("fit", "n.csv", "-o", "q", "--regression")[0] == 0
    assert run("fit", write("one.csv", "text,kind", "a,short", "a b c,long"), "-o", "one")[0] == 0
    for words, told in (
        (["doubt", "q"], "q is a model of a quantity, which has no classes, so kshot doubts no labels."),
        (["doubt", "one"], "no label can be judged: every class has one example. Give two or more per class."),
        (["doubt", model, "--count", "0"], "--count must be 1 or more; found 0."),
        (["doubt", model, "-o", "x.txt"], "--out must name a .csv or .jsonl file"),
        (["doubt", "none"], "there is no model at none"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert told in err
