"""The section of a recipe for a learned optimiser. Next: `recipe`, `kshot.workflows.optimizer_experiment`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OF_LEARNERS = ("data", "learner", "backbone", "episodes", "items")
"""Sections of a recipe that say something of learners alone."""


@dataclass(frozen=True)
class OptimizerRecipe:
    """The learned optimiser to train, and the functions that it is trained on. `kshot.meta_train.unroll` explains the settings."""

    rule: str = "tensor_lstm"  # or coordinate_lstm
    hidden: int = 20  # units per layer of the LSTM
    layers: int = 2  # layers of the LSTM
    functions: Mapping[str, int] = field(
        default_factory=lambda: {"quadratics": 32, "omniglot-mlp": 2}
    )  # kinds of objectives (`kshot.meta_train.objectives.table`), each with the number of functions minimised at a time
    horizon: int = 100  # steps for which a function is minimised
    truncation: int = 20  # steps per update
    estimator: Literal["truncated", "persistent"] = "truncated"  # of the gradient; persistent: evolution strategies
    second_order: bool = False  # whether the truncated estimate knows that a step changes the gradients after it
    pairs: int = 2  # pairs of perturbed rules, for the persistent estimator
    sigma: float = 0.01  # size of the perturbation, for the persistent estimator
