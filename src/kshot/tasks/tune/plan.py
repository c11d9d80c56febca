"""How long and how fast an encoder learns: numbers that depend on the examples alone, never on the clock, so that every run is the same.

In: what is read, and how much of it. Out: a `TunePlan`. Next: `kshot.tasks.tune.stages`.
"""

import math
from dataclasses import dataclass

from kshot.encoders.encoder import Reads
from kshot.errors import RecipeError

FOLDS = 3
"""Parts of the examples. Each is left out once; the comparison with the frozen encoder is made on what was left out."""
_MOST_SEEN = 40_000
"""Examples that one stage sees at most, repetitions counted; with more examples, there are fewer passes, and at last a part of one."""


@dataclass(frozen=True)
class TunePlan:
    """How an encoder learns.

    Attributes:
        passes: How often every example is seen in a stage.
        batch: Examples per step.
        lr: Largest learning rate of the network.
        proxy_lr: Largest learning rate of the directions of the classes.
        scale: By which cosines are multiplied before they become probabilities.
        warm_up: Share of the steps in which the rates rise from 0; then they fall to 0 in a straight line.
        weight_decay: Of the network, as of AdamW.
        seed: Of all that is drawn.
        folds: Number of parts of which each is left out once.
    """

    passes: int
    batch: int
    lr: float
    proxy_lr: float
    scale: float
    warm_up: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    folds: int = FOLDS

    def steps_per_pass(self, examples: int) -> int:
        """Return the number of steps in which all examples are seen once."""
        return -(-examples // self.batch)

    def steps(self, examples: int) -> int:
        """Return the number of steps of a stage."""
        return min(self.passes * self.steps_per_pass(examples), -(-_MOST_SEEN // self.batch))

    def factor(self, step: int, steps: int) -> float:
        """Return by what the rates are multiplied in step 0 … steps - 1: more than 0 and at most 1."""
        rising = max(1, math.ceil(self.warm_up * steps))
        return (step + 1) / rising if step < rising else (steps - step) / (steps - rising + 1)


PLANS: dict[Reads, TunePlan] = {
    "texts": TunePlan(passes=8, batch=32, lr=5e-5, proxy_lr=1e-2, scale=16.0),
    "photographs": TunePlan(passes=10, batch=32, lr=3e-4, proxy_lr=1e-2, scale=16.0),
}
"""What is learned from → how."""


def plan_for(reads: Reads) -> TunePlan:
    """Return the plan for things of a kind.

    Raises:
        RecipeError: Nothing can be tuned for them.
    """
    if reads not in PLANS:
        what = "rows of numbers" if reads == "numbers" else reads
        raise RecipeError(f"--tune trains the encoder of {' or of '.join(PLANS)}, and there is none to train for {what}. Leave it out.")
    return PLANS[reads]
