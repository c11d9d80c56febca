"""Optimiser, learning rate, clipping and precision: how a gradient becomes a step.

In: plain settings. Out: a stock `torch.optim` optimiser and the rate of each update. Next: `kshot.meta_train.step`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from kshot.errors import RecipeError
from kshot.learners.settings import require_count, require_no_less_than_zero, require_part_below_one, require_positive
from kshot.short_repr import repr_of_fields

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "halving", "cosine", "linear")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Optimization:
    """Settings of the outer optimiser.

    Attributes:
        optimizer: `adam`, `adamw` or `sgd`.
        lr: Learning rate before the schedule, > 0.
        weight_decay: ≥ 0; decoupled for adamw, added to the gradient for the others.
        momentum: Momentum of sgd, in [0, 1).
        schedule: `constant`; `halving`, which halves the rate every `halve_every` updates; `cosine` or `linear`, which bring the rate to
            zero over the whole run.
        halve_every: Updates between two halvings, ≥ 1.
        warmup: Updates over which the rate rises linearly from zero, ≥ 0.
        clip_norm: Largest total norm of the gradient. A larger gradient is scaled down to it; 0 clips nothing.
        precision: `float32`, or `bfloat16` for autocast.

    Raises:
        RecipeError: A name is unknown, or a number is out of its range.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: Literal["constant", "halving", "cosine", "linear"] = "constant"
    halve_every: int = 2000
    warmup: int = 0
    clip_norm: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"

    __repr__ = repr_of_fields

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise RecipeError(f"{name} must be one of {', '.join(known)}; found {getattr(self, name)!r}.")
        require_positive("lr", self.lr)
        require_no_less_than_zero("weight_decay", self.weight_decay, "no decay")
        require_no_less_than_zero("clip_norm", self.clip_norm, "no clipping")
        require_part_below_one("momentum", self.momentum)
        require_count("warmup", self.warmup, 0)
        require_count("halve_every", self.halve_every, 1)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimiser of these parameters.

        Raises:
            RecipeError: There are no parameters, or all are frozen.
        """
        parameters = list(parameters)
        if not parameters:
            raise RecipeError("this learner has no parameters to train. Use it without training.")
        if not any(parameter.requires_grad for parameter in parameters):
            raise RecipeError(
                f"all {len(parameters)} parameters of this learner are frozen (requires_grad=False), so there is nothing to train. Use it "
                "without training, or unfreeze some."
            )
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)
        if self.optimizer == "adamw":
            return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)

    def check(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise an error unless an optimiser is the one that these settings describe. The rate may differ, because every update sets it.

        Raises:
            RecipeError: It is of another kind, or has another weight decay or momentum.
        """
        wanted = self.build([nn.Parameter(torch.zeros(1))])
        fixed = {name: wanted.defaults[name] for name in ("weight_decay", "momentum") if name in wanted.defaults}
        same = type(optimizer) is type(wanted)
        if same and all(group[name] == value for group in optimizer.param_groups for name, value in fixed.items()):
            return
        described = ", ".join(f"{name}={value}" for name, value in fixed.items())
        found = ", ".join(f"{name}={optimizer.param_groups[0][name]}" for name in fixed) if same else ""
        raise RecipeError(
            f"the plan asks for the optimiser {type(wanted).__name__}({described}), and the state has {type(optimizer).__name__}({found}). "
            "Train with the optimiser of the state, or start anew: kshot.start(learner, plan, stream)."
        )

    @staticmethod
    def check_parameters(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
        """Raise an error unless an optimiser moves every parameter that is trained.

        Raises:
            RecipeError: It does not hold one of them, as after a part of the learner was replaced.
        """
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        missing = sum(id(parameter) not in held for parameter in trained)
        if missing:
            raise RecipeError(
                f"the optimiser of the state does not hold {missing} of the {len(trained)} parameters that are trained: a part of the "
                "learner, or the optimiser, was replaced after kshot.start. Start anew: kshot.start(learner, plan, stream)."
            )

    def rate(self, update: int, updates: int) -> float:
        """Return the learning rate of one update.

        Args:
            update: Number of this update, 0 … updates - 1.
            updates: Number of updates of the whole run.
        """
        rate = self.lr
        if self.schedule == "halving":
            rate *= 0.5 ** (update // self.halve_every)
        elif self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * update / updates))
        elif self.schedule == "linear":
            rate *= 1 - update / updates
        return rate * min(1.0, (update + 1) / self.warmup) if self.warmup else rate
