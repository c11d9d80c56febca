"""Turned embeddings: what stays, and that no turn is likelier than another."""

import torch

from kshot.learners.memory.turning import turn


def test_a_turn_keeps_lengths_and_angles_and_differs_between_tasks() -> None:
    items = torch.randn(3, 10, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    turned = turn(items)
    torch.testing.assert_close(turned @ turned.mT, items @ items.mT)
    assert float((turned - items).abs().mean()) > 0.5
    same = turn(items[:1].expand(2, 10, 64))
    assert float((same[0] - same[1]).abs().mean()) > 0.5


def test_every_turn_is_equally_likely() -> None:
    # A uniform orthogonal matrix of 2 by 2 turns by an angle that is uniform, and mirrors half of the time.
    torch.manual_seed(0)
    turned = turn(torch.eye(2, dtype=torch.float64).expand(8000, 2, 2))  # the matrices themselves
    quadrants = 2 * (turned[:, 0, 0] > 0) + (turned[:, 0, 1] > 0)
    cells = 2 * quadrants + (torch.linalg.det(turned) > 0)
    assert bool(((torch.bincount(cells, minlength=8) - 1000).abs() < 135).all())  # four and a half standard deviations
