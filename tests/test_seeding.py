"""Lent generators are functions of (seed, purpose, step), and the caller's comes back."""

import hashlib

import pytest
import torch

from kshot.seeding import seeded


def drawn(seed: int, purpose: str, step: int = 0) -> list[float]:
    with seeded(seed, purpose, step):
        values: list[float] = torch.rand(3).tolist()
    return values


def test_the_same_three_give_the_same_numbers_whatever_was_drawn_before() -> None:
    torch.manual_seed(0)
    first = drawn(3, "initialisation")
    torch.rand(17)
    assert drawn(3, "initialisation") == first
    assert drawn(3, "initialisation", 0) == first


def test_each_of_the_three_matters() -> None:
    streams = [drawn(3, "dropout"), drawn(4, "dropout"), drawn(3, "initialisation"), drawn(3, "dropout", 1)]
    assert len({tuple(values) for values in streams}) == 4


def test_the_seed_by_hand() -> None:
    digest = hashlib.sha256(b"3/dropout/7").digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") % 2**63)
    assert drawn(3, "dropout", 7) == torch.rand(3, generator=generator).tolist()


def test_the_callers_generator_is_where_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4).tolist()
    torch.manual_seed(5)
    found = torch.rand(2).tolist()
    with seeded(0, "dropout"):
        torch.rand(100)
    assert found + torch.rand(2).tolist() == expected


def test_it_comes_back_after_an_error_and_from_inside_another() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(0, "dropout"), seeded(1, "dropout"):
        raise ZeroDivisionError
    assert torch.equal(before, torch.get_rng_state())
    with seeded(0, "dropout"):
        outer = torch.rand(1)
        drawn(1, "dropout")
        rest = torch.rand(1)
    assert [float(outer), float(rest)] == drawn(0, "dropout")[:2]
