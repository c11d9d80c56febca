"""Small networks that learn a table: 200 rows of standardised, correlated numbers, with classes or a real target, in batches of 32.

Classes come from the prior over tables that `tables-in-context` is trained on: clusters, random networks, trees, weighted sums. A table
that is too narrow gets columns that are mixtures of its own, as measures of one thing are in a real one. A real target is a random network
of the rows, with noise. The network that learns has hidden layers of 32; function n has the activation number n mod 3.

Rows of unit variance in many columns are what makes a long first step dangerous: every number of a row moves the outputs. In: numbers.
Out: an `Objective`. Next: `table`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kshot.data.tables.prior import draw_table
from kshot.episodes.counter_random import key_of, streams
from kshot.meta_train.objectives.networks import Network, activations_of, mlp_start
from kshot.meta_train.objectives.objective import Part, generators

ROWS = 200
_NOISE = 0.1
"""Deviation of the noise of a mixed column."""
_TEACHER = 8
"""Hidden units of the network that makes real targets."""
_TABLES = 1 << 40
"""Numbers of tables; which of them a function has is drawn."""


@dataclass(frozen=True)
class Tables:
    """A distribution of tables with one number of columns.

    Attributes:
        columns: Columns of a table, at least 2.
        classes: Classes of a table, 2 to 10; 0: a real target.
        hidden: Widths of the hidden layers of the network that learns it.
        tested: How many functions a test draws for each seed: one of each activation.
    """

    columns: int
    classes: int
    hidden: tuple[int, ...] = (32, 32)
    tested: int = 3

    @property
    def what(self) -> str:
        """Such as `mlp networks with hidden layers of 32, 32 on tables of 30 columns and 2 classes`."""
        target = f"{self.classes} classes" if self.classes else "a real target"
        return f"mlp networks with hidden layers of {', '.join(map(str, self.hidden))} on tables of {self.columns} columns and {target}"

    def draw(self, seed: int, numbers: Sequence[int], part: Part) -> Network:
        """B problems; arguments as in `ObjectiveKind`."""
        name = f"tables/{self.columns}/{self.classes}/{self.hidden}"
        x, y, starts = [], [], []
        for generator in generators(seed, numbers, part, name):
            rows, target = self._table(generator)
            x.append(rows)
            y.append(target)
            starts.append(mlp_start((self.columns, *self.hidden, max(1, self.classes)), generator))
        return Network(
            x=torch.stack(x),
            y=torch.stack(y),
            start={key: torch.stack([each[key] for each in starts]) for key in starts[0]},
            activations=activations_of(numbers),
            convolutional=False,
            batches=streams(key_of({"batches": name, "part": part, "seed": seed}), np.asarray(numbers, dtype=np.int64)),
        )

    def _table(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw rows (200, columns) and their classes or targets (200,)."""
        classes = self.classes or 2
        number = int(torch.randint(_TABLES, (), generator=generator))
        table = torch.from_numpy(draw_table(0, number, classes, -(-ROWS // classes)))  # (classes, rows, F)
        order = torch.randperm(table[..., 0].numel(), generator=generator)[:ROWS]
        x = _standard(table.flatten(0, 1)[order][:, : self.columns].double())
        missing = self.columns - x.shape[1]
        if missing:
            mixed = x @ torch.randn(x.shape[1], missing, generator=generator, dtype=torch.float64)
            x = torch.cat([x, _standard(mixed) + _NOISE * torch.randn(ROWS, missing, generator=generator, dtype=torch.float64)], 1)
            x = _standard(x)
        if self.classes:
            return x.float(), torch.arange(classes).repeat_interleave(table.shape[1])[order]
        hidden = torch.tanh(x @ torch.randn(self.columns, _TEACHER, generator=generator, dtype=torch.float64) / self.columns**0.5)
        told = _standard(hidden @ torch.randn(_TEACHER, 1, generator=generator, dtype=torch.float64))
        share = 0.1 + 0.8 * torch.rand((), generator=generator, dtype=torch.float64)
        told = told + share * torch.randn(ROWS, 1, generator=generator, dtype=torch.float64)
        return x.float(), _standard(told).squeeze(1).float()


def _standard(x: Tensor) -> Tensor:
    """Give every column (n, F) mean 0 and variance 1; a constant one is 0."""
    x = x - x.mean(0)
    deviation = x.std(0, correction=0)
    return x / deviation.where(deviation > 1e-9 * x.abs().amax(0).clamp_min(1e-300), torch.ones_like(deviation))
