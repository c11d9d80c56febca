"""The ridge head: by hand, against loops in NumPy, both forms against each other, gradients, real targets, and singular systems."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import batch_of_curves, logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.contract.check import ALWAYS, EPISODIC, FIRST, INDUCTIVE, UNORDERED, check_learner
from kshot.learners.heads.linear import with_ones
from kshot.learners.metric.ridge import RidgeNet, primal_form, ridge_weights, woodbury_form


def set_exactly(learner: RidgeNet, regularisation: float, scale: float, bias: float) -> RidgeNet:
    nn.init.constant_(learner.log_regularisation, math.log(regularisation))
    nn.init.constant_(learner.log_scale, math.log(scale))
    nn.init.constant_(learner.bias, bias)
    return learner


# By hand.


def test_one_feature_and_an_intercept_by_hand() -> None:
    # x = -1, 1 with labels 0, 1 and λ = 2. XᵀX + λ I = [[2, 0], [0, 2]] + 2 I = 4 I. XᵀY = [[-1, 1], [1, 1]].
    learner = set_exactly(RidgeNet(nn.Identity()), regularisation=2, scale=8, bias=3).double().eval()
    task = learner.adapt(torch.tensor([[[-1.0], [1.0]]]).double(), torch.tensor([[0, 1]]), way=2)
    expected = torch.tensor([[[-0.25, 0.25], [0.25, 0.25]]]).double()
    torch.testing.assert_close(task.weights, expected, rtol=1e-6, atol=1e-6)  # log λ = log 2 is a float32 number
    # At x = 3: 3·(-1/4) + 1/4 = -1/2 and 3/4 + 1/4 = 1; times 8, plus 3.
    found = learner.predict(task, torch.tensor([[[3.0]]]).double())
    torch.testing.assert_close(found, torch.tensor([[[-1.0, 11.0]]]).double(), rtol=1e-6, atol=1e-5)


def test_without_regularisation_a_line_is_found() -> None:
    learner = RidgeNet(nn.Identity(), regularisation=1e-12, family=Regression()).double().eval()
    x = torch.tensor([[[0.0], [1.0], [4.0]]]).double()
    task = learner.adapt(x, 2 * x - 7)
    torch.testing.assert_close(task.weights, torch.tensor([[[2.0], [-7.0]]]).double())
    torch.testing.assert_close(learner.predict(task, torch.tensor([[[10.0]]]).double()), torch.tensor([[[13.0]]]).double())


# An independent version: loops in NumPy. The minimum of ‖X W - Y‖² + λ ‖W‖² by least squares on rows √λ I added to X.


def slow_answers(support: np.ndarray, Y: np.ndarray, query: np.ndarray, constants: tuple[float, float, float]) -> np.ndarray:
    regularisation, scale, bias = constants
    answers = np.zeros((len(support), query.shape[1], Y.shape[-1]))
    for b in range(len(support)):
        X = np.concatenate([support[b], np.ones((len(support[b]), 1))], 1)
        rows = np.concatenate([X, math.sqrt(regularisation) * np.eye(X.shape[1])])
        targets = np.concatenate([Y[b], np.zeros((X.shape[1], Y.shape[-1]))])
        W = np.linalg.lstsq(rows, targets, rcond=None)[0]
        for q in range(query.shape[1]):
            for t in range(Y.shape[-1]):
                answer = W[-1, t]
                for d in range(query.shape[2]):
                    answer += query[b, q, d] * W[d, t]
                answers[b, q, t] = scale * answer + bias
    return answers


@pytest.mark.parametrize("D", [5, 30])
def test_equals_the_slow_version_whichever_system_is_smaller(D: int) -> None:
    batch = unbalanced_batch(B=3, shape=(D,))
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    learner = set_exactly(RidgeNet(nn.Identity()).double(), regularisation=0.3, scale=4, bias=-1).eval()
    Y = np.eye(4)[batch.support_y.numpy()]
    expected = slow_answers(batch.support_x.numpy(), Y, batch.query_x.numpy(), (0.3, 4, -1))
    np.testing.assert_allclose(logits_of(learner, batch).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_real_targets_equal_the_slow_version() -> None:
    batch = batch_of_curves()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    learner = set_exactly(RidgeNet(nn.Identity(), family=Regression()).double(), regularisation=0.1, scale=1.5, bias=0.2).eval()
    expected = slow_answers(batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy(), (0.1, 1.5, 0.2))
    found = logits_of(learner, batch).detach()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    mean_square = ((expected - batch.query_y.numpy()) ** 2).mean((1, 2))
    np.testing.assert_allclose(learner.family.score(found, batch.query_y).numpy(), mean_square, rtol=1e-10)


@pytest.mark.parametrize(("S", "D"), [(3, 40), (20, 20), (40, 3)])
@pytest.mark.parametrize("regularisation", [1e-2, 1.0, 100.0])
def test_the_two_forms_agree(S: int, D: int, regularisation: float) -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(4, S, D, generator=generator, dtype=torch.float64)
    Y = torch.randn(4, S, 3, generator=generator, dtype=torch.float64)
    strength = torch.tensor(regularisation, dtype=torch.float64)
    primal, woodbury = primal_form(X, Y, strength), woodbury_form(X, Y, strength)
    torch.testing.assert_close(primal, woodbury, rtol=1e-10, atol=1e-10)
    assert torch.equal(ridge_weights(X, Y, strength), woodbury if S < D else primal)


def test_float32_features_are_solved_in_float64() -> None:
    # Two nearly equal items 1,000 long: in float32 the products would keep nothing of their difference.
    X = torch.tensor([[[1000.0, 0.0], [1000.0, 0.1]]])
    Y = torch.eye(2).unsqueeze(0)
    found = ridge_weights(X, Y, torch.tensor(1e-4))
    exact = ridge_weights(X.double(), Y.double(), torch.tensor(1e-4).double())
    assert (found.dtype, exact.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-8)


# Gradients.


@pytest.mark.parametrize("form", [primal_form, woodbury_form])
def test_gradients_of_the_kernels_by_finite_differences(form: object) -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    Y = torch.randn(2, 4, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    regularisation = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert callable(form)
    assert torch.autograd.gradcheck(form, (X, Y, regularisation))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_meta_backward_is_the_gradient_of_the_mean_loss(kind: str) -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch() if kind == "classification" else batch_of_curves()
    family = Classification() if kind == "classification" else Regression()
    learner = set_exactly(RidgeNet(MLP(5 if batch.way else 1, (4,), 3), family=family).double().train(), 0.5, 2.0, 0.1)

    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(query_loss(learner, batch), rel=1e-12)
    assert_gradient_of(partial(query_loss, learner, batch), learner)


# What must not matter, and the contract for real targets.


def test_renumbering_the_classes_permutes_the_logits() -> None:
    batch = unbalanced_batch()
    learner = RidgeNet(nn.Identity()).double().eval()
    new_label = torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=4), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_the_contract_holds_for_real_targets() -> None:
    torch.manual_seed(0)
    held = check_learner(RidgeNet(MLP(1, (8,), 8), family=Regression()), batch_of_curves(dtype=torch.float32))
    assert sorted(held) == sorted({**FIRST, **ALWAYS, **INDUCTIVE, **UNORDERED, **EPISODIC})


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch(dtype=torch.float32)
    learner = RidgeNet(MLP(5, (16,), 8))
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
        assert ridge_weights(with_ones(batch.support_x.bfloat16()), torch.ones(2, 11, 1), torch.tensor(1.0)).dtype == torch.float32
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.02)


# Bad input.


def test_a_class_without_support_items_is_never_the_answer() -> None:
    batch = unbalanced_batch()
    learner = RidgeNet(nn.Identity()).double().eval()
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y, way=5), batch.query_x)
    assert bool((logits[..., 4] == -math.inf).all())
    torch.testing.assert_close(logits[..., :4], logits_of(learner, batch))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_features_give_one_answer_to_all(value: float) -> None:
    # Without a difference between items there is nothing to learn but each class's share, shrunk by λ.
    batch = unbalanced_batch(N=3, S=6)
    learner = set_exactly(RidgeNet(nn.Identity()).double(), regularisation=0.5, scale=1, bias=0).eval()
    task = learner.adapt(torch.full((2, 6, 5), value, dtype=torch.float64), batch.support_y, way=3)
    found = learner.predict(task, torch.full((2, 4, 5), value, dtype=torch.float64))
    length = 5 * value**2 + 1
    counts = nn.functional.one_hot(batch.support_y, 3).double().sum(1, keepdim=True)
    torch.testing.assert_close(found, (counts * length / (6 * length + 0.5)).expand(2, 4, 3))


def test_a_singular_system_is_named_in_evaluation_and_not_a_number_in_training() -> None:
    features = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    features[1] = 50.0  # three equal items; λ = 1e-30 is nothing beside 50² · 8
    y = torch.tensor([[0, 1, 2], [0, 1, 2]])
    learner = RidgeNet(nn.Identity(), regularisation=1e-30).eval()
    expected = "the ridge system of task 1 of the batch is singular: 3 support items, 8 features, λ = 1e-30, largest feature 50. Items"
    with pytest.raises(DataError, match=expected):
        learner.adapt(features, y, way=3)
    assert learner.adapt(features[:1], y[:1], way=3).weights.isfinite().all()
    weights = learner.train().adapt(features, y, way=3).weights
    assert weights[0].isfinite().all()
    assert weights[1].isnan().all()
    losses = learner.meta_backward(EpisodeBatch(features.requires_grad_(), y, features, y, 3, np.arange(2)), 0.0)
    assert losses.isnan().tolist() == [False, True]


def test_features_that_are_not_finite_are_named() -> None:
    features = torch.ones(2, 3, 4)
    features[1, 2, 0] = math.nan
    with pytest.raises(DataError, match="the features of support item 2 of task 1 of the batch are not all finite"):
        RidgeNet(nn.Identity()).eval().adapt(features, torch.tensor([[0, 1, 2]] * 2), way=3)


# Construction.


@pytest.mark.parametrize("argument", ["regularisation", "scale"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_a_number_that_is_not_positive_is_refused(argument: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"the {argument} of a ridge head must be a positive number; found"):
        RidgeNet(nn.Identity(), **{argument: value})
