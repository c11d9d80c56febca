"""FEAT: by hand, against loops in NumPy, gradients by finite differences, missing classes, dropout, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import logits_of, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.learner import encode_tasks
from kshot.learners.metric.feat import FEAT
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.refinement.refined import Refined
from kshot.learners.refinement.soft_k_means import SoftKMeans


def small(**settings: Any) -> FEAT:
    torch.manual_seed(0)
    chosen = {"heads": 2, "dropout": 0.0, "temperature": 2.0, "contrast": 0.7, "contrast_temperature": 3.0, **settings}
    learner = FEAT(MLP(5, (7,), 6), features=6, **chosen).double()
    learner.set_to_set.drop_attention.p = 0.0
    with torch.no_grad():  # away from 1 and 0, so that they count in the tests
        learner.set_to_set.norm.weight.uniform_(0.5, 2)
        learner.set_to_set.norm.bias.normal_()
        learner.set_to_set.out.bias.normal_()
    return learner


def test_two_prototypes_by_hand() -> None:
    # W_q = W_k = 0: each prototype sees the mean of both. W_v and W_o are the identity: c' = norm(c + mean c).
    learner = FEAT(nn.Identity(), features=2, temperature=4.0).eval()
    layer = learner.set_to_set
    with torch.no_grad():
        for zero in (layer.query, layer.key):
            zero.weight.zero_()
        for identity in (layer.value, layer.out):
            identity.weight.copy_(torch.eye(2))
        layer.out.bias.zero_()
    task = learner.adapt(torch.tensor([[[4.0, 0.0], [0.0, 2.0], [0.0, 4.0]]]), torch.tensor([[0, 1, 1]]))
    # c = (4, 0) and (0, 3), with the mean (2, 3/2): sums (6, 3/2) and (2, 9/2), and of two numbers the norm leaves only their order.
    torch.testing.assert_close(task.centres, torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]]), rtol=1e-4, atol=1e-5)
    logits = learner.predict(task, torch.tensor([[[1.0, 1.0]]]))  # both are at a squared distance of 4
    torch.testing.assert_close(logits, torch.tensor([[[-1.0, -1.0]]]), rtol=1e-4, atol=1e-5)


def slow_set_to_set(learner: FEAT, x: np.ndarray) -> np.ndarray:
    """T of one set (m, D), vector by vector and head by head."""
    layer, D = learner.set_to_set, learner.features
    parts = [part.weight.detach().numpy() for part in (layer.query, layer.key, layer.value)]
    adapted = np.empty_like(x)
    for i in range(len(x)):
        seen = []
        for head in range(layer.heads):
            rows = slice(head * D, (head + 1) * D)
            query, keys, values = parts[0][rows] @ x[i], [parts[1][rows] @ other for other in x], [parts[2][rows] @ other for other in x]
            weights = np.array([math.exp(query @ key / math.sqrt(D)) for key in keys])
            seen.append(sum(weight * value for weight, value in zip(weights / weights.sum(), values, strict=True)))
        moved = x[i] + layer.out.weight.detach().numpy() @ np.concatenate(seen) + layer.out.bias.detach().numpy()
        normal = (moved - moved.mean()) / math.sqrt(moved.var() + layer.norm.eps)
        adapted[i] = normal * layer.norm.weight.detach().numpy() + layer.norm.bias.detach().numpy()
    return adapted


def slow_losses(learner: FEAT, batch: EpisodeBatch) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, Q, N) and losses (B,), by loops over the equations."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    every, losses = [], []
    for b in range(len(batch)):
        support, query = (learner.backbone(x[b]).detach().numpy() for x in (batch.support_x, batch.query_x))
        y, query_y = batch.support_y[b].numpy(), batch.query_y[b].numpy()
        centres = slow_set_to_set(learner, np.stack([support[y == k].mean(0) for k in range(batch.way)]))
        logits = np.array([[-((q - c) ** 2).sum() / 2.0 for c in centres] for q in query])
        items, labels = np.concatenate([support, query]), np.concatenate([y, query_y])
        near = np.stack([slow_set_to_set(learner, items[labels == k]).mean(0) for k in range(batch.way)])
        apart = np.array([[-((x - c) ** 2).sum() / 3.0 for c in near] for x in items])
        terms = []
        for scores, right in ((logits, query_y), (apart, labels)):
            terms.append(np.mean([np.log(np.exp(row).sum()) - row[k] for row, k in zip(scores, right, strict=True)]))
        every.append(logits)
        losses.append(terms[0] + 0.7 * terms[1])
    return np.stack(every), np.array(losses)


def test_logits_and_losses_equal_loops() -> None:
    learner, batch = small(), unbalanced_batch()
    logits, losses = slow_losses(learner, batch)
    np.testing.assert_allclose(learner.meta_backward(batch, 0.0).numpy(), losses, rtol=1e-10)
    with torch.no_grad():
        np.testing.assert_allclose(logits_of(learner.eval(), batch).numpy(), logits, rtol=1e-10)


@pytest.mark.slow
def test_the_gradient_equals_finite_differences() -> None:
    learner, batch = small(), unbalanced_batch(Q=4, S=6)
    learner.meta_backward(batch, 0.0)
    assert_gradient_of(lambda: float(slow_losses(learner, batch)[1].mean()), learner, per_parameter=3)


def test_without_contrast_the_loss_is_that_of_the_queries() -> None:
    learner, batch = small(contrast=0.0), unbalanced_batch()
    found = learner.meta_backward(batch, 0.0)
    torch.testing.assert_close(found, learner.family.loss(logits_of(learner, batch), batch.query_y).detach())


def test_renumbered_classes_permute_the_answers() -> None:
    learner, batch = small().eval(), unbalanced_batch()
    turned = EpisodeBatch(batch.support_x, (batch.support_y + 1) % 4, batch.query_x, batch.query_y, 4, batch.numbers)
    torch.testing.assert_close(logits_of(learner, turned), logits_of(learner, batch).roll(1, -1))


def test_a_class_without_support_items_is_never_chosen_and_looked_at_by_none() -> None:
    learner, batch = small().eval(), unbalanced_batch()
    more = EpisodeBatch(batch.support_x, batch.support_y, batch.query_x, batch.query_y, 6, batch.numbers)
    found = logits_of(learner, more)
    assert bool((found[..., 4:] == -torch.inf).all())
    torch.testing.assert_close(found[..., :4], logits_of(learner, batch))


def test_dropout_is_of_training_alone() -> None:
    learner, batch = small(dropout=0.5), unbalanced_batch()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(learner.meta_backward(batch, 0.0))
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])
    learner.eval()
    assert torch.equal(logits_of(learner, batch), logits_of(learner, batch))


def test_the_first_weights_are_those_of_the_authors() -> None:
    torch.manual_seed(0)
    layer = FEAT(nn.Identity(), features=200, heads=2).set_to_set
    for part in (layer.query, layer.key, layer.value):
        assert part.weight.shape == (400, 200)
        assert float(part.weight.detach().std()) == pytest.approx(math.sqrt(1 / 200), rel=0.02)
    assert float(layer.out.weight.detach().std()) == pytest.approx(math.sqrt(2 / 600), rel=0.02)
    assert (layer.drop.p, layer.drop_attention.p) == (0.5, 0.1)


def test_queries_refine_the_centres_before_they_look_at_each_other() -> None:
    learner, batch = small().eval(), unbalanced_batch()
    refined = Refined(learner, SoftKMeans(iterations=0))
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    found = refined.predict_together(refined.adapt(support, batch.support_y, way=4), query)
    torch.testing.assert_close(found, logits_of(learner, batch))
    assert not torch.allclose(found, logits_of(ProtoNet(learner.backbone).eval(), batch))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": 0}, "features must be 1 or more; found 0"),
        ({"heads": 0}, "the heads of FEAT must be 1 or more; found 0"),
        ({"heads": 65}, "the heads of FEAT must be 64 or less; found 65"),
        ({"dropout": 1.0}, "the dropout of FEAT must be a number from 0 up to, but not including, 1; found 1.0"),
        ({"temperature": 0.0}, "the temperature of FEAT must be a positive number; found 0.0"),
        ({"contrast": -1.0}, r"the contrast of FEAT must be 0 \(no contrastive term\) or a positive number; found -1.0"),
        ({"contrast_temperature": math.inf}, "the contrast_temperature of FEAT must be a positive number; found inf"),
        ({"family": Regression()}, "FEAT learns classification tasks; found family 'regression'"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        FEAT(nn.Identity(), **{"features": 2, **settings})


def test_a_backbone_of_other_features_is_refused() -> None:
    with pytest.raises(RecipeError, match="was built with features=2"):
        FEAT(nn.Identity(), features=2).encode(torch.ones(3, 5))
