"""Functions minimised by a rule from beginning to end, and a number for how well: to validate a learned optimiser, and to compare rules.

In: a rule and a kind of objective. Out: losses over the steps. Next: `kshot.workflows.optimizer_experiment`,
`kshot.results.score.loss_curves`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.meta_train.objectives.objective import ObjectiveKind, Part
from kshot.meta_train.unroll import FLOOR, gradients_at, weights_of


def trajectories(
    rule: UpdateRule, kind: ObjectiveKind, *, seed: int, numbers: Sequence[int], part: Part, steps: int, every: int = 1
) -> Tensor:
    """The losses on all data while a rule minimises functions.

    Args:
        rule: A learned or a hand-made rule.
        kind: Kind of objective.
        seed: Seed of the functions.
        numbers: Numbers of the functions, B of them.
        part: Part of the functions.
        steps: How many steps, a multiple of `every`.
        every: Steps from one loss to the next.

    Returns:
        (1 + steps / every, B), from before the first step to after the last one. Where a loss is not finite, it is infinite from there on.
    """
    objective = kind.draw(seed, numbers, part)
    parameters, state = objective.start, rule.init(objective.start)
    with torch.no_grad():
        curves = [objective.full_loss(parameters)]
        for step in range(steps):
            gradients = gradients_at(objective, parameters, step)[1]
            parameters, state = rule.update(gradients, state, parameters, step)
            if (step + 1) % every == 0:
                curves.append(objective.full_loss(parameters))
    curve = torch.stack(curves)
    lost = torch.isfinite(curve).logical_not().cumsum(0) > 0
    return curve.masked_fill(lost, torch.inf)


def progress_of(curves: Tensor) -> Tensor:
    """L of whole trajectories less that of standing still: the lower, the better.

    Args:
        curves: Losses (steps + 1, B), from `trajectories`. Those above a hundred times the first count as a hundred times the first.

    Returns:
        (B,).
    """
    relative = (curves[1:] / curves[0]).clamp_max(100)
    weights = weights_of(0, len(curves) - 1, len(curves) - 1)
    return weights @ (((relative + FLOOR) / (1 + FLOOR)).log() + (relative - 1).relu())
