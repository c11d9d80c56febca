"""The LSTM per tensor: by hand, what it must not depend on, its derivative, and the fused update against it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kshot.learners.inner_loop.directions import Adam
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.learned_updates.tensor_lstm import TensorLSTM

SHAPES = {"w": (7, 5), "b": (7,), "one": (1,)}


def shaken(seed: int = 0, size: float = 0.1) -> TensorLSTM:
    """A rule whose every weight has a say."""
    generator = torch.Generator().manual_seed(seed)
    rule = TensorLSTM.new(generator, hidden=6, layers=2)
    return rule.with_learnt({name: value + size * torch.randn(value.shape, generator=generator) for name, value in rule.learnt.items()})


def normal(seed: int, tasks: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tasks, *shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}


def path(rule: TensorLSTM, start: dict[str, Tensor], gradients: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    parameters, state = start, rule.init(start)
    for step, gradient in enumerate(gradients):
        parameters, state = rule.update(gradient, state, parameters, step)
    return parameters


def test_a_rule_that_only_has_its_biases_is_adam_with_other_decays() -> None:
    """c picks m_2, whose decay is 0.9; ρ is 0 and n is 1: θ - e^λ m̂/√v̂, which is Adam with β2 = 0.95."""
    rule = TensorLSTM.new(torch.Generator().manual_seed(0))
    bias = rule.learnt["bias"].clone()
    bias[-2] = -100.0  # the logit of ρ
    learnt = {**rule.learnt, "out": torch.zeros_like(rule.learnt["out"]), "bias": bias, "gate_out": torch.zeros(4)}
    rule = rule.with_learnt(learnt)
    start, gradients = normal(0, 2), [normal(step, 2) for step in range(1, 6)]
    moved = path(rule, start, gradients)
    adam = Adam(beta1=0.9, beta2=0.95)
    for name, value in start.items():
        slots = {slot: torch.zeros_like(value) for slot in adam.decays}
        for step, gradient in enumerate(gradients):
            direction, slots = adam.turn(gradient[name], slots, step)
            value = value - 0.03 * direction
        torch.testing.assert_close(moved[name], value, rtol=1e-5, atol=1e-6)


@given(st.floats(1e-3, 1e3), st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_a_constant_times_the_loss_changes_nothing(factor: float, seed: int) -> None:
    rule, start, gradients = shaken(seed), normal(0, 2), [normal(step, 2) for step in range(1, 5)]
    scaled = [{name: factor * value for name, value in gradient.items()} for gradient in gradients]
    plain, other = path(rule, start, gradients), path(rule, start, scaled)
    for name in SHAPES:
        torch.testing.assert_close(plain[name], other[name], rtol=1e-3, atol=1e-4)


def test_reflected_coordinates_move_in_the_reflected_way() -> None:
    rule, start, gradients = shaken(), normal(0, 2), [normal(step, 2) for step in range(1, 5)]
    signs = {name: value.sign() for name, value in normal(9, 2).items()}
    reflected = [{name: signs[name] * value for name, value in gradient.items()} for gradient in gradients]
    plain = path(rule, start, gradients)
    other = path(rule, {name: signs[name] * value for name, value in start.items()}, reflected)
    for name in SHAPES:
        torch.testing.assert_close(plain[name], signs[name] * other[name])


def test_a_batch_of_tasks_equals_single_tasks() -> None:
    rule, start, gradients = shaken(), normal(0, 3), [normal(step, 3) for step in range(1, 5)]
    together = path(rule, start, gradients)
    for task in range(3):
        one = path(
            rule, {n: v[task : task + 1] for n, v in start.items()}, [{n: v[task : task + 1] for n, v in g.items()} for g in gradients]
        )
        for name in SHAPES:
            torch.testing.assert_close(together[name][task : task + 1], one[name])


def test_the_derivative_by_the_weights_is_that_of_finite_differences() -> None:
    rule = shaken()
    rule = rule.with_learnt({name: value.double().requires_grad_() for name, value in rule.learnt.items()})
    start, gradients = normal(0, 1, torch.float64), [normal(step, 1, torch.float64) for step in range(1, 4)]
    names = list(rule.learnt)

    def end(*weights: Tensor) -> Tensor:
        moved = path(rule.with_learnt(dict(zip(names, weights, strict=True))), start, gradients)
        return torch.cat([value.flatten() for value in moved.values()]).square().sum()

    torch.autograd.gradcheck(end, [rule.learnt[name] for name in names], fast_mode=True)


def test_a_gradient_of_zeros_moves_nothing() -> None:
    start = normal(0, 1)
    moved = path(shaken(), start, [{name: torch.zeros_like(value) for name, value in start.items()}] * 3)
    for name, value in start.items():
        assert torch.equal(moved[name], value)


def test_after_the_horizon_time_stands_still() -> None:
    rule = replace(shaken(), horizon=150)
    columns, hidden = torch.randn(1, 2, 10), torch.randn(1, 2, 2, 2, 6)
    at, after, before = (rule.control(columns, hidden, step)[0] for step in (150, 400, 149))
    assert all(torch.equal(a, b) for a, b in zip(at, after, strict=True))
    assert not torch.equal(at.log_step, before.log_step)


@pytest.mark.parametrize("size", [(300, 120), (5, 3)])
def test_the_fused_update_equals_the_rule(size: tuple[int, int]) -> None:
    """More coordinates than one piece holds, and fewer; groups with their own rates; a parameter that joins later."""
    optimizer = LearnedOptimizer(hidden=6)
    with torch.no_grad():
        for name, value in shaken(3).learnt.items():
            optimizer.learnt[name].copy_(value)
    rule = optimizer.rule.with_learnt({name: value.detach() for name, value in optimizer.learnt.items()})
    generator = torch.Generator().manual_seed(5)
    model = {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in (("w", size), ("b", (size[1],)))}
    fused = optimizer.optimizer(model.values())
    parameters = {name: value.detach()[None].clone() for name, value in model.items()}
    state = rule.init(parameters)
    for step in range(12):
        gradients = {name: torch.randn(value.shape, generator=generator) for name, value in model.items()}
        for name, value in model.items():
            value.grad = gradients[name].clone()
        fused.step()
        parameters, state = rule.update({name: value[None] for name, value in gradients.items()}, state, parameters, step)
    for name, value in model.items():
        torch.testing.assert_close(value.detach(), parameters[name][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fused.state[value]["squares"], state[f"squares/{name}"][0])
        torch.testing.assert_close(fused.state[value]["lstm"], state[f"lstm/{name}"][0], rtol=1e-4, atol=1e-5)
