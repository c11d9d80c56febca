"""Channels innermost: the same numbers, for modules that can read them, and only for those."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning.memory_layout import channels_innermost
from kshot.learners.inner_loop.tasks import Tasks


class Seen(nn.Module):
    """A convolution network that notes the layout of its maps, and flattens them by `view` or by `flatten`."""

    innermost: ClassVar[list[bool]] = []  # of the class, for the inner loop works on copies

    def __init__(self, *, by_view: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.head, self.by_view = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4 * 9, 3), by_view

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.tanh(self.norm(self.conv(x)))
        self.innermost.append(maps.is_contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.head(maps.view(len(maps), -1) if self.by_view else maps.flatten(1))
        return logits


def tasks(channels: int = 2) -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(2, n, channels, 3, 3, generator=generator, dtype=torch.float64) for n in (3, 6)]
    return EpisodeBatch(x[0], torch.arange(3).expand(2, 3), x[1], torch.arange(6).expand(2, 6) % 3, 3, np.arange(2))


@pytest.mark.parametrize("by_view", [True, False])
def test_a_module_that_views_its_maps_gets_them_as_they_are(by_view: bool) -> None:
    torch.manual_seed(0)
    module, loop = Seen(by_view=by_view).double(), InnerLoop(2, Descent(0.1), tasks="in_turn")
    found = meta_gradient(module, divide_parameters(module), Classification(), tasks(), loop)
    Seen.innermost.clear()
    again = meta_gradient(module, divide_parameters(module), Classification(), tasks(), loop)
    assert Seen.innermost == [not by_view] * 6  # two steps and the queries of two tasks; what was tried is remembered
    assert torch.equal(found.start["conv.weight"], again.start["conv.weight"])


def test_the_gradient_is_the_same_in_both_layouts() -> None:
    torch.manual_seed(0)
    flattens, views = Seen(by_view=False).double(), Seen(by_view=True).double()
    views.load_state_dict(flattens.state_dict())
    loop = InnerLoop(2, Descent(0.1), tasks="in_turn")
    one, other = (meta_gradient(module, divide_parameters(module), Classification(), tasks(), loop) for module in (flattens, views))
    for name, value in one.start.items():
        torch.testing.assert_close(value, other.start[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2])
def test_strides_say_channels_innermost_even_with_one_channel(channels: int) -> None:
    batch = tasks(channels)
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    tasks_before = Tasks(batch.support_x, batch.support_y, batch.query_x, batch.query_y, {}, torch.arange(2))
    quick = tasks_before.with_items(channels_innermost)
    for before, after in ((batch.support_x, quick.support_x), (batch.query_x, quick.query_x)):
        assert isinstance(after, Tensor)
        assert torch.equal(before, after)
        assert after[0].stride() == (9 * channels, 1, 3 * channels, channels)


def test_anything_but_images_stays_what_it_is() -> None:
    rows = {"a": torch.zeros(2, 3, 4), "b": torch.zeros(2, 3, 1, 2, 2, dtype=torch.int64)}
    quick = Tasks(rows, torch.zeros(2, 3), rows, torch.zeros(2, 3), {}, torch.arange(2)).with_items(channels_innermost)
    assert isinstance(quick.support_x, dict)
    assert all(quick.support_x[name] is value for name, value in rows.items())
