"""One step of gradient descent on a dictionary of parameters, and the check that the steps of a task went well.

    φ_{t+1} = φ_t - α ⊙ c g_t,     c = min(1, clip / ‖g_t‖), or 1 without clipping                        g_t = ∇ L_support(φ_t)

α is one number, or learnt: a number or a tensor for each parameter, the same for all steps or one for each.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kshot.errors import KshotError
from kshot.learners.inner_loop.parameters import Tensors, inner, times
from kshot.learners.settings import require_no_less_than_zero, require_positive

DIVERGED = 1e6
"""A support loss above this multiple of the first (or of 1, if that is more) has diverged."""


@dataclass(frozen=True)
class Rates:
    """The inner rate α.

    Attributes:
        rate: Of parameters that have no learnt one.
        per_step: Whether learnt rates have a first dimension that counts steps; steps beyond its length take the last.
        clip: Inner gradients with a larger total norm are scaled down to it; 0 clips nothing.
        learnt: By the parameter's name: () or the parameter's shape. The outer gradient reaches them.
        cure: What to do where steps diverge, in words.
    """

    rate: float = 0.01
    per_step: bool = False
    clip: float = 0.0
    learnt: Tensors = field(default_factory=dict)
    cure: str = "Lower inner_lr, take fewer steps, or clip inner gradients (clip=1)."

    def __post_init__(self) -> None:
        require_positive("the inner rate", self.rate)
        require_no_less_than_zero("clip", self.clip, "no clipping")

    def step(self, fast: Tensors, slopes: Tensors, learnt: Tensors, number: int, *, many: bool = False) -> Tensors:
        """φ_{t+1}.

        Args:
            fast: φ_t.
            slopes: g_t.
            learnt: In place of `self.learnt`: the same values as part of a graph.
            number: t.
            many: Whether φ_t and g_t have a first dimension of tasks.
        """
        if self.clip:
            norm = inner(slopes, slopes, many=many).clamp_min(1e-30).sqrt()
            slopes = times((self.clip / norm).clamp_max(1.0), slopes)
        moved = {}
        for name, value in fast.items():
            if name in learnt:
                rate = learnt[name][min(number, len(learnt[name]) - 1)] if self.per_step else learnt[name]
                moved[name] = value - rate * slopes[name]
            else:
                moved[name] = torch.sub(value, slopes[name], alpha=self.rate)
        return moved


def require_descent(losses: Tensor, numbers: list[str], rates: Rates, error: type[KshotError]) -> None:
    """Refuse tasks whose inner steps led to no number, or very far up.

    Args:
        losses: Support loss before each step, and the last loss that there is, (B, steps + 1). Read once: the only wait for the device.
        numbers: What each task is called.
        rates: Named in the message.
        error: What to raise.

    Raises:
        KshotError: Of the kind `error`; it names the first such task and its first such step.
    """
    if losses.shape[1] == 0:
        return
    seen = losses.detach()
    limit = DIVERGED * seen[:, :1].abs().clamp_min(1.0)
    bad = ~seen.isfinite() | (seen.abs() > limit)  # (B, steps + 1)
    if not bool(bad.any()):
        return
    task = int(bad.any(1).int().argmax())
    step = int(bad[task].int().argmax())
    value, first = float(seen[task, step]), float(seen[task, 0])
    if step == 0:
        fault = error(
            f"the loss of {numbers[task]} is {value:.3g} before any inner step. Look at its items, or at the network's parameters."
        )
    else:
        rate = "learnt inner rates" if rates.learnt else f"an inner rate of {rates.rate:g}"
        clip = f" (clipped at {rates.clip:g})" if rates.clip else ""
        fault = error(
            f"the inner loop of {numbers[task]} diverged: its loss was {first:.3g} before the first step and is {value:.3g} after "
            f"{step} of {losses.shape[1] - 1} steps with {rate}{clip}. {rates.cure}"
        )
    fault.task = task
    raise fault
