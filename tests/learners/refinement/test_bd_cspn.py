"""Prototype rectification: by hand, against loops in NumPy, and what it takes for granted."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.bd_cspn import PrototypeRectification
from kshot.learners.refinement.soft_k_means import SoftKMeans


def compare(queries: Tensor, centres: Tensor) -> Tensor:
    return -squared_distances(queries, centres)


def examples(features: list[list[float]], labels: list[int], way: int) -> Examples:
    y = torch.nn.functional.one_hot(torch.tensor([labels]), way)
    return Examples(torch.tensor([features]).double(), y.double())


def test_by_hand() -> None:
    # Class 0 at (1, 0), class 1 at (0, 1); one query at (1.2, 1.6), nearer to class 1. With ε = 1, its cosine with (0, 1) is 0.8, and the
    # support item's is 1: the new centre is (e · (0, 1) + e^0.8 · (1.2, 1.6)) / (e + e^0.8).
    task, query = examples([[1.0, 0.0], [0.0, 1.0]], [0, 1], 2), torch.tensor([[[1.2, 1.6]]]).double()
    share = math.exp(0.8) / (math.e + math.exp(0.8))
    centre = np.array([1.2 * share, 1 - share + 1.6 * share])
    expected = [-(0.2**2 + 1.6**2), -(((np.array([1.2, 1.6]) - centre) ** 2).sum())]
    found = PrototypeRectification(scale=1.0, shift=False)(compare, task, query)
    torch.testing.assert_close(found, torch.tensor([[expected]]).double())


def test_the_shift_undoes_a_change_of_light() -> None:
    task = examples([[0.0, 0.0], [4.0, 0.0]], [0, 1], 2)
    queries = torch.tensor([[[3.0, 9.0], [7.0, 9.0]]]).double()  # the same two places, moved by (3, 9)
    moved, unmoved = (PrototypeRectification(surest=0, shift=shift)(compare, task, queries) for shift in (True, False))
    torch.testing.assert_close(moved, torch.tensor([[[0.0, -16.0], [-16.0, 0.0]]]).double())
    assert unmoved.argmax(-1).tolist() == [[1, 1]]


def slow_answers(support: np.ndarray, y: np.ndarray, queries: np.ndarray, way: int, setting: PrototypeRectification) -> np.ndarray:
    """One task, in loops."""
    if setting.shift:
        queries = queries + support.mean(0) - queries.mean(0)
    means = [np.mean([support[i] for i in range(len(y)) if y[i] == n], axis=0) for n in range(way)]
    logits = np.array([[-((x - mean) ** 2).sum() for mean in means] for x in queries])
    probability = np.exp(logits - logits.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    centres = []
    for n in range(way):
        own = [j for j in range(len(queries)) if logits[j].argmax() == n]
        own = sorted(own, key=lambda j: -probability[j, n])[: setting.surest]
        members = [support[i] for i in range(len(y)) if y[i] == n] + [queries[j] for j in own]
        weights = [math.exp(setting.scale * float(x @ means[n] / np.linalg.norm(x) / np.linalg.norm(means[n]))) for x in members]
        centres.append(sum(weight * x for weight, x in zip(weights, members, strict=True)) / sum(weights))
    return np.array([[-((x - centre) ** 2).sum() for centre in centres] for x in queries])


@pytest.mark.parametrize("setting", [PrototypeRectification(), PrototypeRectification(2, 3.0, False), PrototypeRectification(1, 0.5, True)])
def test_equals_the_slow_version(setting: PrototypeRectification) -> None:
    random = np.random.default_rng(0)
    B, Q, D, N = 3, 11, 4, 3
    y = np.array([[0, 1, 2, 2, 1, 2], [2, 2, 2, 2, 1, 0], [0, 0, 1, 1, 2, 2]])
    support, queries = random.normal(size=(B, 6, D)), random.normal(size=(B, Q, D))
    task = Examples(torch.from_numpy(support), torch.nn.functional.one_hot(torch.from_numpy(y), N).double())
    found = setting(compare, task, torch.from_numpy(queries))
    for b in range(B):
        np.testing.assert_allclose(found[b].numpy(), slow_answers(support[b], y[b], queries[b], N, setting), rtol=1e-9, atol=1e-9)


def test_a_class_without_support_items_gets_no_query_and_spoils_nothing() -> None:
    task = examples([[0.0, 1.0], [6.0, 1.0]], [0, 2], 3)
    queries = torch.tensor([[[1.0, 1.0], [5.0, 1.0], [3.2, 1.0]]]).double()

    def masked(x: Tensor, centres: Tensor) -> Tensor:
        return compare(x, centres).masked_fill(torch.tensor([False, True, False]), -torch.inf)

    found = PrototypeRectification()(masked, task, queries)
    assert torch.isneginf(found[..., 1]).all()
    rest = PrototypeRectification()(compare, examples([[0.0, 1.0], [6.0, 1.0]], [0, 1], 2), queries)
    torch.testing.assert_close(found[..., [0, 2]], rest)


def test_without_queries_that_count_it_is_the_weighted_support_set_alone() -> None:
    task, queries = examples([[1.0, 0.0], [0.0, 1.0]], [0, 1], 2), torch.tensor([[[0.3, 0.4]]]).double()
    found = PrototypeRectification(surest=0, shift=False)(compare, task, queries)
    torch.testing.assert_close(found, SoftKMeans(iterations=0)(compare, task, queries))  # one item per class: its weight is 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"surest": -1}, "surest of a refinement must be 0 or more; found -1"),
        ({"scale": 0.0}, "scale of a refinement must be a positive number; found 0"),
        ({"shift": 1}, "shift of a refinement must be true or false; found 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PrototypeRectification(**settings)
    assert PrototypeRectification(shift=False).assumption == ""
    assert "same shares" in PrototypeRectification().assumption
