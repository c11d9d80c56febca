"""Refinement by optimal transport: Sinkhorn's marginals, by hand, against loops in NumPy, and what it takes for granted."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.optimal_transport import ROUNDS, OptimalTransport, column_potentials
from kshot.learners.refinement.soft_k_means import SoftKMeans


def compare(queries: Tensor, centres: Tensor) -> Tensor:
    return -squared_distances(queries, centres)


def assignment(logits: Tensor, rounds: int) -> Tensor:
    v = column_potentials(logits, torch.zeros_like(logits[:, 0]), rounds)
    return (logits + v.unsqueeze(1)).softmax(-1)


def task_of(B: int = 2, N: int = 3, Q: int = 12, D: int = 4) -> tuple[Examples, Tensor]:
    """Unbalanced support items and queries around the classes' corners, float64."""
    generator = torch.Generator().manual_seed(0)
    corners = 2 * torch.randn(B, N, D, generator=generator, dtype=torch.float64)
    y = torch.cat([torch.arange(N), torch.tensor([0, 0, 1])]).expand(B, -1)
    query_y = torch.arange(Q).remainder(N).expand(B, -1)

    def around(y: Tensor) -> Tensor:
        return corners.gather(1, y.unsqueeze(-1).expand(-1, -1, D)) + torch.randn(*y.shape, D, generator=generator, dtype=torch.float64)

    return Examples(around(y), torch.nn.functional.one_hot(y, N).double()), around(query_y)


# Sinkhorn.


def test_two_queries_and_two_classes_by_hand() -> None:
    # Both queries like class 0 better, with odds 8 and 2. Scaling rows and columns keeps the ratio of the odds, 4; with all sums 1
    # that is [[2/3, 1/3], [1/3, 2/3]].
    logits = torch.tensor([[[math.log(8), 0.0], [math.log(2), 0.0]]]).double()
    expected = torch.tensor([[[2 / 3, 1 / 3], [1 / 3, 2 / 3]]]).double()
    torch.testing.assert_close(assignment(logits, rounds=60), expected)


def test_rows_sum_to_1_and_columns_to_the_share_of_a_class() -> None:
    logits = 3 * torch.randn(4, 30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = assignment(logits, rounds=200)
    torch.testing.assert_close(found.sum(2), torch.ones(4, 30).double())
    torch.testing.assert_close(found.sum(1), torch.full((4, 5), 6.0).double())
    assert float((logits.softmax(-1).sum(1) - 6).abs().max()) > 1  # it was not so before


def test_a_class_that_takes_no_part_gets_nothing_and_the_others_share() -> None:
    logits = torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[1, :, 2] = -math.inf
    sums = assignment(logits, rounds=200).sum(1)
    torch.testing.assert_close(sums, torch.tensor([[3.0, 3.0, 3.0, 3.0], [4.0, 4.0, 0.0, 4.0]]).double())
    assert float(column_potentials(logits, torch.zeros(2, 4).double())[1, 2]) == 0


@pytest.mark.parametrize("size", [0.0, 1e5, 1e30])
def test_nothing_is_divided_by_0(size: float) -> None:
    logits = torch.zeros(1, 8, 3)
    logits[..., 0] = size  # every query belongs to class 0 and to no other, or all classes tie
    found = assignment(logits, rounds=20)
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(2), torch.ones(1, 8))


# The refinement.


def slow_answers(support: np.ndarray, labels: np.ndarray, queries: np.ndarray, method: OptimalTransport) -> np.ndarray:
    """One task, in loops, with probabilities in place of logarithms."""
    S, N = labels.shape
    Q = len(queries)
    centres = np.stack([sum(labels[i, c] * support[i] for i in range(S)) / labels[:, c].sum() for c in range(N)])
    column = np.ones(N)  # exp(v)
    for _ in range(method.steps):
        kernel = np.array([[math.exp(-method.scale * ((queries[j] - centres[c]) ** 2).sum()) for c in range(N)] for j in range(Q)])
        for _ in range(ROUNDS if method.balanced else 0):
            row = [1 / sum(kernel[j, c] * column[c] for c in range(N)) for j in range(Q)]
            column = np.array([Q / N / sum(kernel[j, c] * row[j] for j in range(Q)) for c in range(N)])
        plan = kernel * column
        plan = plan / plan.sum(1, keepdims=True)
        for c in range(N):
            sums = sum(labels[i, c] * support[i] for i in range(S)) + sum(plan[j, c] * queries[j] for j in range(Q))
            mean = sums / (labels[:, c].sum() + plan[:, c].sum())
            centres[c] = centres[c] + method.rate * (mean - centres[c])
    distances = np.array([[((queries[j] - centres[c]) ** 2).sum() for c in range(N)] for j in range(Q)])
    answers: np.ndarray = np.log(column) / method.scale - distances
    return answers


@pytest.mark.parametrize("method", [OptimalTransport(), OptimalTransport(3, 0.7, 0.3), OptimalTransport(4, balanced=False)])
def test_equals_the_slow_version(method: OptimalTransport) -> None:
    support, queries = task_of()
    found = method(compare, support, queries)
    for b in range(2):
        expected = slow_answers(support.features[b].numpy(), support.labels[b].numpy(), queries[b].numpy(), method)
        np.testing.assert_allclose(found[b].numpy(), expected, rtol=1e-8, atol=1e-8)


def test_without_steps_it_is_the_nearest_centre() -> None:
    support, queries = task_of()
    assert torch.equal(OptimalTransport(steps=0)(compare, support, queries), SoftKMeans(iterations=0)(compare, support, queries))


def test_unbalanced_by_whole_steps_it_is_soft_k_means() -> None:
    support, queries = task_of()
    found = OptimalTransport(steps=3, rate=1, scale=0.5, balanced=False)(compare, support, queries)
    torch.testing.assert_close(found, SoftKMeans(3, 0.5)(compare, support, queries))


def test_balanced_answers_give_each_class_its_share_and_are_wrong_where_the_queries_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    support = Examples(torch.tensor([[[0.0], [10.0]]]), torch.eye(2).unsqueeze(0))
    queries = torch.cat([torch.randn(1, 18, 1, generator=generator), 10 + torch.randn(1, 2, 1, generator=generator)], 1)
    assert OptimalTransport(balanced=False)(compare, support, queries).argmax(-1).sum() == 2  # what anybody sees
    assert 8 <= OptimalTransport(scale=0.1)(compare, support, queries).argmax(-1).sum() <= 12  # half and half of 20 queries
    assert "assumes equally many queries of each class" in OptimalTransport().assumption
    assert OptimalTransport(balanced=False).assumption == ""


# Bad input.


def test_fewer_queries_than_classes_cannot_be_balanced() -> None:
    support, queries = task_of(N=3)
    with pytest.raises(RecipeError, match=r"the same number of queries, so it needs at least 3; found 2.*balanced=false"):
        OptimalTransport()(compare, support, queries[:, :2])
    assert OptimalTransport(balanced=False)(compare, support, queries[:, :1]).shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "steps of a refinement must be 0 or more; found -1"),
        ({"rate": 0}, "rate of a refinement must be a positive number; found 0"),
        ({"rate": 1.5}, "rate of a refinement must be 1 or less; found 1.5"),
        ({"scale": math.nan}, "scale of a refinement must be a positive number; found nan"),
        ({"balanced": 0.5}, "balanced of a refinement must be true or false; found 0.5"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        OptimalTransport(**settings)
