"""Relation networks: by hand, against loops in NumPy, against pairs written out, gradients, losses, and what must not matter."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cases.batches import logits_of, unbalanced_batch
from kshot.backbones.conv4_maps import Conv4Maps
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import RecipeError
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, EPISODIC, FIRST, INDUCTIVE, UNORDERED, check_learner
from kshot.learners.metric import relation as module
from kshot.learners.metric.relation import RelationNet, mean_maps, normalised_halves

batch_of = partial(unbalanced_batch, shape=(2, 6, 5), N=3, S=8, Q=5)


def learner_of(features: int = 2, *, width: int = 4, hidden: int = 3, loss: str = "squared") -> RelationNet:
    """In float64, with parameters and running statistics that are all different from one another."""
    torch.manual_seed(1)
    learner = RelationNet(nn.Identity(), features=features, width=width, hidden=hidden, loss=loss).double()
    with torch.no_grad():
        for name, value in learner.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value) / 2)
    return learner


# By hand.


def test_one_feature_and_one_filter_by_hand() -> None:
    learner = RelationNet(nn.Identity(), features=1, width=1, hidden=1).double().eval()
    for value in learner.parameters():
        nn.init.zeros_(value)
    with torch.no_grad():
        learner.conv1.weight[0, :, 1, 1] = torch.tensor([2.0, -1.0])  # of a vector, a 1×1 map, only the middle of a filter is read
        learner.conv1.bias.fill_(1.0)  # type: ignore[union-attr]
        for norm in (learner.norm1, learner.norm2):
            norm.weight.fill_(3.0)
            norm.eps = 0.0  # running mean 0, variance 1
        learner.conv2.weight[0, 0, 1, 1] = 0.5
        learner.norm2.bias.fill_(-4.0)
        learner.fc1.weight.fill_(1.0)
        learner.fc2.weight.fill_(10.0)
        learner.fc2.bias.fill_(-7.0)
    # Class 0: the mean of 1 and 3 is 2. Class 1: 0. Query 3.
    task = learner.adapt(learner.encode(torch.tensor([[1.0], [0.0], [3.0]]).double())[None], torch.tensor([[0, 1, 0]]), way=2)
    assert task.halves.flatten().tolist() == [5.0, 1.0]  # 2 c + 1
    # With class 0: 5 - 3 = 2, · 3 = 6, · 0.5 = 3, · 3 - 4 = 5, · 10 - 7 = 43. With class 1: 1 - 3 < 0 becomes 0, -4 becomes 0, -7.
    logits = learner.predict(task, learner.encode(torch.tensor([[3.0]]).double())[None])
    assert logits.tolist() == [[[43.0, -7.0]]]


def test_losses_by_hand() -> None:
    learner, batch = learner_of().train(), batch_of(B=2, N=3, Q=2)
    nn.init.zeros_(learner.fc2.weight)
    nn.init.constant_(learner.fc2.bias, math.log(3))  # r = 3/4 for every pair
    # (3/4 - 1)² for the right class, (3/4)² for the two others.
    expected = ((1 / 4) ** 2 + 2 * (3 / 4) ** 2) / 3
    assert learner.meta_backward(batch, 0.0).tolist() == pytest.approx([expected] * 2)
    other = learner_of(loss="cross-entropy").train()
    other.load_state_dict(learner.state_dict())
    assert other.meta_backward(batch, 0.0).tolist() == pytest.approx([math.log(3)] * 2)  # equal logits of three classes


# An independent version: loops in NumPy, with the pair's two maps put together.


def slow_conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    C, H, W = x.shape
    padded = np.zeros((C, H + 2, W + 2))
    padded[:, 1:-1, 1:-1] = x
    found = np.zeros((len(weight), H, W))
    for f in range(len(weight)):
        for i in range(H):
            for j in range(W):
                found[f, i, j] = (padded[:, i : i + 3, j : j + 3] * weight[f]).sum() + bias[f]
    return found


def slow_block(x: np.ndarray, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> np.ndarray:
    assert conv.bias is not None
    x = slow_conv(x, conv.weight.detach().numpy(), conv.bias.detach().numpy())
    mean, variance, scale, shift = (value.detach().numpy() for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias))  # type: ignore[union-attr]
    for f in range(len(x)):
        x[f] = (x[f] - mean[f]) / math.sqrt(variance[f] + norm.eps) * scale[f] + shift[f]
    x = np.maximum(x, 0)
    F_, H, W = x.shape
    if min(H, W) < 2:
        return x
    found = np.zeros((F_, H // 2, W // 2))
    for i in range(H // 2):
        for j in range(W // 2):
            found[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2))
    return found


def slow_logits(learner: RelationNet, batch: EpisodeBatch) -> np.ndarray:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()
    logits = np.zeros((len(batch), query.shape[1], batch.way))
    first, last = learner.fc1, learner.fc2
    for b in range(len(batch)):
        for k in range(batch.way):
            of_class = [support[b, i] for i in range(support.shape[1]) if y[b, i] == k]
            centre = sum(of_class) / len(of_class)
            for q in range(query.shape[1]):
                x = slow_block(np.concatenate([centre, query[b, q]]), learner.conv1, learner.norm1)
                x = slow_block(x, learner.conv2, learner.norm2).mean((1, 2))
                x = np.maximum(first.weight.detach().numpy() @ x + first.bias.detach().numpy(), 0)
                logits[b, q, k] = (last.weight.detach().numpy() @ x + last.bias.detach().numpy()).item()
    return logits


@pytest.mark.parametrize(("H", "W"), [(7, 7), (6, 4), (3, 2), (5, 1), (1, 1), (9, 11)])
def test_equals_the_slow_version(H: int, W: int) -> None:
    batch, learner = batch_of(shape=(2, H, W)), learner_of().eval()
    np.testing.assert_allclose(logits_of(learner, batch).detach().numpy(), slow_logits(learner, batch), rtol=1e-10, atol=1e-12)


# In training: against pairs written out and stock modules.


def plain_logits(learner: RelationNet, batch: EpisodeBatch) -> Tensor:
    """Every pair as a tensor of its own, put together in channels, through stock modules."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    B, Q, C, H, W = batch.query_x.shape
    N = batch.way
    assert N is not None
    member = F.one_hot(batch.support_y, N).double()
    centres = torch.einsum("bsn,bschw->bnchw", member, batch.support_x) / member.sum(1)[:, :, None, None, None]
    centres = centres.unsqueeze(1).expand(B, Q, N, C, H, W)
    x = torch.cat([centres, batch.query_x.unsqueeze(2).expand(B, Q, N, C, H, W)], 3).reshape(B * Q * N, 2 * C, H, W)
    x = F.max_pool2d(F.relu(learner.norm1(learner.conv1(x))), 2)
    x = F.max_pool2d(F.relu(learner.norm2(learner.conv2(x))), 2)
    logits: Tensor = learner.fc2(F.relu(learner.fc1(x.mean((2, 3)))))
    return logits.view(B, Q, N)


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
@pytest.mark.parametrize("B", [1, 3])
def test_a_training_step_equals_that_of_pairs_written_out(B: int, loss: str) -> None:
    batch = batch_of(B=B, shape=(2, 7, 9))
    mine, plain = (learner_of(loss=loss).train() for _ in range(2))
    losses = mine.meta_backward(batch, 0.0)
    logits = plain_logits(plain, batch)
    if loss == "squared":
        target = torch.zeros_like(logits).scatter(2, batch.query_y.unsqueeze(2), 1.0)
        expected = F.mse_loss(logits.sigmoid(), target, reduction="none").mean((1, 2))
    else:
        expected = F.cross_entropy(logits.movedim(2, 1), batch.query_y, reduction="none").mean(1)
    expected.mean().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-10, atol=1e-12)
    for (name, found), wanted in zip(mine.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-7, atol=1e-10, msg=name)
        assert found.grad is not None
    for (name, buffer), wanted_buffer in zip(mine.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, wanted_buffer, rtol=1e-10, atol=1e-12, msg=name)


@settings(max_examples=40)
@given(*(st.integers(1, 4) for _ in range(5)), st.booleans())
def test_normalised_halves_add_to_the_normalised_sums(B: int, N: int, Q: int, H: int, W: int, training: bool) -> None:
    generator = torch.Generator().manual_seed(B + 5 * N + 25 * Q + 125 * H + 625 * W)
    classes, queries = (torch.randn(B, n, H, W, 3, generator=generator, dtype=torch.float64) for n in (N, Q))
    mine, stock = (nn.BatchNorm2d(3).double().train(training) for _ in range(2))
    for norm in (mine, stock):
        norm.weight.data = torch.tensor([1.0, -2.0, 0.5]).double()
        norm.bias.data = torch.tensor([0.0, 3.0, -1.0]).double()
    sums = (queries.unsqueeze(2) + classes.unsqueeze(1)).flatten(0, 2)  # (B·Q·N, H, W, F)
    a, b = normalised_halves(classes, queries, mine)
    found = (b.unsqueeze(2) + a.unsqueeze(1)).flatten(0, 2)
    if training and sums[..., 0].numel() == 1:  # stock batch normalisation refuses one number a filter: it is its own mean
        torch.testing.assert_close(found, mine.bias.expand_as(found))
        return
    expected = stock(sums.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    for got, wanted in zip(mine.buffers(), stock.buffers(), strict=True):
        torch.testing.assert_close(got, wanted)


def test_gradients_of_the_normalisation_by_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    classes, queries = (torch.randn(2, n, 2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    norm = nn.BatchNorm2d(2).double().train()
    norm.weight.data = torch.tensor([1.5, -2.0]).double()
    assert torch.autograd.gradcheck(lambda c, q: normalised_halves(c, q, norm), (classes, queries))


# What must not matter, and the contract for maps.


@pytest.mark.slow
def test_the_contract_holds_for_maps() -> None:
    torch.manual_seed(0)
    held = check_learner(RelationNet(Conv4Maps(width=4), features=4, width=4))
    assert sorted(held) == sorted({**FIRST, **ALWAYS, **CLASSIFICATION, **INDUCTIVE, **UNORDERED, **EPISODIC})


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_how_many_pairs_are_compared_at_once_does_not_matter(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, learner = batch_of(Q=11), learner_of().eval()
    whole = logits_of(learner, batch)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", at_once)
    torch.testing.assert_close(logits_of(learner, batch), whole, rtol=1e-12, atol=1e-12)


def test_evaluation_uses_memory_for_few_pairs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, sizes = learner_of().eval(), []
    learner.conv2.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 20)
    logits_of(learner, batch_of(B=2, N=3, Q=50))
    assert max(sizes) <= 20
    assert sum(sizes) == 2 * 3 * 50


def test_shots_of_the_same_item_answer_as_one_shot() -> None:
    # The sum of the paper would not: it is why c_k is the mean.
    batch, learner = batch_of(S=3), learner_of().eval()
    assert isinstance(batch.support_x, Tensor)
    five = learner.adapt(batch.support_x.repeat(1, 5, 1, 1, 1), batch.support_y.repeat(1, 5), way=3)
    one = learner.adapt(batch.support_x, batch.support_y, way=3)
    torch.testing.assert_close(five.halves, one.halves)


def test_renumbering_the_classes_permutes_the_logits() -> None:
    batch, learner = batch_of(), learner_of().eval()
    new_label = torch.tensor([2, 0, 1])
    task = learner.adapt(batch.support_x, new_label[batch.support_y], way=3)
    renumbered = learner.predict(task, batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_vectors_are_maps_of_one_position() -> None:
    learner = learner_of(features=3).eval()
    vectors = torch.randn(4, 3, dtype=torch.float64)
    assert torch.equal(learner.encode(vectors), vectors[:, :, None, None])


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    torch.manual_seed(0)
    batch = batch_of(dtype=torch.float32)
    learner = RelationNet(nn.Identity(), features=2, width=8).train()
    full = learner.meta_backward(batch, 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert all(value.dtype == torch.float32 for value in learner.buffers() if value.is_floating_point())
    torch.testing.assert_close(short.float(), full, rtol=0.05, atol=0.02)


# Bad input.


@pytest.mark.parametrize("training", [True, False])
def test_a_class_without_support_items_is_never_the_answer(training: bool) -> None:
    batch, learner = batch_of(), learner_of().train(training)
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y, way=4), batch.query_x)
    assert bool((logits[..., 3] == -math.inf).all())
    assert bool(logits[..., :3].isfinite().all())
    if not training:
        torch.testing.assert_close(logits[..., :3], logits_of(learner, batch))


def test_training_with_a_class_without_support_items_stays_finite() -> None:
    batch, learner = batch_of(), learner_of().train()
    wider = EpisodeBatch(batch.support_x, batch.support_y, batch.query_x, batch.query_y, 4, batch.numbers)
    assert bool(learner.meta_backward(wider, 0.0).isfinite().all())
    assert all(bool(value.grad.isfinite().all()) for value in learner.parameters() if value.grad is not None)


def test_the_mean_of_each_class() -> None:
    features = torch.arange(3.0).view(1, 3, 1, 1, 1)
    means, known = mean_maps(features, torch.tensor([[2, 0, 2]]), 4)
    assert means.flatten().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert known.tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3)])
def test_another_number_of_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match=r"built with features=5 and expects .* per item\. Set features to the number"):
        RelationNet(nn.Identity(), features=5).encode(torch.zeros(shape))


@pytest.mark.parametrize("name", ["features", "width", "hidden"])
def test_a_count_below_one_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name} must be at least 1; found 0"):
        RelationNet(nn.Identity(), **{"features": 2, name: 0})  # type: ignore[arg-type]


def test_another_loss_or_family_is_refused() -> None:
    with pytest.raises(RecipeError, match="one of squared, cross-entropy; found 'hinge'"):
        RelationNet(nn.Identity(), features=2, loss="hinge")
    with pytest.raises(RecipeError, match="RelationNet learns classification tasks"):
        RelationNet(nn.Identity(), features=2, family=Regression())
    assert RelationNet(nn.Identity(), features=2).family == Classification()
