"""Softmax regression: by hand, the gradient at the solution, a slow version in NumPy, and support sets of every awkward kind."""

import math

import numpy as np
import pytest
import torch

from kshot.learners.heads.softmax_regression import answers_of, fit_softmax_regression


def task_of(S: int, D: int, N: int, *, scale: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random features (2, S, D) and unbalanced labels in no order."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.stack([torch.cat([torch.arange(N), torch.randint(N, (S - N,), generator=generator)]) for _ in range(2)])
    y = y[:, torch.randperm(S, generator=generator)]
    return scale * torch.randn(2, S, D, generator=generator, dtype=torch.float64), y


def test_two_items_by_hand() -> None:
    # x = -1, 1 with labels 0, 1. By symmetry W = (-w, w), b = 0, and the logit difference at x is 2 w x. The slope in w is
    # 0 = λ w - 1 / (1 + e^{2w}), which at w = 1/2 says λ = 2 / (1 + e).
    heads = fit_softmax_regression(torch.tensor([[[-1.0], [1.0]]]).double(), torch.tensor([[0, 1]]), 2, 2 / (1 + math.e))
    torch.testing.assert_close(heads.weights, torch.tensor([[[-0.5, 0.5], [0.0, 0.0]]]).double(), rtol=1e-9, atol=1e-12)
    assert answers_of(heads, torch.tensor([[[3.0]]]).double()).tolist() == [[[pytest.approx(-1.5), pytest.approx(1.5)]]]


@pytest.mark.parametrize(("S", "D", "N"), [(6, 3, 3), (5, 20, 4), (40, 6, 5)])
@pytest.mark.parametrize("regularisation", [0.01, 0.5])
def test_the_slope_at_the_solution_is_0(S: int, D: int, N: int, regularisation: float) -> None:
    features, y = task_of(S, D, N, scale=3.0)
    heads = fit_softmax_regression(features, y, N, regularisation)
    for b in range(2):  # in NumPy, from the definition
        X = np.concatenate([features[b].numpy(), np.ones((S, 1))], 1)
        W = heads.weights[b].numpy()
        e = np.exp(X @ W - (X @ W).max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        slope = X.T @ (p - np.eye(N)[y[b].numpy()]) / S + regularisation * W
        assert np.abs(slope).max() < 0.01 * regularisation * np.abs(W).max()  # the slope of ½ λ ‖W‖² alone is λ W


@pytest.mark.slow
def test_the_solution_is_no_worse_than_a_slow_descent() -> None:
    features, y = task_of(12, 4, 3)
    heads = fit_softmax_regression(features, y, 3, 0.1)
    X = torch.cat([features, torch.ones(2, 12, 1)], -1)
    W = torch.zeros(2, 5, 3, dtype=torch.float64, requires_grad=True)

    def objective(W: torch.Tensor) -> torch.Tensor:
        losses = torch.nn.functional.cross_entropy((X @ W).flatten(0, 1), y.flatten(), reduction="none").view(2, 12)
        return losses.mean(1) + 0.05 * W.square().sum((1, 2))

    for _ in range(3000):
        (slope,) = torch.autograd.grad(objective(W).sum(), W)
        W = (W - 0.1 * slope).detach().requires_grad_()
    torch.testing.assert_close(heads.weights, W.detach(), rtol=1e-6, atol=1e-6)
    assert bool((objective(heads.weights) <= objective(W.detach()) + 1e-12).all())


def test_a_batch_is_its_single_tasks() -> None:
    features, y = task_of(9, 5, 3)
    together = fit_softmax_regression(features, y, 3, 0.01).weights
    for b in range(2):
        torch.testing.assert_close(
            fit_softmax_regression(features[b : b + 1], y[b : b + 1], 3, 0.01).weights[0], together[b], rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize(
    "features",
    [torch.zeros(1, 4, 3), torch.full((1, 4, 3), 50.0), torch.full((1, 4, 3), 1e6), 1e-12 * torch.ones(1, 4, 3)],
    ids=["zero", "constant", "constant and large", "constant and small"],
)
def test_features_that_tell_nothing_give_each_class_its_share(features: torch.Tensor) -> None:
    # Equal items: the logits are equal but for the class sizes, 3 to 1; λ pulls them together where features are small.
    heads = fit_softmax_regression(features, torch.tensor([[0, 0, 1, 0]]), 2, 0.01)
    logits = answers_of(heads, features)
    assert bool(torch.isfinite(logits).all())
    probability = logits.softmax(-1)[0, :, 0]
    assert 0.6 < float(probability.min()) <= float(probability.max()) <= 0.7501


def test_equal_items_of_two_classes_tie() -> None:
    heads = fit_softmax_regression(torch.ones(1, 2, 3), torch.tensor([[0, 1]]), 2, 0.01)
    assert answers_of(heads, torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))).abs().max() < 1e-12


def test_a_class_without_items_is_as_if_it_were_not_there() -> None:
    features, y = task_of(9, 5, 3)
    with_it, without = fit_softmax_regression(features, y, 4, 0.01), fit_softmax_regression(features, y, 3, 0.01)
    found = answers_of(with_it, features)
    assert bool((found[..., 3] == -math.inf).all())
    torch.testing.assert_close(found[..., :3], answers_of(without, features))


def test_one_class_alone_has_one_answer() -> None:
    heads = fit_softmax_regression(torch.randn(1, 3, 4), torch.tensor([[0, 0, 0]]), 1, 0.01)
    assert answers_of(heads, torch.ones(1, 2, 4)).tolist() == [[[0.0], [0.0]]]
