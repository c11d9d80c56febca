"""The commands for a user's own things, in this process: what they print, write and refuse; and that predicting imports little."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kshot.encoders.table
import kshot.errors
import kshot.tasks.tune.plan
import kshot.terminal
from cases.encoders import Colours, Lengths
from cases.folders import fill
from cases.tunable import PLAN, learning_encoder, noisy_texts
from kshot import cli
from kshot.exit_code import exit_code_of
from kshot.tasks.one_writer import one_writer

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, in an empty folder, with encoders that are worked out by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setitem(kshot.encoders.table.ENCODERS, "colours", lambda device: Colours())
    monkeypatch.setitem(kshot.encoders.table.ENCODERS, "lengths", lambda device: Lengths())
    monkeypatch.setitem(kshot.encoders.table.DEFAULTS, "photographs", "colours")
    monkeypatch.setitem(kshot.encoders.table.DEFAULTS, "texts", "lengths")

    def call(*words: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        code = exit_code_of(cli.app)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


TEXTS = ["text,kind", "a,short", "bb,short", "ccc,short", "a b c d e,long", "a b c d e f,long", "a b c d e f g,long"]


def write(name: str, *lines: str) -> str:
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


@pytest.mark.slow
def test_photographs_from_a_folder_to_answers(run: Run) -> None:
    root = fill(Path("photos"), ["fox", "owl"], items=3)
    code, out, err = run("fit", root, "-o", "m", "--self-contained")
    assert (code, out, Path("m").exists()) == (2, "", False)
    assert "the encoder 'colours' cannot be written into a model" in err
    code, out, err = run("fit", root, "-o", "m", "--report")
    assert code == 0
    page = Path("m/report.html").read_text(encoding="utf-8")
    assert page[: page.index("Labels to look at again")].count("data:image/jpeg;base64,") == 6
    assert "classes      2: fox (3), owl (3)" in out
    assert "(leaving out one example of every class at a time; 95 % interval" in out
    assert "The model is m. To label things: kshot predict m PICTURE…" in err
    Path("photos/broken.png").write_bytes(b"")
    code, out, err = run("predict", "m", "photos/fox", "photos/broken.png", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["input"] for row in rows] == [*(f"photos/fox/{k}.png" for k in range(3)), "photos/broken.png"]
    assert rows[0].keys() == {"input", "label", "probability", "second", "unknown"}
    assert (rows[0]["label"], rows[0]["second"], rows[0]["unknown"]) == ("fox", "owl", False)
    assert rows[3] == {
        "input": "photos/broken.png", "label": None, "probability": None, "second": None, "unknown": False,
        "error": "cannot read photos/broken.png: the file is empty. Replace or remove it.",
    }  # fmt: skip
    assert code == 2
    assert "1 of 4 queries cannot be read" in err
    assert "3 of the 3 pictures in folders named after classes are labelled so" in err
    code, out, err = run("predict", "m", "photos/broken.png", "photos/fox", "--json", "--strict")
    assert (code, out) == (2, "")
    assert "the file is empty" in err


SURE = ["text,kind", *(f"{'a' * k},short" for k in range(1, 13)), *(f"{'a ' * k}a,long" for k in range(6, 18))]


@pytest.mark.slow
def test_sets_of_a_coverage_and_things_of_no_class(run: Run) -> None:
    assert run("fit", write("t.csv", *SURE), "-o", "m")[0] == 0
    code, out, err = run("predict", "m", f"{20 * 'a'} a", "a a a a a a a", "--coverage", "0.8", "--unknown", "0.1", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert "sets           a coverage of up to 0.96 can be promised; one label alone is right for about 0.9" in run("show", "m")[1]
    assert json.loads(run("show", "m", "--json")[1])["sureness"]["left_out"] == 24
    assert code == 0
    assert err.startswith("Note: every set is one label: the label alone is right for about 0.9")
    assert [set(row) for row in rows] == [{"input", "label", "probability", "second", "unknown", "set"}] * 2
    assert [row["set"][0] for row in rows] == [row["label"] for row in rows] == ["short", "long"]
    run("predict", "m", f"{20 * 'a'} a", "--coverage", "0.8", "-o", "a.csv")
    (row,) = csv.DictReader(Path("a.csv").read_text(encoding="utf-8").splitlines())
    assert list(row) == ["input", "label", "probability", "second", "unknown", "set", "error"]
    assert row["set"].split("|")[0] == row["label"]
    assert "  set of 1: short  (then long" in run("predict", "m", f"{20 * 'a'} a", "--coverage", "0.8")[1]
    for flag, shown in (("--coverage", "0.9"), ("--unknown", "0.05")):
        code, out, err = run("predict", "m", f"{20 * 'a'} a", flag, "1.5")
        assert (code, out) == (2, "")
        assert f"{flag[2:]} must be a share above 0 and below 1, such as {shown}; found 1.5" in err
    code, out, err = run("predict", "m", f"{20 * 'a'} a", "--coverage", "0.99")
    assert (code, out) == (2, "")
    assert "a coverage of 0.99 needs 99 examples that are left out; this model has 24, which can promise 0.96 at most" in err
    record = json.loads(Path("m/model.json").read_text(encoding="utf-8"))
    assert record["format"] == 2


QUANTITY = ["a,b,price", *(f"{k},{k * k % 7},{10 + 2.5 * k}" for k in range(30))]


@pytest.mark.slow
def test_a_quantity_from_a_table_to_answers(run: Run) -> None:
    code, _, err = run("fit", write("t.csv", *QUANTITY), "-o", "m", "--label", "price")
    assert code == 2
    assert "'price' holds 30 different numbers in 30 rows" in err
    assert "add --classes" in err
    assert "add --regression" in err
    code, out, err = run("fit", "t.csv", "-o", "m", "--label", "price", "--regression", "--report")
    assert code == 0
    assert "'price' is a quantity" in err
    assert "Always answering the mean: RMSE" in out
    assert "\nregressor  ridge (strength" in out
    assert Path("m/report.html").read_text(encoding="utf-8").count("<circle") == 30
    assert "target     price, from 10 to 82.5" in run("show", "m")[1]
    assert json.loads(run("show", "m", "--json")[1])["target"] == "price"
    code, out, err = run("predict", "m", write("q.csv", "b,a", "1,2", "x,3"), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, [row.keys() for row in rows]) == (2, [{"input", "value"}, {"input", "value", "error"}])
    assert rows[0]["value"] == pytest.approx(15, abs=0.2)
    assert "1 of 2 queries cannot be read" in err
    assert run("predict", "m", "t.csv", "-o", "a.csv")[0] == 0
    assert Path("a.csv").read_text().splitlines()[0] == "input,value,error"
    assert run("predict", "m", "q.csv")[1].splitlines()[1].startswith("2: not read: column 'b'")
    assert run("predict", "m", "-", "--json", stdin=b"a,b\n2,1\n")[1] == out.splitlines()[0] + "\n"
    code, out, _ = run("estimate", "m", "t.csv", "--json", "--report")
    assert json.loads(out)["rmse"] < 0.5
    assert Path("m/estimate.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "m", "t.csv", "--probabilities"], "is a model of a quantity, which answers rows with values: --probabilities would"),
        (["add", "m", "cheap", "t.csv"], "is a model of a quantity, which has no classes to add, remove or rename"),
        (["remove", "m", "cheap"], "is a model of a quantity"),
        (["rename", "m", "cheap", "dear"], "is a model of a quantity"),
        (["fit", "t.csv", "-o", "n", "--label", "price", "--regression", "--encoder", "lengths"], "--encoder lengths reads pictures"),
        (["fit", "t.csv", "-o", "n", "--label", "price", "--regression", "--with", "logistic"], "there is no regressor 'logistic'"),
        (["fit", "-o", "n", "--regression"], "--regression learns from a table of numbers"),
        (["fit", "t.csv", "-o", "m", "--label", "price", "--regression"], "m holds a model. Replace it with --overwrite"),
        (["estimate", "m", "q.csv"], "q.csv has no column 'price', which --label names"),
    ],
)
def test_what_a_quantity_does_not_go_with(run: Run, words: list[str], message: str) -> None:
    write("q.csv", "a,b", "1,2")
    assert run("fit", write("t.csv", *QUANTITY), "-o", "m", "--label", "price", "--regression")[0] == 0
    before = sorted(path.read_bytes() for path in Path("m").iterdir())
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert before == sorted(path.read_bytes() for path in Path("m").iterdir())


def test_texts_from_a_table_to_a_file(run: Run) -> None:
    assert run("fit", write("t.csv", *TEXTS), "-o", "m", "--with", "class_means", "--json")[0] == 0
    code, out, _ = run("predict", "m", "t.csv", "--json", "--probabilities")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["input"], row["label"]) for row in rows] == [(k, "short" if k < 4 else "long") for k in range(1, 7)]
    assert rows[0]["probabilities"].keys() == {"short", "long"}
    assert run("predict", "m", "t.csv", "-o", "a.csv")[0] == 0
    with open("a.csv", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [row["label"] for row in rows]
    code, out, _ = run("predict", "m", "-", stdin="ein Wort\nä\n".encode())
    assert [line.split(":")[0] for line in out.splitlines()] == ["1", "2"]
    assert "2: short" in out
    code, out, _ = run("predict", "m", "two words here")
    assert out.startswith("two words here: ")


@pytest.mark.slow
def test_classes_come_and_go(run: Run) -> None:
    assert run("fit", write("t.csv", *TEXTS), "-o", "m")[0] == 0
    code, out, _ = run("add", "m", "word", "x" * 30 + " y", "z" * 20 + " y")
    assert code == 0
    assert "classes      3: long (3), short (3), word (2)" in out
    assert "classes      3: long (3), term (2), short (3)" not in run("rename", "m", "word", "term")[1]
    assert "term (2)" in run("show", "m")[1]
    assert json.loads(run("remove", "m", "term", "--json")[1])["classes"] == {"long": 3, "short": 3}
    code, out, err = run("remove", "m", "long")
    assert (code, out) == (2, "")
    assert "'short' alone would be left" in err
    assert json.loads(run("show", "m", "--json")[1])["classes"] == {"long": 3, "short": 3}


@pytest.mark.slow
def test_no_example_but_descriptions(run: Run) -> None:
    file = write("classes.toml", "short = 'a'", "long = ['a b c d e f', 'a b c d e f g']")
    code, out, err = run("fit", "--descriptions", file, "-o", "m")
    assert code == 0, err
    assert "classes       2: long (0), short (0)" in out
    assert "descriptions  2 of 2 classes, such as short: a" in out
    assert "No estimate: there is no example, only descriptions" in out
    assert "kshot predict m" in err
    assert run("predict", "m", "aaaa bbbb", "x y z v w x y z")[1].splitlines()[1].startswith("x y z v w x y z: long")
    code, out, err = run("add", "m", "long", "k l m n o p", "k l m n o p q")
    assert code == 0, err
    assert "1 class has no example, so nothing is known of it" in out
    assert run("rename", "m", "short", "brief")[0] == 0
    assert json.loads(run("show", "m", "--json")[1])["descriptions"] == {
        "brief": ["a"], "long": ["a b c d e f", "a b c d e f g"],
    }  # fmt: skip
    table = write("t.csv", *TEXTS)
    assert run("fit", table, "--descriptions", file, "-o", "n")[0] == 0
    assert json.loads(run("show", "n", "--json")[1])["descriptions"]["short"] == ["a"]
    for words, message in [
        (("fit", "-o", "x"), "there is nothing to learn from. Give EXAMPLES"),
        (
            ("fit", "--descriptions", file, "-o", "x", "--label", "kind"),
            "without EXAMPLES, there are none to read: --label would change nothing",
        ),
        (("fit", "--descriptions", "none.toml", "-o", "x"), "cannot read none.toml"),
        (("fit", "--descriptions", file, "-o", "x", "--encoder", "colours"), "'colours' reads photographs and no sentences"),
        (
            ("fit", table, "--descriptions", write("d.toml", "lnog = 'a'"), "-o", "x"),
            "'lnog' is described, and no example is of this class",
        ),
        (("fit", "--descriptions", write("e.toml", "long = 'a'"), "-o", "x"), "found 1 described: 'long'"),
    ]:
        code, out, err = run(*words)
        assert (code, out, Path("x").exists()) == (2, "", False), words
        assert message in err, words


def test_a_score_and_the_reports(run: Run) -> None:
    assert run("fit", write("t.csv", *TEXTS), "-o", "m", "--report")[0] == 0
    page = Path("m/report.html").read_text(encoding="utf-8")
    assert "<i>" in page or "No thing was taken for another class" in page
    assert "http" not in page
    assert "a b c d e f g" in page
    code, out, err = run(
        "estimate", "m", write("u.csv", "text,kind", "zz,short", "q w e r t,short", "n o p q r s,long", "x,other"), "--report"
    )
    assert code == 0
    assert "Right for 66.7 % of 3 examples (labelled data;" in out
    assert "short taken for long 1×" in out
    assert "of classes that the model does not know, and left out: 'other'" in err
    assert "<b>1</b> of <i>short</i> taken for <i>long</i>" in Path("m/estimate.html").read_text(encoding="utf-8")
    assert json.loads(run("estimate", "m", "u.csv", "--json")[1])["confusion"] == [[0, 0, 1], [1, 0, 1], [1, 1, 1]]


@pytest.mark.slow
def test_weights_of_classes(run: Run) -> None:
    table = write("t.csv", *TEXTS)
    write("w.toml", "long = 1e6")
    assert run("fit", table, "-o", "m", "--with", "class_means", "--class-weight", "w.toml")[0] == 0
    assert re.search(r"weights +class weights long 1e\+06\n", run("show", "m")[1])
    assert json.loads(run("predict", "m", "a bb", "--json")[1])["label"] == "long"
    assert run("fit", table, "-o", "m", "--overwrite", "--class-weight", "balanced", "--json")[0] == 0
    write("p.toml", "long = 9", "short = 1")
    code, out, _ = run("fit", table, "-o", "m", "--overwrite", "--prior", "p.toml", "--json")
    assert (code, json.loads(out)["weights"]) == (0, {"class_weight": None, "prior": {"long": 9.0, "short": 1.0}})
    write("zero.toml", "long = 0")
    for words, message in (
        (["--class-weight", "zero.toml"], "the weight of class 'long' must be a number above 0; found 0. With 0, it would never be"),
        (["--class-weight", "none.toml"], "cannot read none.toml"),
        (["--prior", "w.toml"], "the prior names no share of the class 'short'"),
        (["--prior", "p.toml", "--tune"], "--tune judges encoders without weights of the classes"),
        (["--class-weight", "balanced", "--with", "nearest"], "has no place for class weights"),
        (["--class-weight", "balanced", "--regression"], "--class-weight"),
    ):
        code, out, err = run("fit", table, "-o", "x", *words)
        assert (code, out, Path("x").exists()) == (2, "", False), words
        assert message in err, words


@pytest.mark.slow
def test_what_is_wrong_ends_with_2_and_one_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write("t.csv", *TEXTS)
    assert run("fit", table, "-o", "m")[0] == 0
    (Path("file")).touch()
    fill(Path("photos"), ["fox", "owl"])
    for words, message in [
        (("fit", table, "-o", "m"), "m holds a model. Replace it with --overwrite"),
        (("fit", table, "-o", "file"), "file is a file; a model is saved as a folder"),
        (("fit", table, "-o", "photos"), "photos holds other files and no model"),
        (("fit", "nowhere", "-o", "n"), "there is no table at nowhere"),
        (("fit", table, "-o", "n", "--label", "text2"), "no column 'text2'"),
        (("fit", table, "-o", "n", "--with", "forest"), "there is no head 'forest'"),
        (("fit", table, "-o", "n", "--encoder", "nose"), "there is no encoder 'nose'"),
        (("fit", "photos", "-o", "n", "--encoder", "lengths"), "the encoder 'lengths' reads texts; found photographs"),
        (("predict", "nowhere", "a text"), "nowhere is not a model that kshot fit has written"),
        (
            ("predict", "m", "--support", "photos", "x.png", "--text", "a"),
            "with --support, queries are pictures: --text would change nothing",
        ),
        (("predict", "m", "a text", "-o", "x.txt"), "--out must name a .csv or .jsonl file to write"),
        (("predict", "m", "none.csv"), "there is no table at none.csv"),
        (("predict", "m", "-"), "standard input is empty"),
        (("add", "m", "new", "none.csv"), "there is no table at none.csv"),
        (("add", "m", " ", "a text"), "a class needs a name"),
        (("show", "m", "--plot", "x.png"), "is a model, whose fitting has no course: --plot would change nothing"),
        (("estimate", "m", "photos"), "the encoder 'lengths' reads texts; found photographs"),
    ]:
        code, out, err = run(*words)
        assert (code, out) == (2, ""), words
        assert message in err, words
    assert not Path("n").exists()
    monkeypatch.setitem(kshot.encoders.table.ENCODERS, "lengths", lambda device: Lengths(scale=2.0))
    code, _, err = run("predict", "m", "a text")
    assert code == 2
    assert "the encoder 'lengths' has changed: the model was fitted with the fingerprint" in err
    monkeypatch.delitem(kshot.encoders.table.ENCODERS, "lengths")
    code, _, err = run("predict", "m", "a text")
    assert code == 2
    assert f"This model needs the encoder 'lengths' with the fingerprint {Lengths().fingerprint}" in err


def test_an_input_is_not_overwritten_and_a_score_reads_the_columns_of_the_model(run: Run) -> None:
    table = write("t.csv", "note,words,sort", "n,a,short", "m,bb,short", "n,a b c d,long", "m,a b c d e,long")
    assert run("fit", table, "-o", "m", "--text", "words", "--label", "sort")[0] == 0
    code, out, err = run("predict", "m", table, "-o", table)
    assert (code, out, Path(table).read_text(encoding="utf-8").count("\n")) == (2, "", 5)
    assert "--out t.csv is a file to be labelled" in err
    code, out, err = run("estimate", "m", table)  # no --text, no --label
    assert (code, "of 4 examples" in out) == (0, True), err
    code, out, err = run("estimate", "m", write("u.csv", "text,label", "a,short", "a b c d e f,long"))
    assert (code, "of 2 examples" in out) == (0, True), err
    code, out, err = run("predict", "m", "a b c", "none", "--json")
    assert (code, [json.loads(line)["label"] for line in out.splitlines()]) == (2, ["long", None])


@pytest.mark.slow
def test_overwriting_is_asked_for(run: Run) -> None:
    assert run("fit", write("t.csv", *TEXTS), "-o", "m")[0] == 0
    assert run("fit", write("t.csv", *TEXTS, "a b c d e f g h,longer"), "-o", "m", "--overwrite")[0] == 0
    assert "longer (1)" in run("show", "m")[1]


@pytest.mark.slow
def test_predicting_imports_neither_torch_nor_scikit_learn_nor_pandas(run: Run, tmp_path: Path) -> None:
    fill(Path("photos"), ["fox", "owl"])
    assert run("fit", "photos", "-o", "m")[0] == 0
    code = """
import sys
from cases.encoders import Colours
import kshot.encoders.table as table
table.ENCODERS["colours"] = lambda device: Colours()
from kshot import cli
from kshot.exit_code import exit_code_of
sys.argv = ["kshot", "predict", "m", "photos/fox/0.png", "--json"]
code = exit_code_of(cli.app)
print(sorted({"torch", "sklearn", "pandas", "scipy", "matplotlib", "pyarrow"} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    answer, imported = done.stdout.splitlines()
    assert json.loads(answer)["label"] == "fox"
    assert imported == "[]", done.stderr


@pytest.mark.slow
def test_numbers_from_a_table_to_answers(run: Run) -> None:
    rows = [f"{k},{'red' if k < 5 else 'blue'},{'' if k == 2 else k * k},{'low' if k < 5 else 'high'}" for k in range(10)]
    table = write("t.csv", "size,colour,square,kind", *rows)
    code, out, err = run("fit", table, "-o", "m")
    assert code == 2
    assert "which column holds the labels" in err
    code, out, err = run("fit", table, "-o", "m", "--label", "kind")
    assert code == 0, err
    assert "classes      2: high (5), low (5)" in out
    assert "Column 'square' lacks 1 of 10 numbers" in err
    write("q.csv", "square,colour,size", "1,red,1", "81,blue,9", "inf,red,2", ",green,", "x,red,1")
    code, out, _ = run("predict", "m", "q.csv", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert [row["label"] for row in found[:2]] == ["low", "high"]
    assert "expected a finite number" in found[2]["error"]
    assert found[3]["label"] in ("low", "high")  # a category that no example has, and missing numbers
    assert "column 'square': expected a number; found 'x'" in found[4]["error"]
    code, _, err = run("predict", "m", write("r.csv", "size,colour", "1,red"))
    assert code == 2
    assert "lacks 1 of the 3 columns that the model reads: 'square'" in err
    assert "--encoder colours reads pictures or texts" in run("fit", table, "-o", "n", "--label", "kind", "--encoder", "colours")[2]
    assert json.loads(run("estimate", "m", table, "--label", "kind", "--json")[1])["accuracy"] == 1.0
    write("more.csv", "size,colour,square", "50,blue,2500", "51,blue,2601")
    assert "huge (2)" in run("add", "m", "huge", "more.csv")[1]


@pytest.fixture
def learning(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with an encoder that can learn in a moment, and its table `t.csv`."""
    monkeypatch.setitem(kshot.encoders.table.ENCODERS, "words", lambda device: learning_encoder(Path("words").absolute()))
    monkeypatch.setitem(kshot.encoders.table.DEFAULTS, "texts", "words")
    monkeypatch.setitem(kshot.tasks.tune.plan.PLANS, "texts", PLAN)
    found = noisy_texts(8)
    write("t.csv", "text,kind", *(f"{text},{label}" for text, label in zip(found.things, found.labels, strict=True)))
    return run


TUNE = ("fit", "t.csv", "-o", "m", "--with", "class_means", "--tune")


@pytest.mark.slow
def test_an_encoder_is_tuned_stopped_and_gone_on_with(learning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        left = iter(range(50))
        yield lambda: next(left, None) is None

    with monkeypatch.context() as patch:
        patch.setattr(kshot.terminal, "interrupts", stopping)
        code, out, err = learning(*TUNE)
    assert (code, out) == (130, "")
    assert "Stopped after step 50 of 195; the state is saved. To continue, use the same command and --resume." in err
    assert [path.name for path in Path("m").iterdir()] == ["tuning.safetensors"]
    code, _, err = learning(*TUNE)
    assert (code, err.count("m holds a tuning that was stopped. Go on with --resume, or begin again with --overwrite.")) == (2, 1)
    code, _, err = learning(*TUNE[:-1])
    assert (code, err.count("m holds a tuning that was stopped.")) == (2, 1)
    code, out, err = learning(*TUNE, "--resume", "--report")
    assert code == 0
    assert "tuning       tuned on 24 examples in 195 steps" in out
    assert not Path("m/tuning.safetensors").exists()
    assert Path("m/encoder.onnx").exists()
    record = json.loads(learning("show", "m", "--json")[1])
    assert record["tuned"]["kept"]
    assert record["encoder"]["fingerprint"] == json.loads(Path("m/encoder.json").read_text())["fingerprint"]
    answers = learning("predict", "m", "noise1 noise2 bolt", "cloud noise3", "--json")[1].splitlines()
    assert [json.loads(line)["label"] for line in answers] == ["bolt", "cloud"]
    whole = {path.name: path.read_bytes() for path in Path("m").iterdir() if path.name.startswith(("encoder", "arrays"))}
    assert learning("fit", "t.csv", "-o", "n", "--with", "class_means", "--tune")[0] == 0
    assert {name: (Path("n") / name).read_bytes() for name in whole} == whole  # to the bit
    code, out, _ = learning("add", "m", "dragon", "dragon noise1", "noise2 dragon")
    assert code == 0
    assert "too high, because the encoder was tuned on them" in out
    assert Path("m/encoder.onnx").exists()
    assert learning("fit", "t.csv", "-o", "m", "--overwrite")[0] == 0
    assert not Path("m/encoder.onnx").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "t.csv", "-o", "m", "--resume"], "--resume goes on with a --tune that was stopped. Give both."),
        (["fit", "t.csv", "-o", "m", "--tune", "--resume"], "there is no tuning to resume in m: tuning.safetensors is missing."),
        (["fit", "t.csv", "-o", "m", "--tune", "--encoder", "lengths"], "the encoder 'lengths' answers and cannot learn."),
        (["fit", "n.csv", "-o", "m", "--tune"], "there is none to train for rows of numbers"),
        (["fit", "n.csv", "-o", "m", "--tune", "--regression"], "rows of numbers have no encoder to train"),
        (["fit", "-o", "m", "--tune", "--descriptions", "d.toml"], "and there are none. Leave it out."),
        (["fit", "one.csv", "-o", "m", "--tune"], "no class has two. Give two or more examples per class, or leave --tune out."),
    ],
)
def test_what_cannot_be_tuned(learning: Run, words: list[str], message: str) -> None:
    write("n.csv", "a,b,label", "1,2,x", "2,3,x", "3,4,y", "4,5,y")
    write("one.csv", "text,kind", "apple,x", "bolt,y")
    write("d.toml", 'x = "apple"', 'y = "bolt"')
    code, out, err = learning(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("m").exists()


@pytest.mark.slow
def test_several_labels_per_thing(run: Run) -> None:
    texts = [(f"{'w' * k} {'v ' * j}".strip(), [*(["long"] if k > 9 else []), *(["many"] if j > 3 else [])])
             for k in (1, 2, 3, 20, 22, 24) for j in (0, 1, 6, 7)]  # fmt: skip
    write("t.jsonl", *(json.dumps({"text": text, "label": labels}) for text, labels in texts))
    code, out, err = run("fit", "t.jsonl", "-o", "m", "--multi-label")
    assert (code, "labels       2: long (12), many (12)" in out, "F1 " in out) == (0, True, True)
    assert "Note: 6 examples have an empty list of labels, which means that no class fits." in err
    assert "one per label, against the rest" in run("show", "m")[1]
    code, out, _ = run("predict", "m", "w v", f"{'w' * 23} {'v ' * 7}", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [sorted(row["labels"]) for row in rows] == [[], ["long", "many"]]
    assert list(rows[0]) == ["input", "label", "probability", "second", "unknown", "labels"]
    assert run("predict", "m", "t.jsonl", "-o", "a.csv", "--probabilities")[0] == 0
    written = list(csv.DictReader(io.StringIO(Path("a.csv").read_text(encoding="utf-8"))))
    assert {row["labels"] for row in written} >= {"", "long"}
    assert list(written[0])[5:] == ["labels", "error", "probability of long", "probability of many"]
    assert ": no label  (not " in run("predict", "m", "w v")[1]
    assert "score  F1 " in run("estimate", "m", "t.jsonl")[1]
    write("t.csv", "text,label", *(f"{text},{'|'.join(labels)}" for text, labels in texts if labels))
    assert run("fit", "t.csv", "-o", "m2", "--multi-label", "--json")[0] == 0
    for words, message in (
        (
            ["predict", "m", "w v", "--coverage", "0.9"],
            "--coverage is for models of one label per thing; m gives a thing each label",
        ),
        (["predict", "m", "w v", "--unknown", "0.1"], "--unknown is for models of one label per thing"),
        (["add", "m", "long", "w w w"], "is a model of several labels per thing, which only kshot predict, estimate and show read"),
        (["suggest", "m", "t.jsonl"], "is a model of several labels per thing"),
        (["doubt", "m"], "is a model of several labels per thing"),
        (["estimate", "m", "t.jsonl", "--report"], "a report is of one label per thing"),
        (["fit", "t.jsonl", "-o", "x", "--label", "label"], "row 1: the label is a list"),
        (["fit", "t.jsonl", "-o", "x", "--multi-label", "--tune"], "--tune would change nothing"),
        (["fit", "t.jsonl", "-o", "x", "--multi-label", "--with", "ridge"], "would change nothing"),
        (["fit", "-o", "x", "--multi-label"], "--multi-label learns from a table with a column of labels"),
    ):
        code, out, err = run(*words)
        assert (code, out, Path("x").exists()) == (2, "", False), words
        assert message in err, (words, err)


def test_a_model_is_written_by_one_command_at_a_time(run: Run) -> None:
    write("t.csv", *TEXTS)
    with one_writer(Path("m")):
        code, out, err = run("fit", "t.csv", "-o", "m")
    assert (code, out, Path("m").exists()) == (2, "", False)
    assert "another command is writing m: process" in err
    assert run("fit", "t.csv", "-o", "m")[0] == 0
    before = Path("m/model.json").read_bytes()
    with one_writer(Path("m")):
        for words in (["add", "m", "long", "k l m n o p q r s"], ["remove", "m", "long"], ["rename", "m", "long", "longer"]):
            code, out, err = run(*words)
            assert (code, out) == (2, "")
            assert "another command is writing m: process" in err
    assert Path("m/model.json").read_bytes() == before
    assert run("add", "m", "long", "k l m n o p q r s")[0] == 0
