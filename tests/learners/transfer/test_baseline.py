"""Baseline and Baseline++: by hand, against slow versions, the training with its head, and bad input."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.mlp import MLP
from kshot.episodes.family import Regression
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner
from kshot.learners.transfer.baseline import Baseline
from kshot.learners.transfer.baseline_plus_plus import STEPS, BaselinePlusPlus, CosineHead, fit_directions
from kshot.learners.transfer.item_training import ItemLearner


def task_of(N: int = 4, S: int = 11, Q: int = 6, D: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Two random tasks whose classes have different numbers of support items, in no order: support, labels, queries."""
    generator = torch.Generator().manual_seed(0)
    y = torch.stack([torch.cat([torch.arange(N), torch.randint(N, (S - N,), generator=generator)]) for _ in range(2)])
    y = y[:, torch.randperm(S, generator=generator)]
    return torch.randn(2, S, D, generator=generator).double(), y, torch.randn(2, Q, D, generator=generator).double()


def items_of(M: int = 12, D: int = 5, classes: int = 7) -> ItemBatch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(M, D, generator=generator, dtype=torch.float64)
    return ItemBatch(x, torch.randint(classes, (M,), generator=generator), classes, np.arange(M))


BOTH = [Baseline, BaselinePlusPlus]


# Adaptation.


def test_the_baseline_separates_what_a_line_separates() -> None:
    learner = Baseline(nn.Identity()).eval()
    support = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]]])
    task = learner.adapt(support, torch.tensor([[0, 0, 1, 1]]))
    assert learner.predict(task, torch.tensor([[[1.0, 9.0], [2.0, -9.0]]])).argmax(-1).tolist() == [[0, 1]]


def test_directions_of_two_items_are_their_own() -> None:
    # Two items at right angles: by symmetry w turns away from the other item by the same angle φ, and the slope
    # τ (1 - p) (cos φ - sin φ) of the loss 1 / (1 + e^{τ (cos φ + sin φ)}) is 0 at φ = 45°: w = (1, -1) / √2.
    task = fit_directions(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]).double(), torch.tensor([[0, 1]]), 2, scale=1.0)
    root = math.sqrt(0.5)
    torch.testing.assert_close(task.weights, torch.tensor([[[root, -root], [-root, root]]]).double(), rtol=1e-6, atol=1e-6)


def slow_directions(z: np.ndarray, y: np.ndarray, N: int, scale: float) -> np.ndarray:
    """The steps of `fit_directions` for one task, one class and item at a time."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    S = len(z)
    w = np.stack([z[y == k].mean(0) for k in range(N)])
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    bend = scale**2 / 2 * np.linalg.eigvalsh(z.T @ z / S).max()
    for _ in range(STEPS):
        slope = np.zeros_like(w)
        for i in range(S):
            e = np.exp(scale * np.array([z[i] @ w[k] for k in range(N)]))
            for k in range(N):
                slope[k] += scale * (e[k] / e.sum() - (y[i] == k)) * z[i] / S
        w = w - slope / bend
        w /= np.linalg.norm(w, axis=1, keepdims=True)
    return w


def test_directions_equal_the_slow_version() -> None:
    support, y, query = task_of()
    learner = BaselinePlusPlus(nn.Identity(), scale=4.0).eval()
    task = learner.adapt(support, y, way=4)
    for b in range(2):
        w = slow_directions(support[b].numpy(), y[b].numpy(), 4, 4.0)
        np.testing.assert_allclose(task.weights[b].numpy(), w, rtol=1e-8, atol=1e-10)
        q = query[b].numpy() / np.linalg.norm(query[b].numpy(), axis=1, keepdims=True)
        np.testing.assert_allclose(learner.predict(task, query)[b].numpy(), 4 * q @ w.T, rtol=1e-8, atol=1e-9)


def test_every_step_of_directions_lowers_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    support, y, _ = task_of(N=4, S=20)
    z, losses = F.normalize(support, dim=-1), []
    for steps in (0, 1, 2, 5, 20, 100):
        monkeypatch.setattr("kshot.learners.transfer.baseline_plus_plus.STEPS", steps)
        task = fit_directions(support, y, 4, 10.0)
        losses.append(F.cross_entropy((10 * z @ task.weights.mT).flatten(0, 1), y.flatten()).item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", BOTH)
def test_renumbering_the_classes_permutes_the_logits(kind: Callable[..., Learner]) -> None:
    support, y, query = task_of()
    learner, new_label = kind(nn.Identity()).eval(), torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(support, new_label[y], way=4), query)
    torch.testing.assert_close(renumbered[..., new_label], learner.predict(learner.adapt(support, y, way=4), query))


@pytest.mark.parametrize("kind", BOTH)
def test_a_class_without_support_items_is_never_the_answer(kind: Callable[..., Learner]) -> None:
    support, y, query = task_of()
    learner = kind(nn.Identity()).eval()
    logits = learner.predict(learner.adapt(support, y, way=5), query)
    assert bool((logits[..., 4] == -math.inf).all())
    torch.testing.assert_close(logits[..., :4], learner.predict(learner.adapt(support, y, way=4), query))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_features_tie(kind: Callable[..., Learner], value: float) -> None:
    learner, items = kind(nn.Identity()).eval(), torch.full((1, 4, 3), value)
    logits = learner.predict(learner.adapt(items, torch.tensor([[0, 1, 2, 3]]), way=4), items)
    torch.testing.assert_close(logits, logits[:, :1, :1].expand_as(logits))


@pytest.mark.parametrize("kind", BOTH)
def test_one_class_alone_is_the_answer(kind: Callable[..., Learner]) -> None:
    learner = kind(nn.Identity()).eval()
    logits = learner.predict(learner.adapt(torch.rand(1, 3, 4), torch.zeros(1, 3, dtype=torch.int64)), torch.rand(1, 2, 4))
    assert logits.shape == (1, 2, 1)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_no_numbers_are_refused(kind: Callable[..., Learner], bad: float) -> None:
    support, y, _ = task_of()
    support[1, 2, 3] = bad
    with pytest.raises(DataError, match=r"the features of support item 2 of task 1 of the batch are not all finite\. Look at this item"):
        kind(nn.Identity()).eval().adapt(support, y, way=4)


# Training.


def test_the_baseline_s_training_is_classification_of_all_classes() -> None:
    torch.manual_seed(0)
    learner, batch = Baseline(MLP(5, (4,), 3).double()), items_of()
    trained = learner.for_training(batch).double()
    head = trained.get_submodule("head")
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features, head.bias.abs().max().item()) == (3, 7, 0)
    losses = trained.meta_backward(batch, 0.0)
    found = {name: value.grad.clone() for name, value in trained.named_parameters() if value.grad is not None}
    trained.zero_grad()
    expected = F.cross_entropy(learner.backbone(batch.x) @ head.weight.T + head.bias, batch.y, reduction="none")
    torch.testing.assert_close(losses, expected.detach())
    expected.mean().backward()
    for name, value in trained.named_parameters():
        torch.testing.assert_close(found[name], value.grad)


def test_a_cosine_head_by_hand() -> None:
    head = CosineHead(2, 3, scale=10.0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1], [-3.0, -4.0]]))
    torch.testing.assert_close(head(torch.tensor([[0.0, 7.0], [3.0, 4.0]])), torch.tensor([[0.0, 10.0, -8.0], [6.0, 8.0, -10.0]]))


@pytest.mark.parametrize("kind", BOTH)
def test_the_learner_has_no_head_and_says_how_it_is_trained(kind: Callable[..., ItemLearner]) -> None:
    learner, batch = kind(MLP(5, (4,), 3).double()), items_of()
    before = sorted(learner.state_dict())
    trained = learner.for_training(batch)
    assert sorted(learner.state_dict()) == before == sorted(f"backbone.{name}" for name in learner.backbone.state_dict())
    assert not any("class" in name for name in learner.arguments)
    assert len(trained.state_dict()) > len(before)
    with pytest.raises(RecipeError, match=rf"{kind.__name__} is trained as a classifier .* kshot\.start\(learner, plan, stream\)"):  # type: ignore[attr-defined]
        learner.meta_backward(batch, 0.0)


@pytest.mark.parametrize("kind", BOTH)
def test_a_backbone_without_one_vector_an_item_is_refused(kind: Callable[..., Learner]) -> None:
    with pytest.raises(
        RecipeError, match=r"needs a backbone that gives one vector per item, .* this one gives \(M, 5, 1\)\. Make one vector"
    ):
        kind(nn.Unflatten(1, (5, 1))).for_training(items_of())
    with pytest.raises(RecipeError, match=r"the backbone of .* cannot read one item of the training data"):
        kind(nn.Linear(4, 2).double()).for_training(items_of())


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Baseline, {"regularisation": 0.0}, "regularisation of a linear head must be a positive number; found 0.0"),
        (Baseline, {"regularisation": math.nan}, "must be a positive number; found nan"),
        (BaselinePlusPlus, {"scale": -1.0}, "the scale of a cosine must be a positive number; found -1.0"),
        (BaselinePlusPlus, {"training_scale": math.inf}, "the training_scale of a cosine must be a positive number; found inf"),
        (Baseline, {"family": Regression()}, "learns classification tasks; found family 'regression'"),
        (BaselinePlusPlus, {"family": Regression()}, "learns classification tasks"),
    ],
)
def test_bad_arguments_are_refused(kind: Callable[..., Learner], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        kind(nn.Identity(), **arguments)
