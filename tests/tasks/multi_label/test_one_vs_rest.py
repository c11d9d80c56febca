"""One head per class: left-out answers against heads fitted again, the sigmoid against its gradient, thresholds by hand."""

import numpy as np
import pytest

import kshot.tasks.multi_label.one_vs_rest
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.feature_map import fit_map
from kshot.tasks.multi_label.one_vs_rest import (
    THRESHOLDS,
    _solver,
    choose_thresholds,
    fit_one_vs_rest,
    fit_sigmoid,
    probabilities_of,
)


def tagged(n: int, D: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Things that each lie on the sum of the directions of their labels."""
    directions = np.random.default_rng(99).normal(0, 2, (3, D))
    random = np.random.default_rng(seed)
    y = random.random((n, 3)) < 0.4
    x = y @ directions + random.normal(0, 0.5, (n, D))
    return x.astype(np.float32), y


@pytest.mark.parametrize("n", [8, 40])
def test_left_out_answers_are_those_of_a_ridge_fitted_without_the_example(n: int) -> None:
    x, y = tagged(n, D=12)
    mapped = fit_map("unit length", x)
    weights, answers, ridge = _solver(mapped, x, y, np.arange(n))(0.1)
    X = np.concatenate([mapped(x).astype(np.float64), np.ones((n, 1))], axis=1)

    def solved(rows: np.ndarray) -> np.ndarray:
        return np.linalg.solve(X[rows].T @ X[rows] + ridge * np.eye(13), X[rows].T @ y[rows])

    assert weights() == pytest.approx(solved(np.arange(n)), abs=1e-8)
    for i in range(n):
        assert answers[i] == pytest.approx(X[i] @ solved(np.delete(np.arange(n), i)), abs=1e-8)


def test_the_sigmoid_is_the_likeliest() -> None:
    random = np.random.default_rng(0)
    y = random.random(200) < 0.3
    v = random.normal(0.2, 0.3, 200) + 0.5 * y
    a, b = fit_sigmoid(v, y)
    positive = int(y.sum())
    target = np.where(y, (positive + 1) / (positive + 2), 1 / (200 - positive + 2))

    def loss(a: float, b: float) -> float:
        z = a * v + b
        return float((target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)).sum())

    assert a > 0
    for da, db in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert loss(a + da, b + db) > loss(a, b)


def test_thresholds_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kshot.tasks.multi_label.one_vs_rest, "PRIOR", 0.0)
    p = np.array([[0.9, 0.3], [0.8, 0.25], [0.3, 0.1], [0.2, np.nan]])
    y = np.array([[1, 1], [1, 1], [0, 0], [0, 1]], dtype=bool)
    found = choose_thresholds(p, y)
    between = [[t for t in THRESHOLDS if 0.3 < t <= 0.8], [t for t in THRESHOLDS if 0.1 < t <= 0.25]]
    assert found == pytest.approx([np.mean(one) for one in between])


def test_a_class_with_few_examples_keeps_nearly_the_common_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    y = np.concatenate([random.random((300, 4)) < 0.3, np.zeros((300, 1), bool)], axis=1)
    p = np.clip(0.3 * y + random.random(y.shape) * 0.6, 0, 1)
    p[:, 4] *= 0.3
    y[0, 4], p[0, 4] = True, 0.19  # alone, it would have a threshold below 0.19
    assert choose_thresholds(p, y)[4] > 0.3
    monkeypatch.setattr(kshot.tasks.multi_label.one_vs_rest, "PRIOR", 0.0)
    assert choose_thresholds(p, y)[4] < 0.19


def test_labels_of_new_things_are_found() -> None:
    x, y = tagged(60)
    found = fit_one_vs_rest(x, y)
    new, truth = tagged(400, seed=1)
    told = probabilities_of(logits(found.fitted, new)) >= found.thresholds
    assert (told == truth).mean() > 0.95
    assert (found.decided == y).mean() > 0.85
    assert found.left_out.shape == (60, 3)


def test_the_only_example_of_a_class_is_not_asked_for_it() -> None:
    x, y = tagged(30)
    y = np.concatenate([y, np.arange(30)[:, None] == 7], axis=1)
    found = fit_one_vs_rest(x, y)
    assert np.argwhere(~np.isfinite(found.left_out)).tolist() == [[7, 3]]
    assert not found.decided[7, 3]


def test_of_very_many_a_sample_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kshot.tasks.multi_label.one_vs_rest, "MOST", 50)
    for D in (6, 200):  # more examples than features, and fewer
        x, y = tagged(120, D=D)
        found = fit_one_vs_rest(x, y)
        assert len(found.sample) == len(found.left_out) == 50
        assert (found.decided == y[found.sample]).mean() > 0.85
