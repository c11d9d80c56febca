"""All heads: by hand, equal to the learners that they are, left out as if refitted, and answering without PyTorch and scikit-learn."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.tasks.heads.answer import log_probabilities, log_softmax, logits
from kshot.tasks.heads.blend import Blend
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.discriminant import Discriminant
from kshot.tasks.heads.feature_map import AS_THEY_ARE, CENTRED_ROOT, CENTRED_UNIT, FEATURE_MAPS, ROOT_UNIT, UNIT, apply_map, fit_map
from kshot.tasks.heads.given import sample_of
from kshot.tasks.heads.head import FittedHead, Head, wanted_arrays
from kshot.tasks.heads.kernel_ridge import KernelRidge
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.shrunken_means import ShrunkenMeans
from kshot.tasks.heads.table import HEADS, head_named

SOURCE = Path(__file__).resolve().parents[3] / "src"


def examples(way: int = 4, shot: int = 3, D: int = 6, seed: int = 0, more: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap; the last class has more examples than the others."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.repeat(np.arange(way), shot), np.full(more, way - 1)])
    x = rng.normal(size=(way, D))[y] + 0.7 * rng.normal(size=(len(y), D))
    order = rng.permutation(len(y))
    return x[order].astype(np.float32), y[order]


def left_out_once(x: np.ndarray, y: np.ndarray, way: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what is left out together, and what is left."""
    for group in blocks_of(x, y, way).groups:
        for block in group:
            yield block, np.setdiff1d(np.arange(len(y)), block)


def asked(learner: Learner, z: np.ndarray, y: np.ndarray, queries: np.ndarray, way: int) -> np.ndarray:
    with torch.no_grad():
        adapted = learner.eval().adapt(torch.from_numpy(z)[None], torch.from_numpy(y)[None], way=way)
        return learner.predict(adapted, torch.from_numpy(queries)[None])[0].numpy()


def learner_of(fitted: FittedHead, name: str) -> Learner:
    if name == "ridge":
        return RidgeNet(nn.Identity(), regularisation=fitted.settings["regularisation"])
    return {"class_means": ProtoNet, "nearest": NearestNeighbour}[name](nn.Identity())


# By hand.


def test_class_means_by_hand() -> None:
    # Means 1 and 5 of 0, 2 and 4, 6; the centre of all is 3. At 2, the squared distances are 1 and 9.
    x, y = np.array([[0.0], [2.0], [4.0], [6.0]], dtype=np.float32), np.array([0, 0, 1, 1])
    fitted = ClassMeans((AS_THEY_ARE,)).fit(x, y, 2)
    assert fitted.arrays["centre"].tolist() == [3.0]
    assert fitted.arrays["weights"].tolist() == [[-4.0, 4.0]]  # 2 (c - 3)
    assert fitted.arrays["bias"].tolist() == [-4.0, -4.0]  # -(c - 3)²
    answer = logits(fitted, np.array([[2.0]])) * fitted.temperature
    assert (answer[0, 0] - answer[0, 1]).round(5) == 8.0
    # Without itself, 0 meets the mean 2 of its class, at distance 4, and 4 or 6 of the other, whichever is not left out with it.
    found = ClassMeans((AS_THEY_ARE,)).left_out(x, y, 2)
    block = next(block for block, _ in left_out_once(x, y, 2) if 0 in block)
    other = 6.0 if 2 in block else 4.0
    expected = log_softmax(np.array([[-4.0, -(other**2)]]) / fitted.temperature)[0]
    np.testing.assert_allclose(found.log_probabilities[0], expected, rtol=1e-5)


def test_nearest_by_hand() -> None:
    x, y = np.array([[3.0], [0.0], [8.0]], dtype=np.float32), np.array([1, 0, 0])
    fitted = Nearest((AS_THEY_ARE,)).fit(x, y, 2)
    np.testing.assert_allclose(logits(fitted, np.array([[6.0]])) * fitted.temperature, [[-4.0, -9.0]], rtol=1e-4)
    found = Nearest((AS_THEY_ARE,)).left_out(x, y, 2)
    assert found.scored.tolist() == [False, True, True]
    assert found.log_probabilities[2].argmax() == 1  # without itself, 8 has 3 of the other class at 5 and 0 of its own at 8


def test_shrunken_means_by_hand() -> None:
    # κ = 2 examples of weight against n = 2: means halfway to the descriptions.
    x, y = np.array([[0.0], [2.0], [4.0], [6.0]], dtype=np.float32), np.array([0, 0, 1, 1])
    head = ShrunkenMeans(np.array([[3.0], [9.0]]), (AS_THEY_ARE,))
    fitted = head.fit(x, y, 2)
    w = fitted.settings["shrinkage"] / (2 + fitted.settings["shrinkage"])
    expected = 2 * (np.array([1.0, 5.0]) * (1 - w) + np.array([3.0, 9.0]) * w - 3)
    np.testing.assert_allclose(fitted.arrays["weights"][0], expected, rtol=1e-6)


def test_descriptions_alone_are_the_classes() -> None:
    head = ShrunkenMeans(np.eye(3))
    fitted = head.fit(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64), 3)
    assert log_probabilities(fitted, np.array([[0.1, 0.9, 0.0]])).argmax() == 1
    assert not head.left_out(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64), 3).scored.any()


def test_a_class_may_have_a_description_or_examples() -> None:
    head = ShrunkenMeans(np.array([[0.0, 1.0], [np.nan, np.nan]]))
    fitted = head.fit(np.array([[1.0, 0.1], [1.0, -0.1]], dtype=np.float32), np.array([1, 1]), 2)
    assert log_probabilities(fitted, np.array([[0.1, 1.0], [1.0, 0.2]])).argmax(1).tolist() == [0, 1]
    with pytest.raises(DataError, match="class 1 has neither an example nor a description"):
        head.fit(np.array([[0.0, 1.0]], dtype=np.float32), np.array([0]), 2)


# Equal to the learners.


@pytest.mark.parametrize("feature_map", FEATURE_MAPS)
@pytest.mark.parametrize("name", ["class_means", "nearest", "ridge"])
def test_a_head_answers_as_its_learner(name: str, feature_map: str) -> None:
    x, y = examples()
    x = np.abs(x) if feature_map in (ROOT_UNIT, CENTRED_ROOT) else x
    fitted = type(head_named(name))((feature_map,)).fit(x, y, 4)  # type: ignore[call-arg]
    queries = examples(seed=9)[0]
    mapped = fit_map(feature_map, x)
    expected = asked(learner_of(fitted, name), mapped(x), y, mapped(queries), 4) / fitted.temperature
    np.testing.assert_allclose(log_probabilities(fitted, queries), log_softmax(expected), atol=2e-4)


# Left out as if refitted.


@pytest.mark.parametrize("more", [1, 5])  # one example of every class at a time, and one by one
@pytest.mark.parametrize("D", [3, 40])  # fewer, and more features than examples
@pytest.mark.parametrize("name", ["class_means", "nearest", "ridge"])
def test_left_out_is_a_refit_without_the_block(name: str, D: int, more: int) -> None:
    x, y = examples(D=D, more=more)
    head = type(head_named(name))((AS_THEY_ARE,))  # type: ignore[call-arg]
    found, fitted = head.left_out(x, y, 4), head.fit(x, y, 4)
    z = fit_map(AS_THEY_ARE, x)(x)
    for block, others in left_out_once(x, y, 4):
        answer = asked(learner_of(fitted, name), z[others], y[others], z[block], 4)
        np.testing.assert_allclose(found.log_probabilities[block], log_softmax(answer / fitted.temperature), atol=2e-4)


@pytest.mark.parametrize("more", [1, 5])
@pytest.mark.parametrize("described", ["none", "all", "some"])
def test_left_out_shrunken_means_are_a_refit_without_the_block(described: str, more: int) -> None:
    x, y = examples(more=more)
    way, D = 4, x.shape[1]
    descriptions = np.random.default_rng(5).normal(size=(way, D)) if described != "none" else None
    if described == "some":
        descriptions[2] = np.nan
    head = ShrunkenMeans(descriptions, (AS_THEY_ARE,))
    found, fitted = head.left_out(x, y, way), head.fit(x, y, way)
    mapped, strength = fit_map(AS_THEY_ARE, x), fitted.settings["shrinkage"]
    z = mapped(x).astype(np.float64)
    assert strength > 0
    for block, others in left_out_once(x, y, way):
        means = []
        for label in range(way):
            own = z[others][y[others] == label]
            prior = (
                z[others].mean(0)
                if descriptions is None or np.isnan(descriptions[label, 0])
                else mapped(descriptions[label : label + 1])[0]
            )
            w = strength / (len(own) + strength)
            means.append((1 - w) * own.mean(0) + w * prior)
        answer = -np.square(z[block][:, None] - np.stack(means)).sum(2)
        np.testing.assert_allclose(found.log_probabilities[block], log_softmax(answer / fitted.temperature), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("more", [1, 5])
@pytest.mark.parametrize("D", [3, 40])
def test_kernel_ridge_and_its_left_out_answers_are_those_of_the_equations(D: int, more: int) -> None:
    x, y = examples(D=D, more=more)
    head = KernelRidge((AS_THEY_ARE,))
    found, fitted = head.left_out(x, y, 4), head.fit(x, y, 4)
    mapped = fit_map(AS_THEY_ARE, x)
    z, Y, p, ridge = mapped(x).astype(np.float64), np.eye(4)[y] - 0.25, fitted.arrays["precision"], fitted.settings["regularisation"]

    def by_loops(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
        K = np.array([[np.exp(-p[0] * np.square(a - b).sum()) for b in z[rows]] for a in z[rows]])
        k = np.array([np.exp(-p[0] * np.square(query - b).sum()) for b in z[rows]])
        return k @ np.linalg.solve(K + ridge * np.eye(len(rows)), Y[rows]) / fitted.temperature

    for block, others in left_out_once(x, y, 4):
        for row in block:
            np.testing.assert_allclose(found.log_probabilities[row], log_softmax(by_loops(others, z[row])[None])[0], atol=1e-5)
    queries = examples(D=D, seed=9)[0]
    answers = np.stack([by_loops(np.arange(len(x)), one) for one in mapped(queries).astype(np.float64)])
    np.testing.assert_allclose(log_probabilities(fitted, queries), log_softmax(answers), atol=1e-4)


def test_a_blend_is_the_mean_of_its_parts() -> None:
    x, y = examples(shot=6)
    queries, map_name = examples(seed=9)[0], CENTRED_UNIT
    head, parts = Blend((map_name,)), (Discriminant((map_name,)), KernelRidge((map_name,)))
    found, fitted = head.left_out(x, y, 4), head.fit(x, y, 4)
    mean = sum(log_probabilities(part.fit(x, y, 4), queries) for part in parts) / 2
    np.testing.assert_allclose(log_probabilities(fitted, queries), log_softmax(mean / fitted.temperature), atol=1e-4)
    mean = sum(part.left_out(x, y, 4).log_probabilities for part in parts) / 2
    np.testing.assert_allclose(found.log_probabilities, log_softmax(mean / fitted.temperature), atol=1e-6)
    np.testing.assert_allclose(found.log_likelihoods[:, 0], found.log_probabilities[np.arange(len(y)), y])


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_a_fitted_head_has_the_arrays_of_its_form(name: str) -> None:
    x, y = examples()
    fitted = head_named(name).fit(x, y, 4)
    found = {key: (str(array.dtype), array.shape) for key, array in fitted.arrays.items() if key != "centre"}
    assert found == wanted_arrays(fitted.form, len(x), 6, 4)


def discriminant_by_loops(z: np.ndarray, y: np.ndarray, query: np.ndarray, regularisation: float, way: int) -> np.ndarray:
    """Means, covariance and distances as they are written, with a solved system."""
    centres = np.stack([z[y == label].mean(0) for label in range(way)])
    W = regularisation * np.eye(z.shape[1])
    for row, label in zip(z, y, strict=True):
        W += np.outer(row - centres[label], row - centres[label])
    return np.array([-(query - c) @ np.linalg.solve(W, query - c) for c in centres])


@pytest.mark.parametrize("more", [1, 5])
@pytest.mark.parametrize("D", [3, 40])  # fewer, and more features than examples
def test_a_discriminant_and_its_left_out_answers_are_those_of_the_equations(D: int, more: int) -> None:
    x, y = examples(D=D, more=more)
    head = Discriminant((AS_THEY_ARE,))
    found, fitted = head.left_out(x, y, 4), head.fit(x, y, 4)
    mapped = fit_map(AS_THEY_ARE, x)
    z, strength = mapped(x).astype(np.float64), fitted.settings["regularisation"]
    for block, others in left_out_once(x, y, 4):
        for row in block:
            answer = discriminant_by_loops(z[others], y[others], z[row], strength, 4)[None] / fitted.temperature
            np.testing.assert_allclose(found.log_probabilities[row], log_softmax(answer)[0], atol=1e-6)
    queries = examples(D=D, seed=9)[0]
    answers = np.stack([discriminant_by_loops(z, y, one, strength, 4) for one in mapped(queries).astype(np.float64)]) / fitted.temperature
    np.testing.assert_allclose(log_probabilities(fitted, queries), log_softmax(answers), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_left_out_answers_do_not_see_their_own_label(name: str) -> None:
    """With labels that mean nothing, left-out answers are right about half the time; answers for what was seen are right far more often."""
    y, right = np.arange(24) % 2, []
    for seed in range(30):  # a mean over 8 strays by 0.04, and choosing a feature map adds as much
        x = np.random.default_rng(seed).normal(size=(24, 30)).astype(np.float32)
        right.append((head_named(name).left_out(x, y, 2).log_probabilities.argmax(1) == y).mean())
    assert np.mean(right) < 0.6


# What can be said of few, equal and contradicting examples.


@pytest.mark.parametrize("name", HEADS)
def test_one_example_per_class(name: str) -> None:
    x, y = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, -2.0]], dtype=np.float32), np.array([0, 1, 2])
    head = head_named(name)
    found, fitted = head.left_out(x, y, 3), head.fit(x, y, 3)
    assert not found.scored.any()
    assert found.log_likelihoods.shape == (0, 1)
    probabilities = np.exp(log_probabilities(fitted, x))
    assert probabilities.argmax(1).tolist() == [0, 1, 2]
    assert (probabilities.max(1) < 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_the_only_example_of_a_class_is_not_scored(name: str) -> None:
    x, y = examples(way=3)
    x, y = np.concatenate([x, [[9.0] * 6]]).astype(np.float32), np.append(y, 3)
    found = head_named(name).left_out(x, y, 4)
    assert found.scored.tolist() == [True] * 10 + [False]
    assert np.isfinite(found.log_likelihoods).all()
    assert np.isfinite(found.log_probabilities[:-1][np.arange(10), y[:-1]]).all()
    assert log_probabilities(head_named(name).fit(x, y, 4), x[-1:]).argmax() == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_equal_rows_with_different_labels(name: str) -> None:
    x, y = np.ones((6, 3), dtype=np.float32), np.array([0, 1, 0, 1, 0, 1])
    fitted = head_named(name).fit(x, y, 2)
    np.testing.assert_allclose(np.exp(log_probabilities(fitted, x)), 0.5, atol=1e-3)
    assert np.isfinite(head_named(name).left_out(x, y, 2).log_probabilities).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_large_and_far_numbers_keep_their_digits(name: str) -> None:
    x, y = examples(shot=5)
    near, far = head_named(name).left_out(x, y, 4), head_named(name).left_out(1e4 + x * 64, y, 4)
    assert abs(near.log_likelihoods[:, near.kept].mean() - far.log_likelihoods[:, far.kept].mean()) < 0.3
    huge = head_named(name).fit((x * 1e15).astype(np.float32), y, 4)
    assert np.isfinite(log_probabilities(huge, (x * 1e15).astype(np.float32))).all()


# Refusals.


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("x", "y", "way", "message"),
    [
        (np.ones((2, 3)), np.array([0, 0]), 1, "needs at least 2 of them; found 1"),
        (np.ones((2, 3)), np.array([0, 0]), 2, "class 1 has none"),
        (np.ones((2, 3)), np.array([0, 2]), 2, "labels of 2 classes are 0 to 1; found 0 to 2"),
        (np.ones((2, 3)), np.array([0.0, 1.0]), 2, "labels must be whole numbers"),
        (np.ones(2), np.array([0, 1]), 2, "must be vectors of numbers"),
        (np.array([[1.0], [np.nan]]), np.array([0, 1]), 2, "NaN or infinity in example 1"),
    ],
)
def test_what_is_no_example_is_refused(name: str, x: np.ndarray, y: np.ndarray, way: int, message: str) -> None:
    for ask in (head_named(name).fit, head_named(name).left_out):
        with pytest.raises(DataError, match=message):
            ask(x, y, way)


def test_an_unknown_head_or_map_is_named() -> None:
    with pytest.raises(RecipeError, match=r"no head 'rigde'\. Did you mean 'ridge'"):
        head_named("rigde")
    with pytest.raises(RecipeError, match="no feature map 'unit'"):
        fit_map("unit", np.ones((2, 2)))
    with pytest.raises(RecipeError, match="takes features that are not negative; found -1"):
        fit_map(ROOT_UNIT, np.array([[-1.0]]))


def test_wrong_vectors_are_refused() -> None:
    fitted = ClassMeans().fit(*examples(), 4)
    with pytest.raises(DataError, match=r"reads vectors \(M, 6\); found shape \(1, 5\)"):
        logits(fitted, np.ones((1, 5)))
    with pytest.raises(DataError, match="NaN or infinity in vector 1"):
        logits(fitted, np.array([[0.0] * 6, [np.inf] * 6]))


# Feature maps.


def test_feature_maps_by_hand() -> None:
    x = np.array([[9.0, 16.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(fit_map(UNIT, x)(x), [[9 / 337**0.5, 16 / 337**0.5], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(fit_map(ROOT_UNIT, x)(x), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(fit_map(AS_THEY_ARE, x)(x), [[4.5, 8.0], [-4.5, -8.0]])
    np.testing.assert_allclose(fit_map(CENTRED_UNIT, x)(x)[0], np.array([4.5, 8.0]) / np.hypot(4.5, 8), rtol=1e-6)
    # Root units (0.6, 0.8) and (0, 0) have the mean (0.3, 0.4).
    np.testing.assert_allclose(fit_map(CENTRED_ROOT, x)(x), [[0.6, 0.8], [-0.6, -0.8]], rtol=1e-6)
    assert apply_map(ROOT_UNIT, {}, np.array([[-1.0, 4.0]])).tolist() == [[0.0, 1.0]]


# Answering needs numpy alone.


@pytest.mark.slow
def test_answers_need_numpy_alone(tmp_path: Path) -> None:
    x, y = examples()
    expected = {}
    for name in HEADS:
        fitted = head_named(name).fit(x, y, 4)
        np.savez(tmp_path / f"{name}.npz", **fitted.arrays)
        plain = {"form": fitted.form, "feature_map": fitted.feature_map, "temperature": fitted.temperature, "settings": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(plain))
        expected[name] = logits(fitted, x).tolist()
    np.save(tmp_path / "x.npy", x)
    code = """
import json, sys, numpy as np
from pathlib import Path
from kshot.tasks.estimate import Estimate
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.given import sample_of
from kshot.tasks.heads.head import FittedHead
folder = Path(sys.argv[1])
found = {}
for one in folder.glob("*.json"):
    with np.load(one.with_suffix(".npz")) as arrays:
        fitted = FittedHead(arrays=dict(arrays), **json.loads(one.read_text()))
    found[one.stem] = logits(fitted, np.load(folder / "x.npy")).tolist()
print(json.dumps([found, sorted({"torch", "sklearn", "pandas", "scipy", "matplotlib"} & set(sys.modules))]))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, loaded = json.loads(done.stdout)
    assert loaded == []
    assert found == expected


# Many examples.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["class_means", "discriminant", "nearest", "ridge", "shrunken_means"])
def test_ten_thousand_examples(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(10_000) % 50
    x = (rng.normal(size=(50, 384))[y] * 0.2 + rng.normal(size=(10_000, 384))).astype(np.float32)
    head: Head = head_named(name)
    start = time.process_time()
    found = head.left_out(x, y, 50)
    assert time.process_time() - start < 60
    sample = sample_of(y, 50)
    assert found.log_probabilities.shape == (len(sample), 50) == (2_000, 50)
    assert (found.log_probabilities.argmax(1) == y[sample]).mean() > 0.15
