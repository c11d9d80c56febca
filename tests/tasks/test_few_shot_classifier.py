"""The estimator of scikit-learn: its checks, its places in scikit-learn, and what it adds: classes that come later, things to embed."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import kshot
import kshot.errors
from cases.encoders import Lengths
from kshot.errors import DataError, RecipeError
from kshot.tasks.few_shot_classifier import FewShotClassifier


def blobs(way: int = 3, each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 5, (way, 4))
    return np.concatenate([centre + rng.normal(0, 1, (each, 4)) for centre in centres]), np.repeat([f"c{k}" for k in range(way)], each)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_s_own_checks_pass() -> None:
    check_estimator(FewShotClassifier())


def test_the_nearest_mean_by_hand() -> None:
    made = FewShotClassifier(head="class_means").fit([[0.0, 0.0], [0.0, 2.0], [4.0, 1.0]], [0, 0, 7])
    assert made.classes_.tolist() == [0, 7]
    assert made.predict([[1.9, 1.0], [2.1, 1.0]]).tolist() == [0, 7]  # the means are (0, 1) and (4, 1)
    probabilities = made.predict_proba([[2.0, 1.0], [0.0, 1.0]])
    assert probabilities[0] == pytest.approx([0.5, 0.5], abs=1e-5)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-12)
    assert np.log(probabilities) == pytest.approx(made.predict_log_proba([[2.0, 1.0], [0.0, 1.0]]))


def test_pipelines_searches_and_cross_validation() -> None:
    x, y = blobs()
    pipeline = make_pipeline(StandardScaler(), FewShotClassifier(head="ridge"))
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.9
    search = GridSearchCV(FewShotClassifier(), {"head": ["class_means", "nearest"]}, cv=2).fit(x, y)
    assert search.best_params_["head"] in ("class_means", "nearest")
    assert "FewShotClassifier" in search.best_estimator_._repr_html_()
    assert repr(FewShotClassifier(head="ridge")) == "FewShotClassifier(head='ridge')"


def test_classes_and_examples_come_later_as_if_they_had_been_there() -> None:
    x, y = blobs()
    whole = FewShotClassifier(head="class_means").fit(x, y)
    old = y != "c2"
    grown = FewShotClassifier(head="class_means").fit(x[old], y[old])
    assert grown.add_class("c2", x[~old]) is grown
    assert grown.classes_.tolist() == ["c0", "c1", "c2"]
    order = np.random.default_rng(1).permutation(len(x))
    parts = FewShotClassifier(head="class_means")
    for rows in np.array_split(order, 4):
        parts.partial_fit(x[rows], y[rows], classes=["c0", "c1", "c2"])
    for made in (grown, parts):
        assert np.allclose(made.predict_proba(x), whole.predict_proba(x), atol=1e-6)
    assert len(whole.fit(x[old], y[old]).classes_) == 2  # forgets


def test_a_class_that_is_still_to_come_has_the_probability_0() -> None:
    made = FewShotClassifier().partial_fit([[0.0], [1.0]], ["a", "a"], classes=["a", "b", "c"])
    assert made.predict([[5.0]]).tolist() == ["a"]
    made.partial_fit([[9.0], [8.0]], ["c", "c"])
    probabilities = made.predict_proba([[9.0]])
    assert probabilities[0, 1] == 0
    assert made.predict([[9.0]]).tolist() == ["c"]


def test_sets_and_unknown_things_in_the_order_of_the_classes() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat(["cat", "elk", "fox"], 12)
    x = np.repeat([[0.0, 0], [4, 0], [0, 4]], 12, axis=0) + rng.normal(size=(36, 2))
    classifier = FewShotClassifier(head="class_means").partial_fit(x, names, classes=["bee", "cat", "elk", "fox"])
    sets = classifier.predict_set([[0.0, 0], [4, 0], [2, 2]], coverage=0.95)
    assert sets.tolist()[:2] == [[False, True, False, False], [False, False, True, False]]
    assert sets.shape == (3, 4)
    assert sets[2].sum() >= 1
    assert not sets[:, 0].any()  # without examples
    assert classifier.predict_unknown([[0.0, 0], [60, 60]]).tolist() == [False, True]
    assert pickle.loads(pickle.dumps(classifier)).predict_set([[4.0, 0]]).tolist() == [[False, False, True, False]]
    with pytest.raises(RecipeError, match=r"coverage must be a share above 0 and below 1, such as 0\.9; found 1"):
        classifier.predict_set(x, coverage=1)
    with pytest.raises(RecipeError, match=r"which can promise 0\.973 at most"):
        classifier.predict_set(x, coverage=0.999)
    with pytest.raises(RecipeError, match="a model of one class cannot say how sure it is"):
        FewShotClassifier().partial_fit(x[:12], names[:12]).predict_set(x)


def test_things_are_embedded_by_an_encoder() -> None:
    encoder = Lengths()
    texts, y = ["a", "b c", "a long word", "many words in a row"], ["short", "short", "long", "long"]
    made = FewShotClassifier(encoder, head="nearest", cache=False).fit(texts, y)
    assert made.vectors_.tolist() == [[1, 0], [3, 1], [11, 2], [19, 4]]
    assert made.predict(["x", "another long text"]).tolist() == ["short", "long"]
    assert pickle.loads(pickle.dumps(made.fit(texts, y).head_)).form == "nearest"
    with pytest.raises(DataError, match="item 1: the text is empty"):
        made.predict(["a", " "])
    with pytest.raises(DataError, match="there is nothing to read"):
        made.predict([])
    with pytest.raises(DataError, match="X must be a sequence of things to read; found str"):
        made.predict("a text")
    with pytest.raises(DataError, match=r"labels must be one per example, \(4,\); found \(3,\)"):
        made.fit(texts, y[:3])


def test_bad_arguments_say_so_and_are_value_errors() -> None:
    x, y = blobs()
    with pytest.raises(ValueError, match="at least 2 of them; found 1 class"):
        FewShotClassifier().fit(x[:3], y[:3])
    with pytest.raises(RecipeError, match="there is no head 'forest'"):
        FewShotClassifier(head="forest").fit(x, y)
    with pytest.raises(RecipeError, match="there is no encoder 'nose'"):
        FewShotClassifier("nose").fit(["a", "b"], [0, 1])
    with pytest.raises(RecipeError, match="encoder must be the name of an encoder, or an Encoder; found int"):
        FewShotClassifier(3).fit(["a", "b"], [0, 1])  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="head must be the name of a head, or a Head; found int"):
        FewShotClassifier(head=3).fit(x, y)  # type: ignore[arg-type]
    with pytest.raises(NotFittedError):
        FewShotClassifier().add_class("a", x)
    with pytest.raises(DataError, match="X must be a sequence of examples; found str"):
        FewShotClassifier().fit(x, y).add_class("a", "text")


@pytest.mark.slow
def test_without_scikit_learn_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['sklearn.base'] = None\nimport kshot\n"
        "assert 'sklearn.svm' not in sys.modules\n"
        "try:\n    kshot.FewShotClassifier()\nexcept kshot.errors.SetupError as error:\n    print(error)"
    )
    source = str(Path(kshot.errors.__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True, timeout=60)
    assert "pip install 'kshot[tables]'" in done.stdout, done.stderr
