"""Resizing without PyTorch gives PyTorch's results: learners were trained on pictures that PyTorch had resized."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from kshot.data.pictures.resample import enlarge_linear, resize_bytes, resize_cubic, slide


def test_a_case_by_hand() -> None:
    two = np.array([[[0, 100, 200, 40]] * 4], dtype=np.uint8)
    # Each new pixel covers two old ones; the triangle around its middle gives them 1/8, 3/8, 3/8, 1/8, less what lies outside.
    left = (3 / 8 * 0 + 3 / 8 * 100 + 1 / 8 * 200) / (7 / 8)
    right = (1 / 8 * 100 + 3 / 8 * 200 + 3 / 8 * 40) / (7 / 8)
    assert resize_bytes(two, 2).tolist() == [[[round(left), round(right)]] * 2]
    assert enlarge_linear(np.array([[[0.0, 4.0]]], np.float32), 2)[0, 0].tolist() == [0, 1, 3, 4]
    assert slide(np.add, np.arange(12).reshape(3, 4), 2).tolist() == [[10, 14, 18], [26, 30, 34]]
    assert slide(np.maximum, np.array([[1, 5, 2], [0, 3, 9]]), 2).tolist() == [[5, 9]]


@pytest.mark.slow
@given(st.integers(1, 120), st.integers(1, 200), st.integers(0, 2**32 - 1), st.booleans())
def test_bytes_come_out_as_pytorch_s_to_the_bit(before: int, after: int, seed: int, drawing: bool) -> None:
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (2, 1, before, before), dtype=np.uint8)
    if drawing:
        pictures = (pictures > 200).astype(np.uint8) * np.uint8(255)
    expected = F.interpolate(torch.from_numpy(pictures), size=(after, after), mode="bilinear", antialias=True)
    assert np.array_equal(resize_bytes(pictures, after), expected.numpy())


def test_many_pictures_come_out_as_each_alone() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (150, 1, 20, 20), dtype=np.uint8)
    chosen = [0, 63, 64, 149]
    assert np.array_equal(resize_bytes(pictures, 7)[chosen], np.stack([resize_bytes(pictures[i], 7) for i in chosen]))


def test_one_size_is_copied() -> None:
    pictures = np.full((1, 3, 3), 7, np.uint8)
    same = resize_bytes(pictures, 3)
    same[:] = 0
    assert pictures.min() == 7


@pytest.mark.slow
@pytest.mark.parametrize("averaged", [True, False])
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.1, 4), st.integers(0, 2**32 - 1))
def test_cubic_values_are_pytorch_s_but_for_rounding(averaged: bool, height: int, width: int, scale: float, seed: int) -> None:
    values = np.random.default_rng(seed).random((height, width), np.float32)
    rows, columns = max(1, round(height * scale)), max(2, round(width * scale))  # of a single column, PyTorch 2.13 repeats the first value
    expected = F.interpolate(torch.from_numpy(values)[None, None], size=(rows, columns), mode="bicubic", antialias=averaged)[0, 0]
    np.testing.assert_allclose(resize_cubic(values, rows, columns, averaged=averaged), expected.numpy(), rtol=0, atol=3e-6)


@pytest.mark.slow
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 17), st.integers(0, 2**32 - 1))
def test_linear_values_are_pytorch_s_but_for_rounding(rows: int, columns: int, factor: int, seed: int) -> None:
    grid = np.random.default_rng(seed).normal(size=(3, rows, columns)).astype(np.float32)
    size = (rows * factor, columns * factor)
    expected = F.interpolate(torch.from_numpy(grid).double()[None], size=size, mode="bilinear")[0]
    enlarged = enlarge_linear(grid, factor)
    assert enlarged.dtype == np.float32
    np.testing.assert_allclose(enlarged, expected.numpy(), rtol=0, atol=1e-6)


@given(st.floats(-3, 3, width=32), st.integers(1, 17))
def test_even_paper_stays_even_to_the_bit(value: float, factor: int) -> None:
    assert np.array_equal(
        enlarge_linear(np.full((1, 4, 3), value, np.float32), factor), np.full((1, 4 * factor, 3 * factor), value, np.float32)
    )
