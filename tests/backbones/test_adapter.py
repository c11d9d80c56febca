"""The residual layer on the features of a frozen network."""

import pytest
import torch

from kshot.backbones.adapter import Adapter


def test_it_begins_as_the_features_of_unit_length() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    torch.testing.assert_close(Adapter(2)(x), torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


def test_the_root_is_taken_before_the_length() -> None:
    x = torch.tensor([[9.0, 16.0], [-4.0, 0.0]])
    torch.testing.assert_close(Adapter(2, root=True)(x), torch.tensor([[0.6, 0.8], [-1.0, 0.0]]))


def test_what_it_learned_is_added_before_the_last_length() -> None:
    adapter = Adapter(2)
    with torch.no_grad():
        adapter.change.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        adapter.change.bias.copy_(torch.tensor([0.0, 0.2]))
    torch.testing.assert_close(adapter(torch.tensor([[3.0, 4.0]])), torch.tensor([[1.4, 1.0]]) / (1.4**2 + 1) ** 0.5)


def test_every_number_learns_from_the_start() -> None:
    adapter = Adapter(3)
    adapter(torch.tensor([[1.0, 2.0, 3.0]]))[0, 0].backward()
    assert adapter.change.weight.grad is not None
    assert adapter.change.weight.grad.abs().min() > 0


def test_zero_stays_zero() -> None:
    assert Adapter(2)(torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]
    with pytest.raises(Exception, match="inputs must be at least 1"):
        Adapter(0)
