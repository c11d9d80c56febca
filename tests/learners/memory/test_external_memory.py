"""The memory's functions against cases worked by hand, and what holds for every memory."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kshot.errors import DataError, RecipeError
from kshot.learners.memory.external_memory import (
    EMPTY,
    Emitted,
    Memory,
    access,
    empty_memory,
    least_used,
    read,
    similarity,
    usage,
    write,
    write_weights,
)

F64 = torch.float64


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=F64)


def random_step(seed: int, B: int = 2, R: int = 2, N: int = 5, W: int = 3) -> tuple[Memory, Emitted]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=F64)

    memory = Memory(draw(B, N, W), draw(B, N).abs(), draw(B, R, N).softmax(-1))
    return memory, Emitted(draw(B, R, W), draw(B, R, W), draw(B, R).sigmoid(), 1 + draw(B, R).abs())


def test_a_key_is_compared_by_the_cosine_of_equation_2() -> None:
    slots = tensor([[[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]]])
    found = similarity(tensor([[[1.0, 0.0]]]), slots)[0, 0]
    expected = [3 / math.sqrt(25 + EMPTY**2), 0, -2 / math.sqrt(4 + EMPTY**2)]
    torch.testing.assert_close(found, tensor(expected), rtol=0, atol=1e-11)


def test_reading_by_hand() -> None:
    slots = tensor([[[1e6, 0.0], [0.0, 1e6]]])  # so long that ε is nothing
    what, weights = read(tensor([[[2.0, 0.0]]]), tensor([[math.log(3)]]), slots)
    torch.testing.assert_close(weights, tensor([[[3 / 4, 1 / 4]]]))  # exp(log 3 · 1) : exp(log 3 · 0)
    torch.testing.assert_close(what, tensor([[[7.5e5, 2.5e5]]]))


def test_usage_by_hand() -> None:
    found = usage(tensor([[1.0, 2.0]]), tensor([[[0.25, 0.75], [1.0, 0.0]]]), tensor([[[0.5, 0.0], [0.0, 0.5]]]), 0.9)
    torch.testing.assert_close(found, tensor([[0.9 + 1.25 + 0.5, 1.8 + 0.75 + 0.5]]))


def test_the_least_used_slots_come_in_order() -> None:
    assert least_used(tensor([[0.3, 0.1, 0.9, 0.2], [4.0, 3.0, 2.0, 1.0]]), 2).tolist() == [[1, 3], [3, 2]]


def test_writing_by_hand() -> None:
    weights = write_weights(tensor([[0.25, 1.0]]), tensor([[[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]]), torch.tensor([[2, 0]]))
    torch.testing.assert_close(weights, tensor([[[0.0, 0.25, 0.75], [0.5, 0.0, 0.5]]]))
    slots = write(tensor([[[1.0], [1.0], [8.0]]]), weights, tensor([[[10.0], [100.0]]]), torch.tensor([2]))
    torch.testing.assert_close(slots, tensor([[[1 + 50.0], [1 + 2.5], [7.5 + 50.0]]]))  # the 8 is erased


def test_a_first_write_is_found_again() -> None:
    memory = empty_memory(1, 4, 3, 1, torch.zeros((), dtype=F64))
    key, other = tensor([[[1.0, -1.0, 0.5]]]), tensor([[[0.0, 0.0, 1.0]]])
    value = tensor([[[5.0, 5.0, 5.0]]])
    closed, sharp = torch.zeros(1, 1, dtype=F64), torch.full((1, 1), 50.0, dtype=F64)
    _, memory = access(memory, Emitted(key, key, closed, sharp), 0.95)
    what, memory = access(memory, Emitted(key, value, closed, sharp), 0.95)
    torch.testing.assert_close(memory.slots.sum(1), key[:, 0] + value[:, 0])  # two slots, nothing lost
    torch.testing.assert_close(what, key, rtol=0, atol=0.05)
    assert read(other, sharp, memory.slots)[1].argmax() == memory.slots.sum(-1).argmax()


@given(st.integers(0, 10_000))
def test_weights_stay_within_their_bounds(seed: int) -> None:
    memory, emitted = random_step(seed)
    _, after = access(memory, emitted, 0.95)
    torch.testing.assert_close(after.read_weights.sum(-1), torch.ones(2, 2, dtype=F64))
    weights = write_weights(emitted.gates, memory.read_weights, least_used(memory.usage, 2))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, dtype=F64))  # a mixture of two distributions
    torch.testing.assert_close(after.usage.sum(-1), 0.95 * memory.usage.sum(-1) + 4)


@given(st.integers(0, 10_000))
def test_slots_are_interchangeable(seed: int) -> None:
    memory, emitted = random_step(seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    turned = Memory(memory.slots[:, order], memory.usage[:, order], memory.read_weights[..., order])
    (what, after), (same, other) = access(memory, emitted, 0.9), access(turned, emitted, 0.9)
    torch.testing.assert_close(what, same)
    torch.testing.assert_close(after.slots[:, order], other.slots)


def test_derivatives_are_those_of_finite_differences() -> None:
    memory, emitted = random_step(1)
    inputs = [value.requires_grad_() for value in (memory.slots, memory.read_weights, *emitted)]

    def step(slots: Tensor, weights: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        what, after = access(Memory(slots, memory.usage, weights), Emitted(*rest), 0.95)
        return what, after.slots, after.read_weights

    assert torch.autograd.gradcheck(step, inputs)


def test_the_derivative_at_an_empty_slot_is_finite() -> None:
    slots = torch.zeros(1, 2, 3, dtype=F64, requires_grad=True)
    read(tensor([[[1.0, 2.0, 3.0]]]), tensor([[4.0]]), slots)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert slots.grad is not None
    assert bool(torch.isfinite(slots.grad).all())


def test_a_memory_smaller_than_the_writes_of_a_step_is_refused() -> None:
    with pytest.raises(RecipeError, match="the memory has 3 slots, but 4 heads write to 4 different slots at each step"):
        empty_memory(1, 3, 2, 4, torch.zeros(()))
    with pytest.raises(DataError, match="the memory has 2 slots, but 3 are to be written at once"):
        least_used(torch.zeros(1, 2), 3)
