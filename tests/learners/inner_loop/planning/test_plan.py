"""How tasks are run by itself: which way is chosen for which module."""

import numpy as np
import pytest
import torch
from torch import nn

from kshot.backbones.conv_block import ConvBlock
from kshot.backbones.strided_block import StridedBlock
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.network import buffers_of, convolves
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning.plan import plan_for
from kshot.learners.inner_loop.tasks import tasks_of

STOCK = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(75, 2))
BLOCK = nn.Sequential(ConvBlock(1, 3), nn.Flatten(), nn.Linear(12, 2))
STRIDED = nn.Sequential(StridedBlock(1, 3), nn.Flatten(), nn.Linear(27, 2))
DENSE = nn.Sequential(nn.Flatten(), nn.Linear(25, 8), nn.Tanh(), nn.Linear(8, 2))


def batch(tasks: int = 4) -> EpisodeBatch:
    y = torch.tensor([0, 1]).expand(tasks, 2)
    return EpisodeBatch(torch.rand(tasks, 2, 1, 5, 5), y, torch.rand(tasks, 2, 1, 5, 5), y, 2, np.arange(tasks))


def schedule_of(module: nn.Module, given: EpisodeBatch) -> str:
    tasks = tasks_of(given, buffers_of(module))
    return plan_for(Assignment(module, divide_parameters(module), Classification(), tasks, InnerLoop(2))).schedule


@pytest.mark.parametrize(("module", "way"), [(STOCK, "in_turn"), (BLOCK, "together"), (STRIDED, "together"), (DENSE, "together")])
def test_small_tasks_are_taken_together_but_for_stock_convolutions(module: nn.Module, way: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert schedule_of(module, batch()) == way
        assert schedule_of(module, batch(1)) == "in_turn"
    finally:
        torch.set_num_threads(before)


def test_stock_convolutions_are_over_threads_where_there_are_several() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert schedule_of(STOCK, batch()) == "threads"
    finally:
        torch.set_num_threads(before)


def test_convolutions_of_our_own_blocks_are_not_stock() -> None:
    assert [convolves(module) for module in (STOCK, BLOCK, STRIDED, DENSE)] == [True, False, False, False]
    assert convolves(nn.Sequential(STRIDED, nn.Conv1d(1, 1, 3)))
