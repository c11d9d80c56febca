"""What the command prints: on any stream, with any name in it, in the promised forms."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import kshot.allocator
import kshot.errors
from cases.folders import fill
from kshot import cli
from kshot.data.pictures.omniglot_archive import EMBEDDED, Drawings
from kshot.data.pictures.picture import Picture
from kshot.exit_code import exit_code_of
from kshot.learners.table import LearnerSpec
from kshot.passes import watch
from kshot.saved.folder import save
from kshot.saved.shipped import open_saved
from kshot.tasks.classifier import Classifier
from kshot.terminal import set_loudness
from kshot.version import VERSION
from kshot.workflows.distance import support_notes

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
EVIL = "fox\x1b[31m\u202e[red]x[b] \u2603"
"""A name that colours, turns, marks up, and has a character that few encodings hold."""


def kshot_(*words: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
    monkeypatch.setattr(kshot.allocator, "keep_freed_memory", lambda: False)
    try:
        return exit_code_of(cli.app)
    finally:
        set_loudness("usual")
        watch(None)


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "learner"
    spec = LearnerSpec("protonet", "flat")
    save(folder, spec.build(seed=0), spec=spec, preprocess=Picture(16))
    return folder


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("data") / "pets", [EVIL, "owl", "cat"], items=4)


def run(*words: str | Path, encoding: str, shell: str = "") -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "COLUMNS": "100", "PYTHONIOENCODING": encoding}
    return subprocess.run([sys.executable, "-m", "kshot", *map(str, words)], env=environment, capture_output=True, timeout=120)


SCORING = ("--way", "2", "--query", "2", "--episodes", "3", "--device", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "command"), [("ascii", "evaluate"), ("cp437", "predict"), ("ascii", "recipes")])
def test_no_encoding_of_the_stream_stops_a_command(encoding: str, command: str, learner: Path, pets: Path) -> None:
    words: dict[str, tuple[str | Path, ...]] = {
        "evaluate": (learner, "--data", pets, *SCORING),
        "predict": (learner, "--support", pets, pets, "--device", "cpu"),
        "recipes": ("omniglot-protonet",),
    }
    done = run(command, *words[command], encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_streams_take_what_they_cannot_encode(encoding: str, learner: Path, pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ("evaluate", learner, "--data", pets, *SCORING),
        ("predict", learner, "--support", pets, pets, "--device", "cpu"),
        ("recipes",),
        ("recipes", "omniglot-protonet"),
    ):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        assert kshot_(*words, monkeypatch=monkeypatch) == 0
        streams[0].flush()
        assert streams[0].buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_no_name_reaches_the_terminal_raw(
    as_json: bool, learner: Path, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = tmp_path / "x\nowl.png: owl 1.000\x1b]0;title\x07.png"
    Image.new("RGB", (16, 16)).save(forged)
    broken = tmp_path / f"broken {EVIL}\nError: no.png"
    broken.write_bytes(b"no picture")
    commands: list[tuple[int, tuple[str | Path, ...]]] = [
        (2, ("predict", learner, "--support", pets, pets, forged, broken)),
        (0, ("evaluate", learner, "--data", pets, "--way", "2", "--query", "2", "--episodes", "3")),
        (0, ("inspect", learner, "--data", pets, "--way", "2", "--query", "2", "--episodes", "3")),
        (0, ("compare", learner, "nearest", "--data", pets, "--way", "2", "--query", "2", "--episodes", "3")),
    ]
    for code, words in commands:
        assert kshot_(*words, *(["--json"] if as_json else []), "--device", "cpu", monkeypatch=monkeypatch) == code
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert not set(text) & {"\x1b", "\x07", "\u202e", "\r"}
            assert not any(line.startswith(("owl.png: owl", "Error: no.png")) for line in text.splitlines())
        if as_json:
            assert said.out.isascii()
        elif words[0] == "predict":
            assert "x\\nowl.png: owl 1.000\\x1b]0;title\\x07.png: " in said.out
            assert "[red]x[b]" in said.out  # not read as markup


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "nowhere\x1b[2J[/red]", "--support", "x", "y"),
        ("evaluate", f"nowhere {EVIL}"),
        ("train", f"{EVIL}.toml"),
        ("train", "protonet", "--data", f"no {EVIL}"),
        (f"word{EVIL}",),
        ("evaluate", f"--flag{EVIL}"),
        ("evaluate", "x", "--way", f"two{EVIL}"),
    ],
)
def test_no_error_prints_a_name_raw(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert not set(said.err) & {"\x1b", "\u202e"}


@pytest.mark.slow
def test_a_run_folder_with_markup_in_its_name_is_trained_and_named(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "many", [f"pet{number}" for number in range(8)], items=4)
    settings = ["data.size=16", "backbone.width=3", "episodes.query=2", "validation.query=2", "validation.episodes=5", "training.updates=2"]
    words = [word for setting in [*settings, "data.fractions=[0.5,0.25,0.25]"] for word in ("--set", setting)]
    out = tmp_path / "o[" / "red]"
    assert kshot_("train", "protonet", "--data", tmp_path / "many", "--out", out, *words, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert "o[/red]" in said.out
    assert "o[/red]" in said.err
    assert kshot_("show", out, monkeypatch=monkeypatch) == 0
    assert "o[/red]" in capsys.readouterr().out


def test_predict_answers_the_good_and_names_the_bad(
    learner: Path, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    words = ("predict", learner, "--support", pets, pets / "owl", tmp_path / "table.csv", tmp_path / "none.png", "--device", "cpu")
    assert kshot_(*words, "--json", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["input"] for row in rows] == [
        *(f"{pets / 'owl'}/{number}.png" for number in range(4)), str(tmp_path / "table.csv"), str(tmp_path / "none.png"),
    ]  # fmt: skip
    assert [row["label"] for row in rows] == ["owl"] * 4 + [None] * 2
    assert [set(row) for row in rows[:4]] == [{"input", "label", "probability", "second", "unknown"}] * 4
    assert "Files are read as pictures" in rows[4]["error"]
    assert "tables (CSV)" in rows[4]["error"]
    assert "there is no file" in rows[5]["error"]
    assert "4 of the 4 pictures in folders named after classes are labelled so: 100 %" in said.err
    assert "4 of them are among its examples" in said.err
    assert "Error: 2 of 6 queries cannot be read" in said.err
    assert kshot_(*words, "--json", "--probabilities", monkeypatch=monkeypatch) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert set(rows[0]["probabilities"]) == {EVIL, "owl", "cat"}
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1)
    assert "probabilities" not in rows[4]
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[5].startswith(f"{tmp_path / 'none.png'}: not read: there is no file")
    assert kshot_(*words, "--out", tmp_path / "a.jsonl", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len((tmp_path / "a.jsonl").read_text("ascii").splitlines()) == 6


def test_predict_reads_paths_from_standard_input(
    learner: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{pets / 'owl' / '1.png'}\n{pets / 'cat'}\n"))
    words = ("predict", learner, "--support", pets, "-", "--json", "--device", "cpu")
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["label"] for row in rows] == ["owl"] + ["cat"] * 4
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    assert "standard input names no picture" in capsys.readouterr().err


def test_all_bad_support_pictures_are_named_at_once(
    learner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "pets", ["fox", "owl"], items=2)
    for name in ("fox/8.png", "owl/9.png"):
        (tmp_path / "pets" / name).write_bytes(b"no picture")
    assert kshot_("predict", learner, "--support", tmp_path / "pets", "x.png", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 of 6 support items cannot be used" in said.err
    assert "8.png" in said.err
    assert "9.png" in said.err


def test_shots_give_a_curve_of_the_objects_that_shot_gives(
    learner: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", learner, "--data", pets, "--way", "2", "--query", "2", "--episodes", "5", "--device", "cpu")
    assert kshot_(*words, "--shots", "2,1", "--json", monkeypatch=monkeypatch) == 0
    (key, curve), *others = json.loads(capsys.readouterr().out).items()
    assert (key, others) == ("curve", [])
    singles = []
    for shot in ("1", "2"):
        assert kshot_(*words, "--shot", shot, "--json", monkeypatch=monkeypatch) == 0
        singles.append(json.loads(capsys.readouterr().out))
    assert [{**one, "seconds": 0} for one in curve] == [{**one, "seconds": 0} for one in singles]
    assert kshot_(*words, "--shots", "1,2", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.count("accuracy") >= 2


def test_version_loudness_and_completion(
    learner: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kshot_("--version", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"kshot {VERSION}\n"
    words = ("evaluate", learner, "--data", pets, "--way", "2", "--query", "2", "--episodes", "3", "--device", "cpu")
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    loud = capsys.readouterr()
    assert "Note:" in loud.err
    assert kshot_("--quiet", *words, monkeypatch=monkeypatch) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert len(quiet.out.splitlines()) == len(loud.out.splitlines())
    assert kshot_("--quiet", "evaluate", "nowhere", monkeypatch=monkeypatch) == 2
    assert "Error: there is no learner" in capsys.readouterr().err
    (pets / "owl" / "notes.txt").touch()
    assert kshot_("--verbose", *words, monkeypatch=monkeypatch) == 0
    assert "kshot.data.pictures.image_folder: " in capsys.readouterr().err
    (pets / "owl" / "notes.txt").unlink()
    assert kshot_("--help", monkeypatch=monkeypatch) == 0
    assert "--install-completion" in capsys.readouterr().out


@pytest.mark.slow
def test_kinds_that_are_not_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.csv").write_text("a,b\n", encoding="utf-8")
    for name in ("x", "y"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "1.txt").write_text("text", encoding="utf-8")
    for words in (
        ("train", "protonet", "--data", tmp_path / "table.csv"),
        ("train", "protonet", "--data", tmp_path / "texts"),
        ("evaluate", "omniglot-protonet", "--data", tmp_path / "texts"),
        ("predict", "omniglot-protonet", "--support", tmp_path / "texts", "x.png"),
        ("predict", "omniglot-protonet", "--support", tmp_path / "texts" / "x", "x.png"),
    ):
        assert kshot_(*words, monkeypatch=monkeypatch) == 2
        said = capsys.readouterr().err
        assert "Files are read as pictures: PNG, JPEG" in said, words
        assert "Texts and tables (CSV) are labelled by models of their own, which kshot fit makes" in said


@pytest.mark.slow
def test_classes_far_from_training_are_told_and_near_ones_are_not(drawings: Drawings) -> None:
    saved = open_saved("omniglot-protonet")
    names = json.loads((EMBEDDED.parent / "vinyals.json").read_text())["test"][::30]
    place = {"/".join(character): number for number, character in enumerate(drawings.characters)}
    own = {name: [Image.fromarray(~drawings.ink[20 * place[name] + one]) for one in range(2)] for name in names}
    assert support_notes(saved, Classifier(saved, own), []) == ()
    random = np.random.default_rng(0)
    scribbles = {}
    for number in range(15):
        pictures = []
        for _ in range(2):
            image = Image.new("1", (105, 105), 1)
            ImageDraw.Draw(image).line([tuple(random.uniform(5, 100, 2)) for _ in range(60)], fill=0, width=2)
            pictures.append(image)
        scribbles[f"scribble{number}"] = pictures
    (note,) = support_notes(saved, Classifier(saved, scribbles), [])
    assert "times as far from the training classes as the learner's own test classes do" in note
