"""Models of several labels per thing: from a table to answers, on disk, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cases.encoders import Colours, Lengths
from kshot.data.tables.labels import label_set
from kshot.errors import DataError, SavedError
from kshot.tasks.examples import Asked, Examples, find_examples
from kshot.tasks.model_folder import load_model
from kshot.tasks.multi_label.answers import labels_each
from kshot.tasks.multi_label.estimate import estimate_labels, labels_estimate_from
from kshot.tasks.multi_label.fit import fit_multi_label, score_multi_label
from kshot.tasks.multi_label.model import is_multi_label_model, load_multi_label_model, save_multi_label_model
from kshot.tasks.queries import Query

TEXTS = [*(f"{'w' * k} {'v ' * j}" for k in (1, 2, 3, 20, 22, 24) for j in (0, 1, 6, 7))]
LABELS = ["|".join(filter(None, ["long" if k > 9 else "", "many" if j > 3 else ""])) for k in (1, 2, 3, 20, 22, 24) for j in (0, 1, 6, 7)]


def examples(labels: list[str] | None = None) -> Examples:
    names = [str(number) for number in range(1, len(TEXTS) + 1)]
    return Examples("texts", TEXTS, LABELS if labels is None else labels, names, {"things": ["text"], "label": "tags"})


def test_a_model_gives_several_labels_or_none_and_comes_back_from_disk(tmp_path: Path) -> None:
    fitted = fit_multi_label(examples(), Lengths())
    model = fitted.model
    assert (model.classes, model.counts) == (("long", "many"), {"long": 12, "many": 12})
    assert any("6 examples have an empty list of labels" in note for note in fitted.notes)
    save_multi_label_model(tmp_path / "m", model)
    again = load_multi_label_model(tmp_path / "m")
    assert is_multi_label_model(tmp_path / "m")
    queries = [Query(n, thing=text) for n, text in enumerate(["ww v", "w" * 21, "ww " + "v " * 6, "w" * 23 + " " + "v " * 7, ""], 1)]
    found = list(labels_each(again, Lengths(), queries))
    assert [sorted(one.labels) for one in found[:4]] == [sorted(one.labels) for one in labels_each(model, Lengths(), queries[:4])]
    assert found[0].labels == ()
    assert set(found[3].labels) == {"long", "many"}
    plain = found[0].as_dict(probabilities=True)
    assert list(plain) == ["input", "label", "probability", "second", "unknown", "labels", "probabilities"]
    assert plain["label"] == max(plain["probabilities"], key=plain["probabilities"].get)
    assert (found[4].as_dict()["labels"], found[4].as_dict()["error"]) == (None, "the text is empty. Leave it out.")
    with pytest.raises(SavedError, match="is a model of several labels per thing, which only kshot predict, estimate and show read"):
        load_model(tmp_path / "m")


def test_a_score_by_hand() -> None:
    there = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    given = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=bool)
    found = estimate_labels(given, there, "labelled data")
    assert (found.precision, found.recall, found.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert found.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (found.exact, found.labels_given, found.labels_there) == pytest.approx((1 / 3, 1, 1))
    assert labels_estimate_from(json.loads(json.dumps(found.as_dict()))) == found
    scored = score_multi_label(fit_multi_label(examples(), Lengths()).model, Lengths(), examples([*LABELS[:-1], "long|new"]))
    assert scored.estimate.f1 > 0.8
    assert any("does not know the labels 'new', which do not count" in note for note in scored.notes)
    assert any("are examples of the model, which flatters the score" in note for note in scored.notes)


def test_what_cannot_be_fitted() -> None:
    n = len(TEXTS)
    for labels, told in (
        (["a"] * n, r"2 classes or more; found 1: 'a'"),
        ([""] * n, r"found none"),
        (["a|b"] * n, r"all 24 examples have the same labels, 'a\|b'"),
    ):
        with pytest.raises(DataError, match=told):
            fit_multi_label(examples(labels), Lengths())
    few = Examples("texts", TEXTS[:3], ["a", "b", ""], ["1", "2", "3"], {"things": ["text"], "label": "tags"})
    with pytest.raises(DataError, match="needs 4 examples or more"):
        fit_multi_label(few, Lengths())
    notes = fit_multi_label(examples(["a", *["b"] * (n - 1)]), Lengths()).notes
    assert any("one example alone has the label 'a'" in note for note in notes)
    notes = fit_multi_label(examples(["A|b" if k % 2 else "a|b" for k in range(n)]), Lengths()).notes
    assert any("every example has the label 'b'" in note for note in notes)
    assert any("the labels 'a' and 'A' differ by case or spaces only" in note or "'A' and 'a'" in note for note in notes)


def test_labels_are_read_from_lists_and_from_texts(tmp_path: Path) -> None:
    rows = [{"text": "a", "tags": ["x", "y"]}, {"text": "b", "tags": []}, {"text": "c", "tags": "y|x|y"}, {"text": "d", "tags": None}]
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = find_examples(file, Asked(label="tags", multi_label=True))
    assert (list(found.labels), list(found.names)) == (["x|y", "", "x|y"], ["1", "2", "3"])
    assert any("1 row is left out, with no label (an empty list, or '|', says that none fits): row 4" in note for note in found.notes)
    with pytest.raises(DataError, match=r"row 1: the label is a list, .* add --multi-label"):
        find_examples(file, Asked(label="tags"))
    for wrong in ([""], ["a|b"], [["a"]], [None]):
        with pytest.raises(DataError, match=r"a list of labels holds names that are not empty and have no '\|'"):
            label_set(wrong)
    table = tmp_path / "t.csv"
    table.write_text("text,tags\na,x|y\nb,x\nc,\nd,|\n", encoding="utf-8")
    assert list(find_examples(table, Asked(label="tags", multi_label=True)).labels) == ["x|y", "x", ""]


def test_photographs_come_from_a_table_of_paths(tmp_path: Path) -> None:
    rows = []
    for number, (red, green) in enumerate([(20, 20), (230, 20), (20, 230), (230, 230)] * 4):
        labels = "|".join([*(["red"] if red > 99 else []), *(["green"] if green > 99 else [])])
        shade = (red + number, green - number, 10 * number)
        Image.new("RGB", (24, 24), shade).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "labels": labels.split("|") if labels else []})
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = fit_multi_label(find_examples(table, Asked(multi_label=True)), Colours()).model
    queries = [Query(str(tmp_path / f"{number}.png"), thing=tmp_path / f"{number}.png") for number in range(4)]
    assert [sorted(one.labels) for one in labels_each(model, Colours(), queries)] == [[], ["red"], ["green"], ["green", "red"]]
    with pytest.raises(DataError, match=r"--multi-label reads a table with a column of labels, and .* is a folder"):
        find_examples(tmp_path, Asked(multi_label=True))


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    save_multi_label_model(tmp_path / "m", fit_multi_label(examples(), Lengths()).model)
    record = tmp_path / "m" / "model.json"
    whole = record.read_text(encoding="utf-8")
    for before, after, told in (
        ('"many"', '"long"', "2 or more classes of different names"),
        ('"feature_map": "', '"feature_map": "no ', "there is no feature map"),
        ('"examples"', '"things"', "examples"),
    ):
        record.write_text(whole.replace(before, after, 1), encoding="utf-8")
        with pytest.raises(SavedError, match=told):
            load_multi_label_model(tmp_path / "m")
