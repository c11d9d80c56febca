"""How long and how fast an encoder learns: worked by hand."""

import pytest

from kshot.errors import RecipeError
from kshot.tasks.tune.plan import PLANS, TunePlan, plan_for

PLAN = TunePlan(passes=3, batch=4, lr=1.0, proxy_lr=1.0, scale=1.0, warm_up=0.25)


def test_steps_are_passes_over_all_examples() -> None:
    assert (PLAN.steps_per_pass(4), PLAN.steps_per_pass(5), PLAN.steps(5)) == (1, 2, 6)


def test_a_stage_sees_40_000_examples_at_most() -> None:
    assert PLAN.steps(13_000) == 3 * 3_250
    assert PLAN.steps(20_000) == PLAN.steps(1_000_000) == 10_000


def test_rates_rise_and_fall_in_straight_lines() -> None:
    assert [PLAN.factor(step, 8) for step in range(8)] == pytest.approx([1 / 2, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])
    assert PLAN.factor(0, 1) == 1


def test_every_kind_has_a_plan_or_a_reason() -> None:
    assert plan_for("texts") is PLANS["texts"]
    with pytest.raises(RecipeError, match="there is none to train for rows of numbers"):
        plan_for("numbers")
    with pytest.raises(RecipeError, match="there is none to train for ink"):
        plan_for("ink")
