"""The recurrence written out, against the step by the equations and against finite differences."""

import pytest
import torch
from torch import Tensor, nn

from kshot.learners.memory.external_memory import Memory
from kshot.learners.memory.mann import MANN
from kshot.learners.memory.recurrence import State, Weights, run_sequence

F64 = torch.float64


def small(seed: int = 0, **arguments: int) -> MANN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"heads": 2, "slots": 7, "width": 3, **arguments}
        learner = MANN(nn.Identity(), 4, 3, hidden=6, heads=sizes["heads"], slots=sizes["slots"], width=sizes["width"]).double()
        for parameter in learner.parameters():
            nn.init.normal_(parameter, std=0.4)
    return learner


def sequence(T: int, B: int, I: int = 7) -> Tensor:  # noqa: E741  # the letter of the docstrings
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(1), dtype=F64)


@pytest.mark.parametrize("arguments", [{}, {"heads": 1, "slots": 1}, {"heads": 3, "slots": 4, "width": 1}])
def test_it_does_the_steps_of_the_equations(arguments: dict[str, int]) -> None:
    learner, inputs = small(**arguments), sequence(20, 3)
    whole, after = learner.follow(inputs, learner.begin(3, inputs))
    state, logits = learner.begin(3, inputs), []
    for x in inputs:
        one, state = learner.step(x, state)
        logits.append(one)
    torch.testing.assert_close(whole, torch.stack(logits), rtol=0, atol=1e-10)
    assert after.keys() == state.keys()
    for name, value in state.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-10)


def test_its_gradients_are_those_of_the_equations() -> None:
    learner, inputs = small(), sequence(15, 2).requires_grad_()
    weight = torch.randn(15, 2, 3, generator=torch.Generator().manual_seed(2), dtype=F64)

    def gradients(logits: Tensor, state: dict[str, Tensor]) -> list[Tensor]:
        loss = (logits * weight).sum() + state["slots"].pow(3).sum() + state["read_weights"].square().sum() + state["cell"].sin().sum()
        return list(torch.autograd.grad(loss + state["output"].square().sum(), [inputs, *learner.parameters()]))

    fast = gradients(*learner.follow(inputs, learner.begin(2, inputs)))
    state, logits = learner.begin(2, inputs), []
    for x in inputs:
        one, state = learner.step(x, state)
        logits.append(one)
    for found, expected in zip(fast, gradients(torch.stack(logits), state), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_its_derivatives_are_those_of_finite_differences_from_any_state() -> None:
    B, H, R, N, W, T = 2, 3, 2, 4, 2, 3
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return (0.5 * torch.randn(*shape, generator=generator, dtype=F64)).requires_grad_()

    usage = torch.rand(B, N, generator=generator, dtype=F64)
    read_weights = torch.rand(B, R, N, generator=generator, dtype=F64).softmax(-1).requires_grad_()
    inputs = (
        draw(T, B, 4 * H),
        draw(B, H + R * W),
        draw(B, H),
        draw(B, N, W),
        read_weights,
        draw(4 * H, H + R * W),
        draw(2 * R * W + 2 * R, H),
        draw(2 * R * W + 2 * R),
    )

    def run(x: Tensor, output: Tensor, cell: Tensor, slots: Tensor, weights: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        outputs, after = run_sequence(x, State(output, cell, Memory(slots, usage, weights)), Weights(*rest), 0.9)
        return outputs, after.cell, after.memory.slots, after.memory.read_weights

    assert torch.autograd.gradcheck(run, inputs)


def test_a_sequence_in_two_parts_is_the_sequence() -> None:
    learner, inputs = small(), sequence(12, 2)
    whole, after = learner.follow(inputs, learner.begin(2, inputs))
    first, between = learner.follow(inputs[:5], learner.begin(2, inputs))
    second, end = learner.follow(inputs[5:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end["slots"], after["slots"])


def test_backward_may_run_twice() -> None:
    learner, inputs = small(), sequence(9, 2)
    logits, _ = learner.follow(inputs, learner.begin(2, inputs))
    first = torch.autograd.grad(logits.sum(), list(learner.parameters()), retain_graph=True)
    second = torch.autograd.grad(logits.sum(), list(learner.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_under_bfloat16_the_recurrence_stays_in_the_type_of_its_weights() -> None:
    learner, inputs = small().float(), sequence(9, 2).float()
    with torch.autocast("cpu", torch.bfloat16):
        logits, state = learner.follow(inputs, learner.begin(2, inputs))
    assert state["slots"].dtype == torch.float32
    logits.float().sum().backward()  # type: ignore[no-untyped-call]
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in learner.parameters() if parameter.grad is not None)
