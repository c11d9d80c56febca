"""How a gradient becomes a step: rates by hand, stock optimisers, bad values."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from kshot.errors import RecipeError
from kshot.meta_train.optimization import Optimization


def test_constant_rate() -> None:
    assert [Optimization(lr=0.1).rate(update, 10) for update in (0, 5, 9)] == [0.1, 0.1, 0.1]


def test_halving_halves_at_every_multiple() -> None:
    rate = Optimization(lr=0.8, schedule="halving", halve_every=3).rate
    assert [rate(update, 8) for update in range(8)] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]


def test_cosine_falls_from_the_whole_rate_towards_zero() -> None:
    rate = Optimization(lr=2.0, schedule="cosine").rate
    # 2 · (1 + cos(π t / 4)) / 2 at t = 0 … 3
    assert [rate(update, 4) for update in range(4)] == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)])


def test_linear_falls_by_equal_parts() -> None:
    rate = Optimization(lr=2.0, schedule="linear").rate
    assert [rate(update, 4) for update in range(4)] == pytest.approx([2.0, 1.5, 1.0, 0.5])


def test_warmup_rises_linearly_and_ends_at_the_schedule() -> None:
    rate = Optimization(lr=1.0, warmup=4).rate
    assert [rate(update, 10) for update in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    both = Optimization(lr=1.0, schedule="halving", halve_every=2, warmup=4).rate
    assert [both(update, 10) for update in range(6)] == [0.25, 0.5, 0.75 / 2, 0.5, 0.25, 0.25]


def test_a_rate_is_a_function_of_the_update_alone() -> None:
    rate = Optimization(lr=0.3, schedule="cosine", warmup=7).rate
    forwards = [rate(update, 50) for update in range(50)]
    assert [rate(update, 50) for update in reversed(range(50))] == forwards[::-1]
    assert all(0 < value <= 0.3 for value in forwards)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_builds_stock_optimisers_with_the_settings(name: Any, kind: type[torch.optim.Optimizer]) -> None:
    built = Optimization(name, lr=0.5, weight_decay=0.25, momentum=0.75).build([nn.Parameter(torch.zeros(2))])
    assert type(built) is kind
    group = built.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    if name == "sgd":
        assert group["momentum"] == 0.75


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lion"}, r"optimizer must be one of adam, adamw, sgd; found 'lion'"),
        ({"schedule": "step"}, r"schedule must be one of constant, halving, cosine, linear; found 'step'"),
        ({"precision": "float16"}, r"precision must be one of float32, bfloat16; found 'float16'"),
        ({"lr": 0.0}, r"lr must be a positive number; found 0"),
        ({"lr": -1e-3}, r"lr must be a positive number"),
        ({"lr": math.nan}, r"lr must be a positive number; found nan"),
        ({"lr": math.inf}, r"lr must be a positive number; found inf"),
        ({"lr": 1e300}, r"lr must be a positive number that float32 holds, from 1\.2e-38 to 3\.4e\+38; found 1e\+300"),
        ({"clip_norm": 1e39}, r"clip_norm must be a positive number that float32 holds"),
        ({"weight_decay": -0.1}, r"weight_decay must be 0 \(no decay\) or a positive number; found -0.1"),
        ({"warmup": -1}, r"warmup must be 0 or more; found -1"),
        ({"clip_norm": -1.0}, r"clip_norm must be 0 \(no clipping\) or a positive number"),
        ({"clip_norm": math.nan}, r"clip_norm must be 0 \(no clipping\) or a positive number; found nan"),
        ({"momentum": 1.0}, r"momentum must be a number from 0 up to, but not including, 1; found 1"),
        ({"momentum": math.nan}, r"momentum must be a number from 0 up to"),
        ({"halve_every": 0}, r"halve_every must be 1 or more; found 0"),
        ({"halve_every": math.nan}, r"halve_every must be a whole number, 1 or more; found nan"),
        ({"halve_every": 2.5}, r"halve_every must be a whole number, 1 or more; found 2.5"),
        ({"warmup": 2.5}, r"warmup must be a whole number, 0 or more; found 2.5"),
        ({"lr": "0.1"}, r"lr must be a positive number; found '0.1'"),
        ({"lr": True}, r"lr must be a positive number; found True"),
    ],
)
def test_bad_values_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Optimization(**settings)
