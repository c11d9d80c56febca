"""Prototypical networks: by hand, against loops in NumPy, gradients by finite differences, and what the precision may not cost."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.conv4 import Conv4
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import RecipeError
from kshot.learners.heads.centres import class_means, cosines, squared_distances
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet

# By hand.


def test_prototypes_and_probabilities_by_hand() -> None:
    learner = ProtoNet(nn.Identity()).eval()
    # Class 0: (0, 0), (2, 0) → (1, 0). Class 1: (0, 3), (0, 5), (3, 4) → (1, 4). Not balanced, not in order.
    support = torch.tensor([[[0.0, 3.0], [0.0, 0.0], [0.0, 5.0], [2.0, 0.0], [3.0, 4.0]]])
    task = learner.adapt(learner.encode(support[0])[None], torch.tensor([[1, 0, 1, 0, 1]]), way=2)
    assert task.centres.tolist() == [[[1.0, 0.0], [1.0, 4.0]]]
    # (1, 1) is 1 from the first and 9 from the second (squared); (1, 2) is 4 from both.
    logits = learner.predict(task, torch.tensor([[[1.0, 1.0], [1.0, 2.0]]]))
    assert logits.tolist() == [[[-1.0, -9.0], [-4.0, -4.0]]]
    # exp(-1) / (exp(-1) + exp(-9)) = 1 / (1 + exp(-8)) = 0.99966...
    probabilities = logits.softmax(-1)
    assert probabilities[0, 0].tolist() == pytest.approx([1 / (1 + math.exp(-8)), 1 / (1 + math.exp(8))])
    assert probabilities[0, 1].tolist() == [0.5, 0.5]
    # The loss of labels (0, 1) is the mean of log(1 + exp(-8)) and log 2.
    loss = Classification().loss(logits, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx((math.log1p(math.exp(-8)) + math.log(2)) / 2)


def test_cosine_by_hand() -> None:
    learner = CosineProtoNet(nn.Identity(), scale=10.0).eval()
    task = learner.adapt(torch.tensor([[[3.0, 0.0], [0.0, 2.0], [1.0, 0.0]]]), torch.tensor([[0, 1, 0]]), way=2)
    assert task.centres.tolist() == [[[2.0, 0.0], [0.0, 2.0]]]
    # (3, 4) has cosine 3/5 with the first axis and 4/5 with the second, whatever the lengths.
    logits = learner.predict(task, torch.tensor([[[3.0, 4.0], [-0.1, 0.0]]]))
    assert logits[0].tolist() == [pytest.approx([6.0, 8.0]), pytest.approx([-10.0, 0.0])]


def test_the_class_without_support_items_is_not_a_number_and_the_others_are() -> None:
    centres = class_means(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[0, 2]]), 3)
    assert centres[0, [0, 2]].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert centres[0, 1].isnan().all()


# An independent version: loops in NumPy, straight from the equations.


def slow_logits(batch: EpisodeBatch, compare: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()
    logits = np.zeros((len(batch), query.shape[1], batch.way))
    for b in range(len(batch)):
        for k in range(batch.way):
            of_class = [support[b, i] for i in range(support.shape[1]) if y[b, i] == k]
            centre = sum(of_class) / len(of_class)  # (1)
            for q in range(query.shape[1]):
                logits[b, q, k] = compare(query[b, q], centre)
    return logits


def minus_squared_distance(a: np.ndarray, b: np.ndarray) -> float:
    return -sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))


def ten_cosines(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * float(np.dot(a, b)) / math.sqrt(float(np.dot(a, a)) * float(np.dot(b, b)))


@pytest.mark.parametrize(("kind", "compare"), [(ProtoNet, minus_squared_distance), (CosineProtoNet, ten_cosines)])
def test_equals_the_slow_version(kind: type[Learner], compare: Callable[[np.ndarray, np.ndarray], float]) -> None:
    batch = unbalanced_batch(B=3, N=5, S=17, Q=9, shape=(8,))
    learner = kind(nn.Identity()).double().eval()
    for log_scale in learner.parameters():
        nn.init.constant_(log_scale, math.log(10))  # in float64, where the start is float32
    expected = slow_logits(batch, compare)
    np.testing.assert_allclose(logits_of(learner, batch).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    # Equation (2) and the loss of Algorithm 1, too.
    losses = []
    for b in range(3):
        parts = []
        for q in range(9):
            weights = [math.exp(value) for value in expected[b, q]]
            parts.append(-math.log(weights[int(batch.query_y[b, q])] / sum(weights)))
        losses.append(sum(parts) / 9)
    found = learner.family.loss(logits_of(learner, batch), batch.query_y)
    np.testing.assert_allclose(found.detach().numpy(), losses, rtol=1e-10)


# Gradients.


@pytest.mark.parametrize("compare", [squared_distances, cosines])
def test_gradients_of_the_kernels_by_finite_differences(compare: Callable[[Tensor, Tensor], Tensor]) -> None:
    batch = unbalanced_batch(S=6, Q=3, shape=(3,))
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)

    def losses(support: Tensor, query: Tensor) -> Tensor:
        return compare(query, class_means(support, batch.support_y, 4))

    assert torch.autograd.gradcheck(losses, (batch.support_x.requires_grad_(), batch.query_x.requires_grad_()))


@pytest.mark.parametrize("kind", [ProtoNet, CosineProtoNet])
def test_meta_backward_is_the_gradient_of_the_mean_loss(kind: type[Learner]) -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch()
    learner = kind(MLP(5, (4,), 3)).double().train()

    losses = learner.meta_backward(batch, 0.0)
    assert losses.shape == (2,)
    assert float(losses.mean()) == pytest.approx(query_loss(learner, batch), rel=1e-12)
    assert_gradient_of(partial(query_loss, learner, batch), learner)


def test_meta_backward_adds_to_the_gradient() -> None:
    torch.manual_seed(0)
    batch, learner = unbalanced_batch(), ProtoNet(MLP(5, (4,), 3)).double()
    learner.meta_backward(batch, 0.0)
    once = [parameter.grad.clone() for parameter in learner.parameters() if parameter.grad is not None]
    learner.meta_backward(batch, 0.0)
    twice = [parameter.grad for parameter in learner.parameters()]
    assert len(once) == len(twice)
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(b, 2 * a)


# What must not matter.


@pytest.mark.parametrize("kind", [ProtoNet, CosineProtoNet])
def test_renumbering_the_classes_permutes_the_logits(kind: type[Learner]) -> None:
    batch = unbalanced_batch()
    learner = kind(nn.Identity()).double().eval()
    new_label = torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=4), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_the_order_of_support_items_does_not_matter() -> None:
    batch = unbalanced_batch()
    assert isinstance(batch.support_x, Tensor)
    learner = ProtoNet(nn.Identity()).double().eval()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    turned = learner.adapt(batch.support_x[:, order], batch.support_y[:, order], way=4)
    torch.testing.assert_close(turned.centres, learner.adapt(batch.support_x, batch.support_y, way=4).centres)


# Precision.


def test_under_bfloat16_autocast_distances_stay_float32() -> None:
    # Far from the origin ‖q‖² - 2 q·c + ‖c‖² cancels: in bfloat16, with 8 bits, nothing would be left of a distance of 2.
    queries = torch.full((1, 1, 64), 8.0) + torch.eye(1, 64)
    centres = torch.full((1, 2, 64), 8.0) + torch.eye(64)[1:3]
    with torch.autocast("cpu", torch.bfloat16):
        distances = squared_distances(queries, centres)
        means = class_means(queries, torch.tensor([[0]]), 1)
    assert distances.dtype == means.dtype == torch.float32
    assert distances.flatten().tolist() == pytest.approx([2.0, 2.0], abs=0.01)
    assert torch.equal(means, queries)
    with torch.autocast("cpu", torch.bfloat16):
        assert cosines(queries, centres).dtype == torch.float32
    assert squared_distances(queries.bfloat16(), centres.bfloat16()).dtype == torch.float32
    assert squared_distances(queries.double(), centres.double()).dtype == torch.float64


@pytest.mark.parametrize("kind", [ProtoNet, CosineProtoNet])
def test_a_training_step_under_autocast_agrees_with_the_full_one(kind: type[Learner]) -> None:
    torch.manual_seed(0)
    batch = unbalanced_batch(dtype=torch.float32)
    learner = kind(MLP(5, (16,), 8))
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.02)
    assert not torch.equal(short, full)  # autocast was at work in the network


# Construction.


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(RecipeError, match="scale of a cosine must be a positive number; found"):
        CosineProtoNet(nn.Identity(), scale=scale)


def test_the_scale_is_learnt_and_starts_where_it_was_put() -> None:
    learner = CosineProtoNet(nn.Identity(), scale=4)
    assert [name for name, _ in learner.named_parameters()] == ["log_scale"]
    assert float(learner.log_scale.exp().detach()) == pytest.approx(4)
    learner.meta_backward(unbalanced_batch(), 0.0)
    assert learner.log_scale.grad is not None


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(5).repeat(2, 3)
    x = torch.rand(2, 5, 1, 28, 28, generator=generator).repeat(1, 3, 1, 1, 1)
    x = x + 0.5 * torch.randn(x.shape, generator=generator)
    batch = EpisodeBatch(x[:, :5], y[:, :5], x[:, 5:], y[:, 5:], 5, np.arange(2))
    learner = ProtoNet(Conv4(width=4)).train()
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(float(learner.meta_backward(batch, 0.0).mean()))
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_real_valued_targets_are_refused() -> None:
    with pytest.raises(RecipeError, match="ProtoNet learns classification tasks; found family 'regression'"):
        ProtoNet(nn.Identity(), family=Regression())
