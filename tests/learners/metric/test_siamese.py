"""Siamese networks: by hand, against loops in NumPy, gradients by finite differences, and what must not matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cases.batches import logits_of, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import RecipeError
from kshot.learners.metric.siamese import SiameseNet, pair_losses, weighted_distances


def learner_of(features: int = 5, *, odds: float = 1.0, backbone: nn.Module | None = None) -> SiameseNet:
    """In float64, with weights of either sign."""
    learner = SiameseNet(backbone or nn.Identity(), features=features, odds=odds).double()
    learner.alpha.data = torch.linspace(-2, 1, features, dtype=torch.float64)
    learner.b.data = torch.tensor(0.7, dtype=torch.float64)
    return learner


# By hand.


def test_the_best_item_of_a_class_speaks_for_it() -> None:
    learner = SiameseNet(nn.Identity(), features=2).double().eval()
    learner.alpha.data = torch.tensor([-1.0, 3.0]).double()
    learner.b.data = torch.tensor(2.0).double()
    # From the query (1, 1): to (1, 0) 0 and 1, so -0 + 3 + 2 = 5; to (4, 1) -3 + 0 + 2 = -1; to (0, 3) -1 + 6 + 2 = 7.
    support = torch.tensor([[[4.0, 1.0], [1.0, 0.0], [0.0, 3.0]]]).double()
    task = learner.adapt(learner.encode(support[0])[None], torch.tensor([[0, 0, 1]]), way=2)
    assert learner.predict(task, torch.tensor([[[1.0, 1.0]]]).double()).tolist() == [[[5.0, 7.0]]]


def test_losses_by_hand() -> None:
    # Items 0 and 1 are of one class, item 2 of another: one same pair with z = log 3, two different ones with z = 0 and -log 3.
    log3 = math.log(3)
    z = torch.tensor([[[99.0, log3, 0.0], [log3, 99.0, -log3], [0.0, -log3, 99.0]]]).double()
    y = torch.tensor([[1, 1, 0]])
    same, different = -math.log(3 / 4), (-math.log(1 / 2) - math.log(3 / 4)) / 2
    assert pair_losses(z, y, 1.0).item() == pytest.approx((same + different) / 2)
    # With odds 3 the loss sees z - log 3: 0 for the same pair, -log 3 and -2 log 3 for the others.
    same, different = -math.log(1 / 2), (-math.log(3 / 4) - math.log(9 / 10)) / 2
    assert pair_losses(z, y, 3.0).item() == pytest.approx((same + 3 * different) / 4)


def test_it_starts_as_a_distance_with_typical_pairs_undecided() -> None:
    learner = SiameseNet(nn.Identity(), features=64)
    assert bool((learner.alpha == learner.alpha[0]).all())
    assert float(learner.alpha[0].detach()) == pytest.approx(-0.35)
    # Two items that are 0.6 apart in each feature.
    assert float(learner.pair_logits(torch.zeros(1, 1, 64), torch.full((1, 1, 64), 0.6)).detach()) == pytest.approx(0, abs=1e-4)


# An independent version: loops in NumPy.


def slow_z(learner: SiameseNet, first: np.ndarray, second: np.ndarray) -> float:
    alpha = learner.alpha.detach().numpy()
    return float(sum(alpha[d] * abs(first[d] - second[d]) for d in range(len(alpha)))) + float(learner.b.detach())


def test_logits_equal_the_slow_version() -> None:
    batch, learner = unbalanced_batch(B=3), learner_of().eval()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()
    expected = np.full((3, 6, 4), -math.inf)
    for b in range(3):
        for q in range(6):
            for i in range(11):
                expected[b, q, y[b, i]] = max(expected[b, q, y[b, i]], slow_z(learner, query[b, q], support[b, i]))
    np.testing.assert_allclose(logits_of(learner, batch).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("odds", [1.0, 20.0])
def test_losses_equal_the_slow_version(odds: float) -> None:
    batch, learner = unbalanced_batch(B=3), learner_of(odds=odds, backbone=MLP(5, (4,), 5)).train()
    found = learner.meta_backward(batch, 0.0)
    for b in range(3):
        items = torch.cat([batch.support_x[b], batch.query_x[b]])  # type: ignore[index]
        y = torch.cat([batch.support_y[b], batch.query_y[b]]).numpy()
        h = learner.encode(items).detach().numpy()
        losses: dict[bool, list[float]] = {True: [], False: []}
        for i in range(len(y)):
            for j in range(i):
                p = 1 / (1 + odds * math.exp(-slow_z(learner, h[i], h[j])))  # among pairs drawn 1 : odds
                same = bool(y[i] == y[j])
                losses[same].append(-math.log(p) if same else -math.log(1 - p))
        expected = (np.mean(losses[True]) + odds * np.mean(losses[False])) / (1 + odds)
        assert float(found[b]) == pytest.approx(expected, rel=1e-10)


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(-3, 3), min_size=1, max_size=5))
def test_weighted_distances_are_what_they_are_called(B: int, P: int, R: int, signs: list[int]) -> None:
    generator = torch.Generator().manual_seed(P + 5 * R)
    first, second = (torch.randn(B, n, len(signs), generator=generator, dtype=torch.float64) for n in (P, R))
    alpha = torch.tensor(signs).double()
    expected = ((first.unsqueeze(2) - second.unsqueeze(1)).abs() * alpha).sum(-1)
    torch.testing.assert_close(weighted_distances(first, second, alpha), expected, rtol=1e-12, atol=1e-12)


# Gradients.


@pytest.mark.parametrize("alpha", [[-1.0, 2.0, -0.5], [-1.0, -2.0, -0.5], [1.0, 2.0, 0.5]])
def test_gradients_of_the_distances_by_finite_differences(alpha: list[float]) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2, n, 3, generator=generator, dtype=torch.float64, requires_grad=True) for n in (4, 3))
    assert torch.autograd.gradcheck(weighted_distances, (first, second, torch.tensor(alpha, dtype=torch.float64, requires_grad=True)))


def test_meta_backward_is_the_gradient_of_the_mean_loss() -> None:
    torch.manual_seed(0)
    batch, learner = unbalanced_batch(), learner_of(odds=5.0, backbone=MLP(5, (4,), 5)).train()
    y = torch.cat([batch.support_y, batch.query_y], 1)

    def mean_loss() -> float:
        with torch.no_grad():
            items = torch.cat([batch.support_x, batch.query_x], 1)  # type: ignore[list-item]
            h = learner.encode(items.flatten(0, 1)).reshape(*y.shape, 5)
            z = ((h.unsqueeze(2) - h.unsqueeze(1)).abs() * learner.alpha).sum(-1) + learner.b
            return float(pair_losses(z, y, 5.0).mean())

    assert float(learner.meta_backward(batch, 0.0).mean()) == pytest.approx(mean_loss(), rel=1e-12)
    assert_gradient_of(mean_loss, learner)


# What must not matter.


def test_renumbering_the_classes_permutes_the_logits() -> None:
    batch, learner = unbalanced_batch(), learner_of().eval()
    new_label = torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=4), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_a_pair_is_the_same_either_way_round() -> None:
    batch, learner = unbalanced_batch(), learner_of()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    torch.testing.assert_close(
        learner.pair_logits(batch.support_x, batch.query_x), learner.pair_logits(batch.query_x, batch.support_x).mT, rtol=0, atol=1e-12
    )


def test_which_items_are_support_does_not_matter_in_training() -> None:
    batch = unbalanced_batch(S=6, Q=6)
    swapped = EpisodeBatch(batch.query_x, batch.query_y, batch.support_x, batch.support_y, 4, batch.numbers)
    losses = [learner_of().train().requires_grad_().meta_backward(tasks, 0.0) for tasks in (batch, swapped)]
    torch.testing.assert_close(*losses)


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    torch.manual_seed(0)
    batch, learner = unbalanced_batch(dtype=torch.float32), SiameseNet(MLP(5, (16,), 8), features=8)
    full = learner.meta_backward(batch, 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.02)


# Bad input.


def test_a_class_without_support_items_is_never_the_answer() -> None:
    batch, learner = unbalanced_batch(), learner_of().eval()
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y, way=5), batch.query_x)
    assert bool((logits[..., 4] == -math.inf).all())
    torch.testing.assert_close(logits[..., :4], logits_of(learner, batch))


@pytest.mark.parametrize(("y", "weight"), [([0, 1, 2], 2 / 3), ([1, 1, 1], 1 / 3)])
def test_a_kind_without_a_pair_gives_nothing(y: list[int], weight: float) -> None:
    z = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    loss = pair_losses(z, torch.tensor([y]), 2.0)
    p = 1 / 3  # z = 0 half and half is log odds of -log 2 among pairs drawn 1 : 2
    assert loss.item() == pytest.approx(-weight * math.log(1 - p if weight > 0.5 else p))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


def test_constant_features_give_b() -> None:
    learner = learner_of().eval()
    task = learner.adapt(torch.full((1, 3, 5), 2.0).double(), torch.tensor([[0, 1, 1]]), way=2)
    assert learner.predict(task, torch.full((1, 2, 5), 2.0).double()).flatten().tolist() == pytest.approx([0.7] * 4)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5)])
def test_another_number_of_features_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match=r"built with features=4; its backbone gives .* per item\. Set features to the number"):
        SiameseNet(nn.Identity(), features=4).encode(torch.zeros(shape))


@pytest.mark.parametrize("odds", [0.0, -1.0, math.nan, math.inf])
def test_odds_that_are_not_positive_are_refused(odds: float) -> None:
    with pytest.raises(RecipeError, match="odds of different to same pairs must be a positive number; found"):
        SiameseNet(nn.Identity(), features=2, odds=odds)


def test_no_features_and_other_families_are_refused() -> None:
    with pytest.raises(RecipeError, match="features must be at least 1; found 0"):
        SiameseNet(nn.Identity(), features=0)
    with pytest.raises(RecipeError, match="SiameseNet learns classification tasks"):
        SiameseNet(nn.Identity(), features=2, family=Regression())
    assert SiameseNet(nn.Identity(), features=2).family == Classification()
