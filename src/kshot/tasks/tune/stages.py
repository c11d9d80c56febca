"""The stages of a tuning: the encoder learns without each part of the examples in turn, then from all of them.

    stage 0 … K-1    learn from the examples outside fold k; embed all of them
    stage K          learn from all examples: the encoder that is kept, if what was left out says so

Each stage begins at the frozen encoder. Between any two steps, the tuning can be stopped and gone on with, to the same bits. In: examples
and a `TunableEncoder`. Out: the vectors of each fold, and the network of the last stage. Next: `kshot.tasks.tune.held_out`,
`kshot.tasks.tune.fit_tuned`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kshot.encoders.encoder import Tunable, TunableEncoder
from kshot.passes import watched
from kshot.tasks.tune.batches import batches_of_pass
from kshot.tasks.tune.items import Items
from kshot.tasks.tune.learning import Learning, mean_directions, vectors_of
from kshot.tasks.tune.plan import TunePlan
from kshot.tasks.tune.state_file import Progress, Read, read_state, write_state

_SAVE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Material:
    """What an encoder learns from.

    Attributes:
        things: The examples, then the words that describe classes.
        labels: The class of each, int64 (m,).
        frozen: The vectors of all under the frozen encoder, float32 (m, D).
        fold: The fold of each, int64 (m,); -1 for what is never left out.
        way: N.
    """

    things: Sequence[object]
    labels: np.ndarray
    frozen: np.ndarray
    fold: np.ndarray
    way: int


class Stopped(Exception):  # noqa: N818  # no error: the user asked for it
    """The tuning was stopped between two steps, and its state is saved."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} steps")
        self.done, self.total = done, total


class Stages:
    """A tuning in its stages.

    Args:
        encoder: The encoder. It is not changed.
        material: What it learns from.
        plan: How it learns.
        device: Where it is computed.
        file: Where the state is kept; None: nowhere.
        identity: What tells this tuning from all others, as plain JSON values.
        stop: Says whether to stop before the next step.

    Attributes:
        progress: How far it is.
        elsewhere: How this environment differs from that of a resumed state, in words.
    """

    def __init__(
        self,
        encoder: TunableEncoder,
        material: Material,
        plan: TunePlan,
        *,
        device: torch.device,
        file: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._encoder, self._material, self._plan, self._device = encoder, material, plan, device
        self._file, self._identity, self._stop = file, dict(identity or {}), stop
        self._tunable: Tunable = encoder.tunable()
        with watched(f"{encoder.reads} read", len(material.things)) as done:
            self._items = Items(self._tunable, material.things, done)
        self._start = {name: value.detach().clone() for name, value in self._tunable.network.named_parameters() if value.requires_grad}
        self._read: Read | None = None
        self.progress, self.elsewhere = Progress(), list[str]()
        self._since = self._saved = time.monotonic()

    def resume(self) -> None:
        """Go on from the state in the file.

        Raises:
            SavedError: There is none, it is damaged, or it belongs to another tuning.
        """
        assert self._file is not None
        self._read = read_state(self._file, self._identity)
        self.progress, self.elsewhere = self._read.progress, self._read.elsewhere

    @property
    def total(self) -> int:
        """Number of steps of all stages."""
        return self.steps_before(self._plan.folds + 1)

    def steps_before(self, stage: int) -> int:
        """Number of steps of all stages before one."""
        return sum(self._steps(one) for one in range(stage))

    def fold_vectors(self) -> list[np.ndarray]:
        """Run the stages of the folds.

        Returns:
            For each fold, the vectors of everything under the encoder that learned without it, float32 (m, D).

        Raises:
            Stopped: It was asked to stop.
            TrainingError: The loss is not finite.
            SavedError: The state cannot be written or does not fit.
        """
        for stage in range(self.progress.stage, self._plan.folds):
            learning = self._learn(stage)
            self.progress.folds[str(stage)] = vectors_of(learning.tunable, self._items, self._items.costs, self._device)
            self.progress.stage, self.progress.step = stage + 1, 0
            self._save(None)
        return [self.progress.folds[str(stage)] for stage in range(self._plan.folds)]

    def network(self) -> Tunable:
        """Run the last stage, and return the network as it is then. Errors are those of `fold_vectors`."""
        learning = self._learn(self._plan.folds)
        self._save(learning)
        return learning.tunable

    def _rows(self, stage: int) -> np.ndarray:
        return np.flatnonzero(self._material.fold != stage)

    def _steps(self, stage: int) -> int:
        return self._plan.steps(len(self._rows(stage)))

    def _learn(self, stage: int) -> Learning:
        """Run a stage from its beginning, or from where it was stopped, to its end."""
        material, plan, rows = self._material, self._plan, self._rows(stage)
        with torch.no_grad():
            for name, parameter in self._tunable.network.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(self._start[name])
        directions = mean_directions(material.frozen[rows], material.labels[rows], material.way)
        learning = Learning(self._tunable, plan, directions, self._device)
        if self._read is not None and self.progress.step:
            assert self._file is not None
            self._read.fill(learning, self._file)
        self._read = None
        steps, per_pass = self._steps(stage), plan.steps_per_pass(len(rows))
        before, batches, current = self.steps_before(stage), list[np.ndarray](), -1
        with watched(self._what(stage), steps) as done:
            done(self.progress.step)
            while self.progress.step < steps:
                if self._stop():
                    self._save(learning)
                    raise Stopped(before + self.progress.step, self.total)
                step = self.progress.step
                if current != step // per_pass:
                    current = step // per_pass
                    batches = batches_of_pass(self._items.costs[rows], plan.batch, plan.seed, stage, current)
                some = rows[batches[step % per_pass]]
                learning.step([self._items[row] for row in some], material.labels[some], self._items.costs[some], step, steps, stage)
                self.progress.step += 1
                done(1)
                if time.monotonic() - self._saved > _SAVE_SECONDS:
                    self._save(learning)
        return learning

    def _what(self, stage: int) -> str:
        return f"steps without part {stage + 1} of {self._plan.folds}" if stage < self._plan.folds else "steps with all examples"

    def _save(self, learning: Learning | None) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._since
        self._since = self._saved = now
        if self._file is not None:
            write_state(self._file, self._identity, self.progress, learning)


def deal_folds(labels: np.ndarray, digests: Sequence[bytes], folds: int) -> np.ndarray:
    """Divide examples into folds: each class evenly, by the content of its examples, not by their sequence.

    Args:
        labels: int64 (n,).
        digests: What tells an example from others, one per example.
        folds: K.

    Returns:
        The fold of each, 0 … K - 1, int64 (n,); -1 for the only example of a class, without which the class would be unknown.
    """
    found = np.full(len(labels), -1, dtype=np.int64)
    begin = 0
    for label in np.unique(labels).tolist():
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=lambda row: digests[row])
        if len(rows) > 1:
            found[rows] = (begin + np.arange(len(rows))) % folds
            begin += len(rows)
    return found
