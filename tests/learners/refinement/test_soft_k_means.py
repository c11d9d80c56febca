"""Soft k-means: by hand, against loops in NumPy, and what it is for."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.soft_k_means import SoftKMeans, centres_of


def compare(queries: Tensor, centres: Tensor) -> Tensor:
    return -squared_distances(queries, centres)


def examples(features: list[list[float]], labels: list[int], way: int) -> Examples:
    y = torch.nn.functional.one_hot(torch.tensor([labels]), way)
    return Examples(torch.tensor([features]).double(), y.double())


def test_one_step_by_hand() -> None:
    # Centres -1 and 1. The query x = log 3 / 4 has logits -(x + 1)² and -(x - 1)², which differ by 4 x = log 3: it is 1/4 and 3/4.
    x = math.log(3) / 4
    queries = torch.tensor([[[x]]]).double()
    found = SoftKMeans(iterations=1)(compare, examples([[-1.0], [1.0]], [0, 1], 2), queries)
    first, second = (-1 + x / 4) / (1 + 1 / 4), (1 + 3 * x / 4) / (1 + 3 / 4)
    torch.testing.assert_close(found, torch.tensor([[[-((x - first) ** 2), -((x - second) ** 2)]]]).double())


def test_the_queries_around_it_decide_the_query_in_between() -> None:
    # 2.9 is nearer to the support item of class 0. The other queries of class 0 lie below 0, and those of class 1 below 6.
    support, queries = examples([[0.0], [6.0]], [0, 1], 2), torch.tensor([[[-3.0], [-2.0], [-1.0], [4.0], [5.0], [2.9]]]).double()
    alone, together = (SoftKMeans(iterations=count)(compare, support, queries).argmax(-1)[0].tolist() for count in (0, 2))
    assert alone == [0, 0, 0, 1, 1, 0]
    assert together == [0, 0, 0, 1, 1, 1]


def slow_answers(support: np.ndarray, y: np.ndarray, queries: np.ndarray, way: int, iterations: int, scale: float) -> np.ndarray:
    """One task, in loops."""
    centres = [np.mean([support[i] for i in range(len(y)) if y[i] == c], axis=0) for c in range(way)]
    for _ in range(iterations):
        shares = []
        for x in queries:
            weights = [math.exp(-scale * float(((x - centre) ** 2).sum())) for centre in centres]
            shares.append([weight / sum(weights) for weight in weights])
        for c in range(way):
            total, weight = np.zeros(support.shape[1]), 0.0
            for i in range(len(y)):
                if y[i] == c:
                    total, weight = total + support[i], weight + 1
            for j in range(len(queries)):
                total, weight = total + shares[j][c] * queries[j], weight + shares[j][c]
            centres[c] = total / weight
    return np.array([[-((x - centre) ** 2).sum() for centre in centres] for x in queries])


@pytest.mark.parametrize(("iterations", "scale"), [(0, 1.0), (1, 1.0), (3, 0.4)])
def test_equals_the_slow_version(iterations: int, scale: float) -> None:
    random = np.random.default_rng(0)
    B, Q, D, N = 3, 9, 4, 3
    y = np.array([[0, 1, 2, 2, 1, 2], [2, 2, 2, 2, 1, 0], [0, 0, 1, 1, 2, 2]])
    support, queries = random.normal(size=(B, 6, D)), random.normal(size=(B, Q, D))
    task = Examples(torch.from_numpy(support), torch.nn.functional.one_hot(torch.from_numpy(y), N).double())
    found = SoftKMeans(iterations, scale)(compare, task, torch.from_numpy(queries))
    for b in range(B):
        np.testing.assert_allclose(found[b].numpy(), slow_answers(support[b], y[b], queries[b], N, iterations, scale), rtol=1e-9, atol=1e-9)


def test_a_class_that_nothing_belongs_to_has_its_centre_at_0() -> None:
    assert centres_of(examples([[3.0], [5.0]], [0, 0], 2)).tolist() == [[[4.0], [0.0]]]


@pytest.mark.parametrize("value", [-1, 1.5, True, "two"])
def test_a_number_of_iterations_that_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"iterations of a refinement must be (a whole number, )?0 or more; found"):
        SoftKMeans(iterations=value)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, True])
def test_a_scale_that_is_not_positive_is_refused(value: float) -> None:
    with pytest.raises(RecipeError, match="scale of a refinement must be a positive number; found"):
        SoftKMeans(scale=value)
