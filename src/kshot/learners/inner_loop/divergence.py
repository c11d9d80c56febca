"""The check that the inner steps of every task went well: the only place where an update waits for the device."""

from torch import Tensor

from kshot.errors import KshotError
from kshot.learners.inner_loop.update_rule import UpdateRule

DIVERGED = 1e6
"""A support loss above this multiple of the first (or of 1, if that is more) has diverged."""


def require_descent(losses: Tensor, names: list[str], rule: UpdateRule, error: type[KshotError]) -> None:
    """Refuse tasks whose inner steps led to a loss that is not finite, or very far up.

    Args:
        losses: Support loss before each step, and the last loss that there is, (B, steps + 1).
        names: What each task is called.
        rule: The update rule, for the message.
        error: What to raise.

    Raises:
        KshotError: A task diverged. The error is an `error`, and names the first such task and its first such step.
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
        fault = error(f"the loss of {names[task]} is {value:.3g} before any inner step. Look at its items, or at the network's parameters.")
    else:
        fault = error(
            f"the inner loop of {names[task]} diverged: its loss was {first:.3g} before the first step and is {value:.3g} after "
            f"{step} of {losses.shape[1] - 1} steps with {rule.words()}. {rule.cure}"
        )
    fault.task = task
    raise fault
