"""Losses and scores worked by hand."""

import math

import pytest
import torch

from kshot.episodes.family import FAMILIES, Classification, Regression, family_named
from kshot.errors import RecipeError


def test_cross_entropy_and_accuracy_by_hand() -> None:
    # Two tasks, two queries, three classes. A logit of log 2 beside two of 0 has probability 2/4.
    logits = torch.tensor([[[math.log(2), 0, 0], [0, math.log(2), 0]], [[0, 0, 0], [0, 0, math.log(2)]]])
    y = torch.tensor([[0, 0], [2, 2]])
    loss = Classification().loss(logits, y)
    assert loss.tolist() == pytest.approx([(math.log(2) + math.log(4)) / 2, (math.log(3) + math.log(2)) / 2])
    score = Classification().score(logits, torch.tensor([[0, 0], [1, 2]]))
    assert score.dtype == torch.float64
    assert score.tolist() == [0.5, 0.5]


def test_nan_never_wins_and_a_query_without_a_number_is_wrong() -> None:
    nan = math.nan
    logits = torch.tensor([[[nan, 1.0, 2.0], [nan, 1.0, 2.0], [nan, nan, nan], [nan, -math.inf, 0.0]]])
    assert Classification().score(logits, torch.tensor([[2, 0, 0, 2]])).tolist() == [0.5]


def test_squared_error_by_hand() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    y = torch.tensor([[[1.0, 0.0], [0.0, 4.0]]])
    assert Regression().loss(values, y).tolist() == [(0 + 4 + 9 + 0) / 4]
    score = Regression().score(values, y)
    assert score.dtype == torch.float64
    assert score.tolist() == [(0 + 4 + 9 + 0) / 4]


def test_a_task_s_loss_does_not_depend_on_the_other_tasks() -> None:
    logits, y = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.arange(12).reshape(3, 4) % 5
    together = Classification().loss(logits, y)
    assert torch.equal(together[1:2], Classification().loss(logits[1:2], y[1:2]))


def test_families_are_found_by_the_name_they_are_saved_as() -> None:
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family_named(name) is family
    assert Classification().higher_is_better
    assert not Regression().higher_is_better
    with pytest.raises(RecipeError, match=r"no task family 'ranking'\. The known ones are classification, regression"):
        family_named("ranking")
