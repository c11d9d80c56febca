"""What to label next: which things, how many, and what is refused."""

import numpy as np
import pytest

import kshot.tasks.labels.suggest
from kshot.encoders.encoder import Provenance
from kshot.errors import DataError, RecipeError
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.labels.suggest import suggest, undecided
from kshot.tasks.model import EncoderFacts, Model


def model_of(x: np.ndarray, y: np.ndarray) -> Model:
    x, y = np.asarray(x, np.float32), np.asarray(y)
    classes = tuple("abcdefgh"[: y.max() + 1])
    head = ClassMeans(feature_maps=("as they are",)).fit(x, y, len(classes))
    facts = EncoderFacts("drawn", "numbers", x.shape[1], "0" * 16, Provenance("MIT", "drawn here"))
    return Model(facts, classes, "class_means", head, x, y, tuple(map(str, range(len(x)))))


@pytest.fixture
def model() -> Model:
    return model_of(np.array([[0.0, 0], [0, 1], [4, 0], [4, 1]]), np.array([0, 0, 1, 1]))


def test_undecided_by_hand() -> None:
    assert undecided(np.array([[0.5, 0.5, 0], [1, 0, 0], [0.2, 0.5, 0.3]])) == pytest.approx([1, 0, 0.8])


def test_the_undecided_and_the_far_come_before_what_is_known(model: Model) -> None:
    near, between, far = [0.1, 0.5], [2.0, 0.5], [2.2, 9.0]
    found = suggest(model, np.array([near, between, near, far], np.float32), 4)
    assert {one.place for one in found.suggestions[:2]} == {1, 3}
    assert found.suggestions[2].place == 0  # once, although it is there twice
    assert len(found.suggestions) == 3
    assert (found.known, found.distinct, found.compared, found.total) == (0, 3, 4, 4)
    assert found.gain == pytest.approx(1, abs=1e-4)
    sure = found.suggestions[2]
    assert (sure.label, sure.probability > 0.8) == ("a", True)


def test_examples_of_the_model_are_left_out(model: Model) -> None:
    x = np.concatenate([model.vectors, np.array([[2, 3], [2, 4]], np.float32), model.vectors[:1]])
    found = suggest(model, x, 10)
    assert sorted(one.place for one in found.suggestions) == [4, 5]
    assert (found.known, found.total) == (5, 2)
    with pytest.raises(DataError, match=r"nothing to suggest: all 4 things are examples of the model already"):
        suggest(model, model.vectors)
    with pytest.raises(DataError, match=r"the only thing is an example"):
        suggest(model, model.vectors[:1])
    with pytest.raises(DataError, match=r"found no things"):
        suggest(model, np.empty((0, 2), np.float32))


def test_things_that_are_all_alike_are_suggested_once(model: Model) -> None:
    found = suggest(model, np.full((20, 2), 2.0, np.float32), 10)
    assert [(one.place, round(one.gain, 3)) for one in found.suggestions] == [(0, 1.0)]


def test_a_model_that_is_sure_of_everything_goes_by_distance(model: Model) -> None:
    x = np.array([[-50, 0], [-50, 1], [90, 0]], np.float32)
    found = suggest(model, x, 2)
    assert {one.place for one in found.suggestions} in ({0, 2}, {1, 2})


def test_of_very_many_a_sample_is_compared(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kshot.tasks.labels.suggest, "MOST", 50)
    x = np.random.default_rng(0).normal(2, 2, (400, 2)).astype(np.float32)
    found = suggest(model, x, 5)
    assert (found.compared, found.total, len(found.suggestions)) == (50, 400, 5)
    assert found == suggest(model, x, 5)


def test_what_cannot_be_ranked_is_refused(model: Model) -> None:
    x = np.ones((3, 2), np.float32)
    for count in (0, -1, 1001):
        with pytest.raises(RecipeError, match=r"--count must be from 1 to 1,000; found"):
            suggest(model, x, count)
    with pytest.raises(DataError, match=r"reads vectors \(M, 2\); found shape \(3, 5\)"):
        suggest(model, np.ones((3, 5), np.float32))
    x[1, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in vector 1"):
        suggest(model, x)
