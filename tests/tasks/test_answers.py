"""Answers to many queries: in order, a reason for each that cannot be read, the score where folders are class names, the files."""

import csv
import json
import os
from pathlib import Path

import pytest

from cases.folders import fill
from kshot.data.pictures.picture import Picture
from kshot.errors import RecipeError, SavedError
from kshot.learners.table import LearnerSpec
from kshot.saved.folder import Saved
from kshot.tasks.answer_file import answer_file, check_answer_file
from kshot.tasks.answers import Answer, OwnScore, answer_queries, columns
from kshot.tasks.classifier import Classifier
from kshot.tasks.prediction import Prediction
from kshot.tasks.queries import Query, files_named, find_queries

GOOD = Answer("in/fox/1.png", Prediction("fox", 0.75, {"owl": 0.05, "fox": 0.75, "a,b": 0.2}))
BAD = Answer("caf\udce9\n.png", None, "there is no file.")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("data") / "pets", ["fox", "owl", "cat"], items=2)


@pytest.fixture(scope="module")
def classifier(pets: Path) -> Classifier:
    spec = LearnerSpec("protonet", "flat")
    return Classifier(Saved(spec.build(seed=0).eval(), Picture(16), spec=spec), pets)


def test_an_answer_as_json_has_the_promised_keys() -> None:
    assert GOOD.as_dict() == {"input": "in/fox/1.png", "label": "fox", "probability": 0.75, "second": "a,b", "unknown": False}
    assert GOOD.as_dict(probabilities=True) == {**GOOD.as_dict(), "probabilities": {"owl": 0.05, "fox": 0.75, "a,b": 0.2}}
    for probabilities in (False, True):
        assert BAD.as_dict(probabilities=probabilities) == {
            "input": "caf\udce9\n.png", "label": None, "probability": None, "second": None, "unknown": False, "error": "there is no file.",
        }  # fmt: skip


def test_bad_queries_do_not_stop_good_ones_and_order_is_kept(classifier: Classifier, pets: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = [str(pets / "fox" / "0.png"), str(tmp_path / "none.png"), str(tmp_path), str(pets / "owl"), str(tmp_path / "*.gif")]
    found = list(answer_queries(classifier, find_queries(words, ())))
    assert [Path(one.input).name for one in found] == ["0.png", "none.png", "broken.png", "0.png", "1.png", "*.gif"]
    assert [one.prediction.label if one.prediction else one.error[:25] for one in found] == [
        "fox", f"there is no file {tmp_path}"[:25], f"cannot read {tmp_path}"[:25], "owl", "owl", "no file fits the pattern ",
    ]  # fmt: skip
    expected = classifier.predict([pets / "fox" / "0.png", pets / "owl" / "0.png"])
    assert found[0].prediction is not None
    assert found[0].prediction.probabilities == pytest.approx(expected[0].probabilities)


def test_more_queries_than_are_read_at_once_are_answered_alike(classifier: Classifier, pets: Path) -> None:
    paths = [str(pets / name / "1.png") for name in ("fox", "owl", "cat")] * 50
    found = list(answer_queries(classifier, (Query(path, thing=path) for path in paths)))
    assert [one.input for one in found] == paths
    assert [one.prediction.label for one in found if one.prediction] == ["fox", "owl", "cat"] * 50


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in/fox/1.png", "fox"),
        ("greek/alpha/1.png", "greek/alpha"),
        ("fox/greek/alpha/1.png", "greek/alpha"),
        ("alpha/1.png", None),
        ("fox.png", None),
        ("fox/deep/1.png", None),
    ],
)
def test_the_true_class_is_the_name_of_the_folder(path: str, expected: str | None) -> None:
    assert OwnScore(["fox", "owl", "greek/alpha"]).true_class(path) == expected


def test_the_score_counts_what_lies_in_folders_named_after_classes(tmp_path: Path) -> None:
    score = OwnScore(["fox", "owl"], [tmp_path / "fox" / "0.png"])
    assert score.in_words() == ""
    fox, owl = Prediction("fox", 0.9, {"fox": 0.9, "owl": 0.1}), Prediction("owl", 0.9, {"fox": 0.1, "owl": 0.9})
    for path, prediction in (("fox/0.png", fox), ("fox/1.png", owl), ("owl/1.png", owl), ("owl/2.png", owl), ("elsewhere/1.png", owl)):
        score.count(Answer(str(tmp_path / path), prediction))
    score.count(Answer(str(tmp_path / "owl" / "broken.png"), None, "broken"))
    # Clopper and Pearson's interval of 3 in 4, from their table: 0.194 to 0.994.
    assert score.in_words() == (
        "3 of the 4 pictures in folders named after classes are labelled so: 75 % (95 % interval 19.4 to 99.4 %; guessing reaches 50 %). "
        "1 of them are among its examples, which flatters the score."
    )


def test_answers_as_a_table_and_as_lines_of_json(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        with answer_file(tmp_path / name, columns(["owl", "fox", "a,b"], probabilities=True), probabilities=True) as write:
            write(GOOD)
            write(BAD)
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("ascii").splitlines()] == [
        GOOD.as_dict(probabilities=True), BAD.as_dict(),
    ]  # fmt: skip
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        good, bad = csv.DictReader(file)
    assert good == {
        "input": "in/fox/1.png", "label": "fox", "probability": "0.75", "second": "a,b", "unknown": "false", "error": "",
        "probability of owl": "0.05", "probability of fox": "0.75", "probability of a,b": "0.2",
    }  # fmt: skip
    assert bad["input"] == "caf\\udce9\n.png"
    assert (bad["label"], bad["error"], bad["probability of owl"]) == ("", "there is no file.", "")


def test_a_file_that_cannot_be_written_is_told_before_or_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for bad in (tmp_path / "a.txt", tmp_path / "folder.csv"):
        with pytest.raises(RecipeError, match=r"--out must name a \.csv or \.jsonl file"):
            check_answer_file(bad)
    with pytest.raises(RecipeError, match="there is no folder"):
        check_answer_file(tmp_path / "none" / "a.csv")
    check_answer_file(tmp_path / "a.csv")
    (tmp_path / "a.csv").touch()
    check_answer_file(tmp_path / "a.csv", ["a text\0", str(tmp_path), str(tmp_path / "b.csv")])
    with pytest.raises(SavedError, match=r"cannot write .*folder\.csv"), answer_file(tmp_path / "folder.csv", []):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_answers_take_the_place_of_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("text\na b\n")
    os.symlink("in.csv", "link.csv")
    os.mkfifo("pipe.csv")
    for out, words in (("in.csv", ["in.csv"]), ("link.csv", ["x y", "./in.csv"]), ("in.csv", ["*.csv"])):
        with pytest.raises(RecipeError, match=f"--out {out} is a file to be labelled, and the answers would take its place"):
            check_answer_file(Path(out), files_named(words))
    with pytest.raises(RecipeError, match=r"--out must name a \.csv or \.jsonl file"):
        check_answer_file(Path("pipe.csv"))  # opening it would wait for a reader


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    os.symlink("/dev/full", tmp_path / "a.csv")
    with (
        pytest.raises(SavedError, match=r"cannot write .*a\.csv: No space left on device\. Free some space"),
        answer_file(tmp_path / "a.csv", columns(["fox", "owl"], probabilities=False)) as write,
    ):
        write(GOOD)
