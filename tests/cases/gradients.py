"""Gradients by finite differences, for the tests of learners."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


def assert_gradient_of(
    mean_loss: Callable[[], float],
    learner: nn.Module,
    *,
    per_parameter: int | None = None,
    step: float = 1e-6,
    rel: float | None = None,
    abs: float = 1e-6,
) -> None:
    """Every parameter's `.grad` is the central difference of `mean_loss`.

    Args:
        mean_loss: The loss with the parameters that the learner has at the time of the call.
        learner: In float64, with gradients; its parameters are moved and put back.
        per_parameter: How many numbers of each parameter are looked at, drawn at random; all without it.
        step: How far a number is moved to either side.
        rel: As in `pytest.approx`.
        abs: As in `pytest.approx`.
    """
    generator = torch.Generator().manual_seed(0)
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        places = range(len(flat)) if per_parameter is None else torch.randperm(len(flat), generator=generator)[:per_parameter].tolist()
        for i in places:
            value = float(flat[i])
            flat[i] = value + step
            above = mean_loss()
            flat[i] = value - step
            below = mean_loss()
            flat[i] = value
            assert float(gradient[i]) == pytest.approx((above - below) / (2 * step), rel=rel, abs=abs), name
