"""The blocks of pair attention: places and waves by hand, attention without content, a place that sees itself, and one image for many."""

import math

import torch
from torch import nn

from kshot.learners.heads.feature_maps import places_of
from kshot.learners.metric.pair_blocks import AttentionBlock, waves_of


def test_places_are_the_middles_of_the_cells() -> None:
    expected = torch.tensor([[-0.5, -2 / 3], [-0.5, 0.0], [-0.5, 2 / 3], [0.5, -2 / 3], [0.5, 0.0], [0.5, 2 / 3]])
    torch.testing.assert_close(places_of(2, 3, torch.zeros(1)), expected)
    assert places_of(1, 1, torch.zeros(1)).tolist() == [[0.0, 0.0]]
    assert places_of(2, 2, torch.zeros(1).double()).dtype == torch.float64


def test_waves_by_hand() -> None:
    # At 0.5: half a wave over the map, which is 2 wide, is sin(π/2 · 0.5).
    waves = waves_of(torch.tensor([[0.5, 0.0]]))
    assert waves.shape == (1, 16)
    torch.testing.assert_close(waves[0, :4], torch.tensor([math.sin(math.pi / 4), 1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(waves[0, 8:], torch.tensor([0.0] * 4 + [1.0] * 4), atol=1e-6, rtol=0)


def test_without_content_a_place_sees_a_gaussian_around_itself() -> None:
    torch.manual_seed(0)
    block = AttentionBlock(16).double()
    a = 3.0
    nn.init.zeros_(block.query.weight)
    nn.init.zeros_(block.query.bias)
    nn.init.constant_(block.log_locality, math.log(a))
    places = places_of(1, 3, torch.zeros(1).double())  # -2/3, 0, 2/3
    y = torch.randn(1, 1, 3, 16, dtype=torch.float64)
    x = torch.randn(1, 1, 3, 16, dtype=torch.float64)
    near = math.exp(-a * 4 / 9)  # the squared distance of neighbours is 4/9, of the ends 16/9
    far = math.exp(-a * 16 / 9)
    rows = torch.tensor([[1, near, far], [near, 1, near], [far, near, 1]], dtype=torch.float64)
    seen = (rows / rows.sum(1, keepdim=True)) @ block.value(block.norm(y))
    _, e = block(x, block.offer(y, places), places)
    torch.testing.assert_close(e, seen - block.value(block.norm(x)))


def test_where_the_other_image_has_the_same_everywhere_there_is_no_difference() -> None:
    torch.manual_seed(0)
    block = AttentionBlock(32).double()
    places = places_of(2, 2, torch.zeros(1).double())
    x = torch.randn(1, 1, 1, 32, dtype=torch.float64).expand(1, 1, 4, 32)
    after, e = block(x, block.offer(x, places), places)
    torch.testing.assert_close(e, torch.zeros_like(e), atol=1e-12, rtol=0)
    z = x + block.out.bias
    torch.testing.assert_close(after, z + block.layer(z))


def test_the_same_tokens_before_many_images_need_not_be_repeated() -> None:
    torch.manual_seed(0)
    block = AttentionBlock(32).double()
    places = places_of(2, 3, torch.zeros(1).double())
    x, y = torch.randn(2, 1, 12, 32, dtype=torch.float64), torch.randn(2, 3, 6, 32, dtype=torch.float64)
    rows = places.repeat(2, 1)
    offered = block.offer(y, places)
    for once, repeated in zip(block(x, offered, rows), block(x.expand(2, 3, 12, 32), offered, rows), strict=True):
        assert once.shape == (2, 3, 12, 32)
        torch.testing.assert_close(once, repeated, rtol=1e-12, atol=1e-12)
