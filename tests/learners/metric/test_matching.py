"""Matching networks: by hand, against loops in NumPy, gradients by finite differences, missing classes, and what stays exact."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.heads.item_scores import class_log_sums, class_maxima, one_hot
from kshot.learners.learner import Learner
from kshot.learners.metric.matching import MatchingNet, ScaledMatchingNet, log_attention

# By hand.


def test_attention_by_hand() -> None:
    learner = MatchingNet(nn.Identity()).eval()
    # Class 0: (2, 0) and (0, 1); class 1: (3, 4). The query (1, 0) has cosines 1, 0 and 3/5, whatever the lengths.
    task = learner.adapt(torch.tensor([[[2.0, 0.0], [3.0, 4.0], [0.0, 1.0]]]), torch.tensor([[0, 1, 0]]), way=2)
    logits = learner.predict(task, torch.tensor([[[1.0, 0.0]]]))
    total = math.e + math.exp(0.6) + 1
    assert logits[0, 0].exp().tolist() == pytest.approx([(math.e + 1) / total, math.exp(0.6) / total])
    # The loss of label 1 is -log P(1): the softmax of a log-probability is the probability.
    loss = learner.family.loss(logits, torch.tensor([[1]]))
    assert loss.item() == pytest.approx(-math.log(math.exp(0.6) / total))


def test_the_scale_multiplies_the_cosine_by_hand() -> None:
    learner = ScaledMatchingNet(nn.Identity(), scale=5.0).eval()
    task = learner.adapt(torch.tensor([[[2.0, 0.0], [3.0, 4.0]]]), torch.tensor([[0, 1]]), way=2)
    logits = learner.predict(task, torch.tensor([[[1.0, 0.0]]]))  # 5 and 3
    assert logits[0, 0].tolist() == pytest.approx([-math.log1p(math.exp(-2)), -math.log1p(math.exp(2))], abs=1e-6)


def test_cosines_alone_cannot_be_sure() -> None:
    # One item equal to the query and 19 opposite ones: e / (e + 19/e) = e² / (e² + 19), as the module's docstring says.
    support = torch.cat([torch.ones(1, 1, 3), -torch.ones(1, 19, 3)], 1)
    task = MatchingNet(nn.Identity()).adapt(support, torch.arange(20).unsqueeze(0))
    best = MatchingNet(nn.Identity()).predict(task, torch.ones(1, 1, 3)).exp()[0, 0, 0].item()
    assert best == pytest.approx(math.e**2 / (math.e**2 + 19), rel=1e-5)
    assert best == pytest.approx(0.28, abs=0.001)


# An independent version: loops in NumPy, straight from the equations.


def slow_log_probabilities(batch: EpisodeBatch, scale: float) -> np.ndarray:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()
    answer = np.zeros((len(batch), query.shape[1], batch.way))
    for b in range(len(batch)):
        for q in range(query.shape[1]):
            weights = []
            for i in range(support.shape[1]):
                u, v = query[b, q], support[b, i]
                weights.append(math.exp(scale * float(np.dot(u, v)) / math.sqrt(float(np.dot(u, u)) * float(np.dot(v, v)))))
            for i, weight in enumerate(weights):
                answer[b, q, y[b, i]] += weight / sum(weights)  # (1)
    return np.log(answer)


@pytest.mark.parametrize(("kind", "scale"), [(MatchingNet, 1.0), (ScaledMatchingNet, 10.0)])
def test_equals_the_slow_version(kind: type[Learner], scale: float) -> None:
    batch = unbalanced_batch(B=3, N=5, S=17, Q=9, shape=(8,))
    learner = kind(nn.Identity()).double().eval()
    for log_scale in learner.parameters():
        nn.init.constant_(log_scale, math.log(scale))  # in float64, where the start is float32
    expected = slow_log_probabilities(batch, scale)
    found = logits_of(learner, batch).detach()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 9, dtype=torch.float64))
    losses = [-np.mean([expected[b, q, int(batch.query_y[b, q])] for q in range(9)]) for b in range(3)]
    np.testing.assert_allclose(learner.family.loss(found, batch.query_y).numpy(), losses, rtol=1e-10)


# Gradients.


def test_gradients_of_the_kernel_by_finite_differences() -> None:
    batch = unbalanced_batch(S=6, Q=3)
    labels = one_hot(batch.support_y, 4, torch.empty(0, dtype=torch.float64))
    scores = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: log_attention(value, labels), (scores,))


@pytest.mark.parametrize("kind", [MatchingNet, ScaledMatchingNet])
def test_meta_backward_is_the_gradient_of_the_mean_loss(kind: type[Learner]) -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch()
    learner = kind(MLP(5, (4,), 3)).double().train()

    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(query_loss(learner, batch), rel=1e-12)
    assert_gradient_of(partial(query_loss, learner, batch), learner)


# Missing classes and extreme scores.


def test_a_class_without_support_items_has_probability_zero_and_no_gradient() -> None:
    labels = one_hot(torch.tensor([[0, 2, 2]]), 4, torch.empty(0))
    scores = torch.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    logits = log_attention(scores, labels)
    assert logits[0, 0].exp().tolist() == pytest.approx([math.e / (math.e + math.e**2 + math.e**3), 0, 1 - 0.0900306, 0], abs=1e-6)
    assert logits[0, 0, [1, 3]].tolist() == [-math.inf, -math.inf]
    assert logits.argmax(-1).item() == 2
    nn.functional.cross_entropy(logits[0], torch.tensor([0])).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert bool(scores.grad.any())


def test_a_class_far_below_the_best_keeps_a_finite_logarithm() -> None:
    # exp(-500) is 0 in float32; its logarithm is -500 all the same, and so is its gradient not lost.
    scores = torch.tensor([[[0.0, -500.0, -500.0]]], requires_grad=True)
    sums = class_log_sums(scores, one_hot(torch.tensor([[0, 1, 1]]), 2, torch.empty(0)))
    assert sums[0, 0].tolist() == pytest.approx([0.0, -500 + math.log(2)])
    sums[0, 0, 1].backward()
    assert scores.grad is not None
    assert scores.grad[0, 0].tolist() == [0.0, 0.5, 0.5]


def test_the_largest_score_of_each_class() -> None:
    labels = one_hot(torch.tensor([[1, 0, 1]]), 3, torch.empty(0))
    assert class_maxima(torch.tensor([[[-3.0, -7.0, -2.0]]]), labels).tolist() == [[[-7.0, -2.0, -math.inf]]]


@pytest.mark.parametrize("kind", [MatchingNet, ScaledMatchingNet])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_features_answer_with_each_class_s_share(kind: type[Learner], value: float) -> None:
    batch = unbalanced_batch(N=3, S=6)
    learner = kind(nn.Identity()).double().eval()
    task = learner.adapt(torch.full((2, 6, 5), value, dtype=torch.float64), batch.support_y, way=3)
    found = learner.predict(task, torch.full((2, 4, 5), value, dtype=torch.float64)).exp()
    shares = nn.functional.one_hot(batch.support_y, 3).double().mean(1, keepdim=True)
    torch.testing.assert_close(found, shares.expand(2, 4, 3))


# What must not matter.


@pytest.mark.parametrize("kind", [MatchingNet, ScaledMatchingNet])
def test_renumbering_the_classes_permutes_the_logits(kind: type[Learner]) -> None:
    batch = unbalanced_batch()
    learner = kind(nn.Identity()).double().eval()
    new_label = torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=4), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_the_order_of_support_items_does_not_matter() -> None:
    batch = unbalanced_batch()
    assert isinstance(batch.support_x, Tensor)
    learner = MatchingNet(nn.Identity()).double().eval()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    turned = learner.adapt(batch.support_x[:, order], batch.support_y[:, order], way=4)
    torch.testing.assert_close(learner.predict(turned, batch.query_x), logits_of(learner, batch))


@pytest.mark.parametrize("kind", [MatchingNet, ScaledMatchingNet])
def test_a_training_step_under_autocast_agrees_with_the_full_one(kind: Callable[..., Learner]) -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch(dtype=torch.float32)
    learner = kind(MLP(5, (16,), 8))
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.02)


# Construction.


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(RecipeError, match="scale of a cosine must be a positive number; found"):
        ScaledMatchingNet(nn.Identity(), scale=scale)


def test_the_scale_is_learnt() -> None:
    learner = ScaledMatchingNet(nn.Identity(), scale=4).double()
    assert float(learner.log_scale.exp().detach()) == pytest.approx(4)
    learner.meta_backward(unbalanced_batch(), 0.0)
    assert learner.log_scale.grad is not None
    assert list(MatchingNet(nn.Identity()).parameters()) == []


@pytest.mark.parametrize("kind", [MatchingNet, ScaledMatchingNet])
def test_real_valued_targets_are_refused(kind: Callable[..., Learner]) -> None:
    with pytest.raises(RecipeError, match="learns classification tasks; found family 'regression'"):
        kind(nn.Identity(), family=Regression())
