"""Weights of classes: by hand, in a model and on disk, as scikit-learn has them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from cases.encoders import Lengths
from kshot.errors import DataError, RecipeError, SavedError
from kshot.tasks.class_weights import ClassWeights, read_weights
from kshot.tasks.examples import Examples
from kshot.tasks.few_shot_classifier import FewShotClassifier
from kshot.tasks.fit import Fitted, add, fit, remove, rename, weigh
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.table import head_named
from kshot.tasks.heads.weighted import weighted_head
from kshot.tasks.model_folder import load_model, save_model

TEXTS = ["a", "bb", "ccc", "dddd", "a b c d e", "a b c d e f"]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    names = [str(number) for number in range(1, 7)]
    return fit(Examples("texts", TEXTS, ["short"] * 4 + ["long"] * 2, names), Lengths(), head="class_means")


def test_weights_by_hand() -> None:
    classes, counts = ("fox", "owl"), np.array([1, 3])
    assert ClassWeights("balanced").logarithms(classes, counts) == pytest.approx(np.log([2, 2 / 3]))
    assert ClassWeights({"owl": 5}).logarithms(classes, counts) == pytest.approx(np.log([1, 5]))
    assert ClassWeights(prior={"fox": 9, "owl": 1}).logarithms(classes, counts) == pytest.approx(np.log([0.9 / 0.25, 0.1 / 0.75]))
    both = ClassWeights({"owl": 5}, {"fox": 9, "owl": 1}).logarithms(classes, counts)
    assert both == pytest.approx(np.log([0.9 / 0.25, 5 * 0.1 / 0.75]))
    assert not ClassWeights().asked
    assert str(ClassWeights("balanced", {"fox": 0.5, "owl": 1})) == "balanced; prior fox 0.5, owl 1"


@pytest.mark.parametrize("name", ["class_means", "ridge", "kernel_ridge"])
def test_a_weighted_head_multiplies_its_probabilities(name: str) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)).astype(np.float32), np.repeat([0, 1, 2], 4)
    head = head_named(name).fit(x, y, 3)
    w = np.array([0.5, 2.0, 7.0])
    wanted = np.exp(log_probabilities(head, x)) * w
    assert np.exp(log_probabilities(weighted_head(head, np.log(w)), x)) == pytest.approx(wanted / wanted.sum(1, keepdims=True), rel=1e-4)


def test_a_model_counts_them_everywhere_and_keeps_them(fitted: Fitted, tmp_path: Path) -> None:
    weights = ClassWeights({"long": 3.0})
    found = weigh(fitted, weights)
    ratio = np.exp(found.log_probabilities - fitted.log_probabilities)
    assert ratio[:, 0] / ratio[:, 1] == pytest.approx(3.0)  # left out; classes are sorted
    plain, dear = (np.exp(log_probabilities(one.model.head, fitted.model.vectors)) for one in (fitted, found))
    assert (dear[:, 0] / dear[:, 1]) / (plain[:, 0] / plain[:, 1]) == pytest.approx(3.0, rel=1e-3)
    assert found.examples is fitted.examples
    save_model(tmp_path / "m", found.model)
    again = load_model(tmp_path / "m")
    assert again.weights == weights
    assert np.array_equal(again.head.arrays["bias"], found.model.head.arrays["bias"])
    more = add(again, Lengths(), Examples("texts", ["eeeee"], ["short"], ["7"])).model
    assert more.weights == weights
    assert rename(more, "long", "wide", Lengths()).model.weights == ClassWeights({"wide": 3.0})
    three = add(again, Lengths(), Examples("texts", ["a b", "c d"], ["mid"] * 2, ["7", "8"])).model
    assert remove(three, "long").model.weights == ClassWeights({})


def test_as_scikit_learn_has_them() -> None:
    pytest.importorskip("sklearn")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 2)), np.repeat([1, 2], [50, 10])
    x[y == 2] += 1
    shares = [float((FewShotClassifier(head="ridge", class_weight=weight).fit(x, y).predict(x) == 2).mean())
              for weight in ({2: 0.2}, None, "balanced", {2: 1000.0})]  # fmt: skip
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert shares[0] < shares[2]
    even = FewShotClassifier(head="ridge", prior={1: 1, 2: 1}).fit(x, y).predict_proba(x)
    assert even == pytest.approx(FewShotClassifier(head="ridge", class_weight="balanced").fit(x, y).predict_proba(x), rel=1e-4)


def test_what_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(RecipeError, match="the weight of class 'fox' must be a number above 0; found"):
            ClassWeights({"fox": wrong})
    with pytest.raises(RecipeError, match=r"found 0. With 0, it would never be the answer: remove the class instead"):
        ClassWeights(prior={"fox": 0})
    with pytest.raises(RecipeError, match="class weights are 'balanced', or a number per class; found 'equal'"):
        ClassWeights("equal")
    counts = np.array([1, 1])
    with pytest.raises(DataError, match="class weights name a class that there is not, 'fix'"):
        ClassWeights({"fix": 1.0}).logarithms(("fox", "owl"), counts)
    with pytest.raises(DataError, match="the prior names no share of the class 'owl'"):
        ClassWeights(prior={"fox": 1.0}).logarithms(("fox", "owl"), counts)
    with pytest.raises(DataError, match="class 'owl' has no example"):
        ClassWeights("balanced").logarithms(("fox", "owl"), np.array([1, 0]))
    with pytest.raises(RecipeError, match="a head of the form 'nearest' has no place for class weights"):
        weighted_head(head_named("nearest").fit(fitted.model.vectors, fitted.model.labels, 2), np.zeros(2))
    file = tmp_path / "w.toml"
    faults = {"fox": "is no TOML", "fox = 'x'": "class 'fox' needs a number", "fox = true": "needs a number", "": "holds no weights"}
    for text, told in faults.items():
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=told):
            read_weights(file, "weights")
    file.write_text("fox = 2\n'red owl' = 0.5\n", encoding="utf-8")
    assert read_weights(file, "weights") == {"fox": 2.0, "red owl": 0.5}
    with pytest.raises(DataError, match="cannot read"):
        read_weights(tmp_path / "none.toml", "weights")


def test_a_damaged_record_is_named(fitted: Fitted, tmp_path: Path) -> None:
    save_model(tmp_path / "m", weigh(fitted, ClassWeights({"long": 3.0})).model)
    record = tmp_path / "m" / "model.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"long": 3.0', '"long": 0'), encoding="utf-8")
    with pytest.raises(SavedError, match="is damaged: the weight of class 'long' must be a number above 0"):
        load_model(tmp_path / "m")
