"""The training state: where a run is between two updates.

`TrainState` holds the learner, the optimiser, the progress of the run, the best state so far, the patience used up and the history.
Everything else about a run is a function of its recipe: the schedule depends on the number of the update; the episodes and the randomness
of stock modules depend on (seed, update). Next: `kshot.meta_train.loop` changes it, `kshot.meta_train.state_file` keeps it.
"""

import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from kshot.learners.learner import Trainable
from kshot.short_repr import short_repr, shown

Trained = TypeVar("Trained", bound=Trainable)


@dataclass
class TrainState(Generic[Trained]):
    """The state of a run between two updates.

    Attributes:
        learner: The learner, or a learned optimiser in its training, with its present parameters and buffers.
        optimizer: Optimiser of the parameters that are trained.
        update: Updates done.
        with_head: The module that holds the learner and a head, if the learner is trained with a head (`Learner.for_training`).
        best: Parameters and buffers of the learner at the best validation so far, by name, on the CPU; empty before the first one.
        best_score: Score of the best validation, or None.
        best_update: Updates done at the best validation.
        waited: Validations since the best one.
        stopped: Whether patience ran out.
        history: One entry per validation: update, mean, interval, and the mean training loss since the validation before.
        loss_sum: Sum of the losses since the last validation, so that its mean survives a resume.
    """

    learner: Trained
    optimizer: torch.optim.Optimizer
    with_head: Trainable | None = None
    update: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float | None = None
    best_update: int = 0
    waited: int = 0
    stopped: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0

    def __repr__(self) -> str:
        best = "no validation yet" if self.best_score is None else f"best {shown(self.best_score)} at update {self.best_update}"
        head = [] if self.with_head is None else [f"with_head={type(self.with_head).__name__}"]
        parts = [f"update={self.update}", repr(self.learner), *head, type(self.optimizer).__name__, best, f"waited={self.waited}"]
        return short_repr("TrainState", [*parts, f"stopped={self.stopped}"])

    @property
    def trained(self) -> Trainable:
        """The module that an update changes: the learner with its head, or the learner."""
        return self.learner if self.with_head is None else self.with_head

    def best_or_last(self) -> dict[str, Tensor]:
        """Return the tensors to keep when the run is over."""
        return self.best or on_cpu(self.learner.state_dict())


def on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU that share no memory; a copy of anything that is no tensor (`get_extra_state`)."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() if isinstance(tensor, Tensor) else copy.deepcopy(tensor)
        for name, tensor in tensors.items()
    }
