"""One step by hand: rates of every kind, clipping, per task; directions by hand and against `torch.optim`; what is refused."""

from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.descent import Descent, direction_named, rates_by_pattern
from kshot.learners.inner_loop.directions import DIRECTIONS, Adam, Direction, Momentum, RMSprop, root

Optimizer = Callable[[list[Tensor]], torch.optim.Optimizer]
TORCH: dict[str, tuple[Direction, Optimizer]] = {
    "sgd": (direction_named("sgd"), lambda leaves: torch.optim.SGD(leaves, lr=0.1)),
    "momentum": (Momentum(), lambda leaves: torch.optim.SGD(leaves, lr=0.1, momentum=0.9)),
    "rmsprop": (RMSprop(), lambda leaves: torch.optim.RMSprop(leaves, lr=0.1)),
    "adam": (Adam(), lambda leaves: torch.optim.Adam(leaves, lr=0.1)),
    "adam without means": (Adam(beta1=0.0), lambda leaves: torch.optim.Adam(leaves, lr=0.1, betas=(0.0, 0.999))),
}


def moved_by(rule: Descent, fast: dict[str, Tensor], slopes: dict[str, Tensor], step: int = 0) -> dict[str, Tensor]:
    return rule.update(slopes, rule.init(fast), fast, step)[0]


def test_a_step_by_hand() -> None:
    fast, slopes = {"w": torch.tensor([[1.0, 2.0]])}, {"w": torch.tensor([[10.0, 20.0]])}
    assert moved_by(Descent(0.5), fast, slopes)["w"].tolist() == [[-4.0, -8.0]]
    assert moved_by(Descent(0.1, learnt={"w": torch.tensor([0.5, 0.0])}), fast, slopes)["w"].tolist() == [[-4.0, 2.0]]


def test_rates_of_each_step_and_the_last_one_beyond_them() -> None:
    fast, slopes = {"w": torch.tensor([[0.0]])}, {"w": torch.tensor([[-1.0]])}
    rule = Descent(per_step=True, learnt={"w": torch.tensor([1.0, 2.0])})
    assert [moved_by(rule, fast, slopes, number)["w"].item() for number in (0, 1, 2)] == [1.0, 2.0, 2.0]


def test_fixed_rates_of_layers_by_pattern() -> None:
    names = ["backbone.0.weight", "backbone.0.bias", "head.weight", "head.bias"]
    rates = rates_by_pattern({"backbone.*.weight": 0.5, "head.*": 2}, names)
    assert rates == {"backbone.0.weight": 0.5, "head.weight": 2.0, "head.bias": 2.0}
    assert rates_by_pattern(None, names) == rates_by_pattern({}, names) == {}
    fast = {name: torch.zeros(1, 1) for name in names}
    slopes = {name: torch.ones(1, 1) for name in names}
    moved = moved_by(Descent(1.0, by_name=rates), fast, slopes)
    assert [moved[name].item() for name in names] == [-0.5, -1.0, -2.0, -2.0]


def test_the_narrower_pattern_counts_in_any_order() -> None:
    names = ["backbone.weight", "head.weight", "head.bias"]
    patterns = {"*": 0.1, "head.*": 0.2, "head.bias": 0.3}
    for order in permutations(patterns.items()):
        assert rates_by_pattern(dict(order), names) == {"backbone.weight": 0.1, "head.weight": 0.2, "head.bias": 0.3}
    across = {"*.weight": 0.1, "head.*": 0.2}
    with pytest.raises(RecipeError, match=r"gives 'head\.weight' the rate 0\.1 by '\*\.weight' and 0\.2 by 'head\.\*'\. Name it in full"):
        rates_by_pattern(across, names)
    assert rates_by_pattern({**across, "head.weight": 0.3}, names) == {"backbone.weight": 0.1, "head.weight": 0.3, "head.bias": 0.2}
    assert rates_by_pattern({"*.weight": 0.1, "head.*": 0.1}, names) == dict.fromkeys(names, 0.1)


def test_clipping_takes_the_norm_of_all_of_a_task_s_gradients_together() -> None:
    fast = {"a": torch.zeros(2, 1), "b": torch.zeros(2, 1)}
    slopes = {"a": torch.tensor([[3.0], [0.3]]), "b": torch.tensor([[4.0], [0.4]])}  # norms 5 and 0.5
    moved = moved_by(Descent(1.0, clip=1.0), fast, slopes)
    torch.testing.assert_close(moved["a"], torch.tensor([[-0.6], [-0.3]]))
    torch.testing.assert_close(moved["b"], torch.tensor([[-0.8], [-0.4]]))
    still = moved_by(Descent(1.0, clip=1.0), fast, {name: torch.zeros(2, 1) for name in fast})
    assert still["a"].tolist() == [[0.0], [0.0]]


def test_a_second_step_of_momentum_by_hand() -> None:
    rule, fast, slopes = Descent(1.0, Momentum(0.5)), {"w": torch.tensor([[0.0]])}, {"w": torch.tensor([[2.0]])}
    fast, state = rule.update(slopes, rule.init(fast), fast, 0)
    assert (fast["w"].item(), state["velocity/w"].item()) == (-2.0, 2.0)
    fast, state = rule.update(slopes, state, fast, 1)
    assert (fast["w"].item(), state["velocity/w"].item()) == (-5.0, 3.0)


def test_the_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    fast, slopes = {"w": torch.zeros(1, 2)}, {"w": torch.tensor([[1e-3, -50.0]])}
    for direction in (Adam(), Adam(beta1=0.0)):
        torch.testing.assert_close(moved_by(Descent(0.1, direction), fast, slopes)["w"], torch.tensor([[-0.1, 0.1]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", list(TORCH))
def test_directions_are_those_of_torch_optim(name: str) -> None:
    direction, make = TORCH[name]
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    gradients[2:4, 1] = 0.0
    leaf = torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_()
    rule, fast = Descent(0.1, direction), {"w": leaf.detach().clone().unsqueeze(0)}
    optimizer, state = make([leaf]), rule.init(fast)
    for step, gradient in enumerate(gradients):
        leaf.grad = gradient.clone()
        optimizer.step()
        fast, state = rule.update({"w": gradient.unsqueeze(0)}, state, fast, step)
        torch.testing.assert_close(fast["w"][0], leaf.detach(), rtol=1e-13, atol=1e-15)
    assert {name.partition("/")[0] for name in state} == set(direction.decays)


@pytest.mark.parametrize("direction", [direction for direction, _ in TORCH.values()], ids=list(TORCH))
def test_what_a_step_adds_to_a_slot_does_not_depend_on_what_it_held(direction: Direction) -> None:
    gradient = torch.tensor([0.3, -2.0])
    for slot, decay in direction.decays.items():
        held = {name: torch.tensor([5.0, 7.0]) for name in direction.decays}
        empty = {name: torch.zeros(2) for name in direction.decays}
        after, added = (direction.turn(gradient, slots, 3)[1][slot] for slots in (held, empty))
        torch.testing.assert_close(after - added, decay * held[slot])


def test_the_root_has_a_slope_at_zero() -> None:
    x = torch.tensor([0.0, 4.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(root(x).sum(), x)
    assert slope.tolist() == [0.0, 0.25]
    g = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    moved, _ = Adam(beta1=0.0, epsilon=0.5).turn(g, {"squares": torch.zeros(1, dtype=torch.float64)}, 0)
    (slope,) = torch.autograd.grad(moved.sum(), g)
    assert slope.tolist() == [2.0]  # of g / (|g| + ε), at 0: 1 / ε


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("adm", r"there is no inner optimizer 'adm'\. Did you mean 'adam'\? The known ones are sgd, momentum, rmsprop, adam"),
        (
            {"name": "adam", "beta3": 0.5},
            r"inner optimizer 'adam' has no argument 'beta3'\. Did you mean 'beta2'\? The known ones are beta1, beta2, epsilon",
        ),
        ({"name": "adam", "beta1": 1.0}, "the beta1 of Adam must be a number from 0 up to, but not including, 1; found 1.0"),
        ({"name": "momentum", "momentum": -0.1}, "momentum of an inner optimiser"),
        ({"name": "rmsprop", "epsilon": 0}, "the epsilon of RMSprop must be a positive number; found 0"),
        ({"beta1": 0.5}, "inner_optimizer is a name, one of"),
        (3, "inner_optimizer is a name, one of"),
    ],
)
def test_rules_that_do_not_exist_are_refused(named: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        direction_named(named)


def test_a_rule_by_name_with_and_without_settings() -> None:
    assert {name: direction_named(name) for name in DIRECTIONS} == {name: made() for name, made in DIRECTIONS.items()}
    assert direction_named({"name": "adam", "beta1": 0.0}) == Adam(beta1=0.0)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"haed.*": 0.1}, r"layer_lr names 'haed\.\*', which matches no parameter that adapts.*They are head\.weight, head\.bias"),
        ({"head.*": 0.0}, r"the inner rate of 'head\.\*' must be a positive number; found 0\.0"),
        ({"head.*": "fast"}, "must be a positive number"),
        (0.1, "layer_lr is a table of patterns and rates"),
        (0, "layer_lr is a table of patterns and rates"),
        (False, "layer_lr is a table of patterns and rates"),
        ("", "layer_lr is a table of patterns and rates"),
        ([], "layer_lr is a table of patterns and rates"),
        ({3: 0.1}, "layer_lr is a table of patterns and rates"),
        ({"head": {"weight": 0.1}}, r"quotes around a pattern with dots, .*; found 'head' = \{'weight': 0\.1\}"),
        (
            {"*.weight": 0.1, "head.w*": 0.2},
            r"gives 'head\.weight' the rate 0\.1 by '\*\.weight' and 0\.2 by 'head\.w\*'\. Name it in full",
        ),
    ],
)
def test_patterns_that_match_nothing_are_refused(patterns: Mapping[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        rates_by_pattern(patterns, ["head.weight", "head.bias"])


def test_rates_and_clips_out_of_range_are_refused() -> None:
    for make, message in (
        (lambda: Descent(-1.0), "the inner rate must be a positive number; found -1.0"),
        (lambda: Descent(1e39), r"the inner rate must be a positive number that float32 holds, from 1\.2e-38 to 3\.4e\+38; found 1e\+39"),
        (lambda: Descent(1e-46), "the inner rate must be a positive number that float32 holds"),
        (lambda: Descent(0.1, clip=1e300), "clip must be a positive number that float32 holds"),
        (lambda: Adam(epsilon=1e-60), "the epsilon of Adam must be a positive number that float32 holds"),
        (lambda: Adam(epsilon=10**400), "the epsilon of Adam must be a positive number that float32 holds"),
        (lambda: Descent(0.1, clip=-1.0), r"clip must be 0 \(no clipping\) or a positive number; found -1.0"),
    ):
        with pytest.raises(RecipeError, match=message):
            make()


def test_words_name_what_is_unusual() -> None:
    assert Descent(0.4).words() == "an inner rate of 0.4"
    assert Descent(0.4, Adam(), clip=9).words() == "adam at an inner rate of 0.4 (clipped at 9)"
    assert Descent(learnt={"w": torch.ones(())}).words() == "learnt inner rates"
