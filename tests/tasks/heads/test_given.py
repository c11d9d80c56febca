"""Examples as all heads see them: the sample, what is computed in blocks, and heads that learn from more than the sample."""

import numpy as np
import pytest

from kshot.errors import DataError
from kshot.tasks.estimate import estimate
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.discriminant import Discriminant
from kshot.tasks.heads.feature_map import AS_THEY_ARE, CENTRED_ROOT, CENTRED_UNIT, UNIT, fit_map
from kshot.tasks.heads.given import Given, sample_of
from kshot.tasks.heads.head import FittedHead, Head
from kshot.tasks.heads.kernel_ridge import KernelRidge
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.ridge import Ridge
from kshot.tasks.heads.shrunken_means import ShrunkenMeans
from kshot.tasks.heads.table import HEADS, head_named


def many(n: int = 60, D: int = 4, way: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """More examples than the sample holds; the classes overlap, and the last one is rare."""
    rng = np.random.default_rng(1)
    y = np.concatenate([np.arange(n - 4) % (way - 1), np.full(4, way - 1)])
    x = 1.5 * rng.normal(size=(way, D))[y] + rng.normal(size=(n, D))
    order = rng.permutation(n)
    return x[order].astype(np.float32), y[order]


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of 20, and blocks of 7 rows, so that a few examples are very many."""
    monkeypatch.setattr("kshot.tasks.heads.given.MOST", 20)
    monkeypatch.setattr(sample_of, "__defaults__", (20,))
    monkeypatch.setattr("kshot.tasks.heads.given._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("kshot.tasks.heads.feature_map._AT_ONCE", 7)


def test_the_sample_has_each_class_in_proportion_and_two_of_a_rare_one() -> None:
    y = np.concatenate([np.zeros(900), np.ones(97), [2, 2, 3]]).astype(np.int64)
    found = sample_of(np.random.default_rng(0).permutation(y), 4, 100)
    assert (np.diff(found) > 0).all()
    assert np.bincount(np.random.default_rng(0).permutation(y)[found]).tolist() == [90, 9, 2, 1]
    assert sample_of(y[:100], 4, 100).tolist() == list(range(100))


def test_no_order_of_the_rows_enters_the_sample() -> None:
    """Of rows that repeat every ten, a sample holds every tenth as often as any other."""
    counts = np.bincount(sample_of(np.zeros(100_000, dtype=np.int64), 1, 2_000) % 10)
    assert counts.sum() == 2_000
    assert 150 < counts.min() <= counts.max() < 250


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("feature_map", [AS_THEY_ARE, UNIT, CENTRED_UNIT, CENTRED_ROOT])
def test_what_is_summed_in_blocks_is_the_sum(feature_map: str) -> None:
    x, y = many()
    x = np.abs(x) if feature_map == CENTRED_ROOT else x
    seen = Given(x, y, 3).seen_through(feature_map)
    z = fit_map(feature_map, x)(x).astype(np.float64)
    assert not seen.given.whole
    assert len(seen.z) < len(x)
    centres = np.stack([z[y == label].mean(0) for label in range(3)])
    np.testing.assert_allclose(seen.means, centres, atol=1e-7)
    np.testing.assert_allclose(seen.origin, z.mean(0), atol=1e-7)
    np.testing.assert_allclose(seen.scatter, (z - centres[y]).T @ (z - centres[y]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(seen.scatter + seen.scatter_of_means, (z - z.mean(0)).T @ (z - z.mean(0)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(seen.mean_square, np.square(z).sum(1).mean(), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(seen.distances()), np.linalg.norm(seen.z[:, None] - seen.z, axis=2), atol=1e-4)


def refitted(head: Head, fitted: FittedHead, x: np.ndarray, y: np.ndarray) -> FittedHead:
    """The same settings, on other examples that are all in the sample, by the equations in numpy."""
    z = x.astype(np.float64) - fitted.arrays["centre"]
    centres = np.stack([z[y == label].mean(0) for label in range(3)])
    if isinstance(head, Discriminant):
        W = sum(np.outer(row - centres[label], row - centres[label]) for row, label in zip(z, y, strict=True))
        inverse = np.linalg.inv(W + fitted.settings["regularisation"] * np.eye(x.shape[1]))
        weights, bias = 2 * inverse @ centres.T, -np.einsum("kd,de,ke->k", centres, inverse, centres)
    elif isinstance(head, Ridge):
        X = np.concatenate([z, np.ones((len(z), 1))], axis=1)
        both = np.linalg.solve(X.T @ X + fitted.settings["regularisation"] * np.eye(X.shape[1]), X.T @ np.eye(3)[y])
        weights, bias = both[:-1], both[-1]
    else:
        if isinstance(head, ShrunkenMeans):
            counts = np.bincount(y)[:, None]
            w = fitted.settings["shrinkage"] / (counts + fitted.settings["shrinkage"])
            centres = (1 - w) * centres + w * z.mean(0)
        weights, bias = 2 * centres.T, -np.square(centres).sum(1)
    arrays = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32), "centre": fitted.arrays["centre"]}
    return FittedHead("affine", AS_THEY_ARE, arrays, fitted.temperature, {})


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("kind", [ClassMeans, Discriminant, Ridge, ShrunkenMeans])
def test_a_head_that_is_a_sum_learns_from_all_examples_and_is_tested_on_the_sample(kind: type[Head]) -> None:
    x, y = many()
    head = kind((AS_THEY_ARE,)) if kind is not ShrunkenMeans else ShrunkenMeans(None, (AS_THEY_ARE,))
    found, fitted = head.left_out(x, y, 3), head.fit(x, y, 3)
    np.testing.assert_allclose(log_probabilities(fitted, x), log_probabilities(refitted(head, fitted, x, y), x), atol=1e-3)
    sample = sample_of(y, 3)
    assert len(sample) < len(x)
    assert found.log_probabilities.shape == (len(sample), 3)
    assert found.how == "leave-one-out"
    for place, row in enumerate(sample):
        others = np.arange(len(x)) != row
        expected = log_probabilities(refitted(head, fitted, x[others], y[others]), x[[row]])
        np.testing.assert_allclose(found.log_probabilities[place], expected[0], atol=1e-3)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("kind", [KernelRidge, Nearest])
def test_a_head_that_holds_examples_holds_the_sample(kind: type[Head]) -> None:
    x, y = many()
    sample, head = sample_of(y, 3), kind((AS_THEY_ARE,))
    fitted = head.fit(x, y, 3)
    held = fitted.arrays["examples"] + fitted.arrays["centre"]
    assert sorted(map(tuple, held.round(4).tolist())) == sorted(map(tuple, x[sample].round(4).tolist()))


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name == "logistic" else ()) for name in HEADS])
def test_the_choice_says_on_which_examples_it_was_made(name: str) -> None:
    x, y = many()
    choice = choose(x, y, 3, [head_named(name)])
    sample = sample_of(y, 3)
    assert choice.sample.tolist() == sample.tolist()
    told = f"It was chosen on {len(sample)} of 60 examples"
    ends = {
        "nearest": f"{told}, and holds these alone.",
        "kernel_ridge": f"{told}, and holds these alone.",
        "blend": f"{told}; its kernel holds these, and its discriminant learned from all.",
    }
    assert str(choice).endswith(ends.get(name, f"{told}, and learned from all of them."))
    assert choice.as_dict()["total"] == 60
    found = estimate(choice.left_out, y[choice.sample], 3)
    assert (found.examples, found.unscored.tolist()) == (len(sample), [0, 0, 0])


def test_few_examples_are_their_own_sample() -> None:
    x, y = many()
    choice = choose(x, y, 3)
    assert len(choice.sample) == choice.total == 60
    assert "It was chosen on" not in str(choice)


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(DataError, match="class 1 has none"):
        Given(np.zeros((2, 1), dtype=np.float32), np.array([0, 2]), 3).full()
    with pytest.raises(DataError, match="NaN or infinity in example 1"):
        Given(np.array([[0.0], [np.nan]]), np.array([0, 1]), 2)


def test_a_value_is_computed_once() -> None:
    given = Given(*many(), 3)
    assert given.seen_through(UNIT) is given.seen_through(UNIT)
    assert given.blocks() is given.blocks()
    calls: list[int] = []
    for _ in range(2):
        given.once("a key", lambda: calls.append(1))
    assert calls == [1]
