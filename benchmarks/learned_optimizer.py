"""Train models that a learned optimiser never saw with it and with Adam: 100 steps of batches of 32.

    python -m benchmarks.learned_optimizer [SAVED]

SAVED is a run, a folder or a shipped name; `learned-optimizer` unless said otherwise. The models: a small classifier of two interleaved
spirals, and an MLP on scikit-learn's breast cancer, wine and diabetes tables (standardised; where scikit-learn is installed). The score is
the mean over the steps of the loss on all data, averaged over five seeds. Mark: at most 1.1 times that of Adam with the best of five rates.
"""

import importlib.util
import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import kshot
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer

STEPS, BATCH, SEEDS, MARK = 100, 32, 5, 1.1
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
Data = tuple[Tensor, Tensor]


def spirals() -> Data:
    """Two interleaved spirals: (400, 2) and labels."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.rand(400, generator=generator).sqrt() * 3 * math.pi
    label = torch.arange(400) % 2
    angle = turn + math.pi * label
    x = torch.stack((turn * angle.cos(), turn * angle.sin()), 1) / 5
    return x + 0.05 * torch.randn(x.shape, generator=generator), label


def tables() -> dict[str, Data]:
    """Scikit-learn's tables, standardised; those of classes have whole targets."""
    if importlib.util.find_spec("sklearn") is None:
        return {}
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

    found = {}
    for name, load in (("breast cancer", load_breast_cancer), ("wine", load_wine), ("diabetes", load_diabetes)):
        x, y = (torch.as_tensor(value) for value in load(return_X_y=True))
        x = ((x - x.mean(0)) / x.std(0)).float()
        found[name] = (x, ((y - y.mean()) / y.std()).float() if name == "diabetes" else y.long())
    return found


def loss_of(model: nn.Module, data: Data) -> Tensor:
    x, y = data
    return F.mse_loss(model(x).squeeze(1), y) if y.is_floating_point() else F.cross_entropy(model(x), y)


def mean_loss(data: Data, seed: int, learned: LearnedOptimizer | None, rate: float) -> float:
    """Train one model; the mean over the steps of the loss on all data."""
    torch.manual_seed(seed)
    outputs = 1 if data[1].is_floating_point() else int(data[1].max()) + 1
    model = nn.Sequential(nn.Linear(data[0].shape[1], 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs))
    optimizer = torch.optim.Adam(model.parameters(), rate) if learned is None else learned.optimizer(model.parameters())
    total = 0.0
    for _ in range(STEPS):
        items = torch.randint(len(data[0]), (BATCH,))
        optimizer.zero_grad()
        loss_of(model, (data[0][items], data[1][items])).backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
        with torch.no_grad():
            total += loss_of(model, data).item() / STEPS
    return total


class Beside(NamedTuple):
    """Mean losses on one kind of data: of the learned optimiser, and of Adam with its best rate."""

    data: str
    learned: float
    adam: float
    rate: float

    @property
    def times(self) -> float:
        """The learned optimiser's loss as a multiple of Adam's."""
        return self.learned / self.adam


def against_adam(saved: str) -> Iterator[Beside]:
    """Train with a saved optimiser and with Adam on each kind of data."""
    learned = kshot.load(saved)
    assert isinstance(learned, LearnedOptimizer), "give a learned optimiser"
    for name, data in {"spirals": spirals(), **tables()}.items():
        ours = sum(mean_loss(data, seed, learned, 0.0) for seed in range(SEEDS)) / SEEDS
        adam = {rate: sum(mean_loss(data, seed, None, rate) for seed in range(SEEDS)) / SEEDS for rate in RATES}
        best = min(adam, key=lambda rate: adam[rate])
        yield Beside(name, ours, adam[best], best)


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    torch.set_num_threads(1)
    good = True
    for one in against_adam(sys.argv[1] if len(sys.argv) > 1 else "learned-optimizer"):
        words = f"learned {one.learned:.4f}   Adam at {one.rate:g} {one.adam:.4f}   {one.times:.3f} times   mark {MARK}"
        print(f"  {one.data:<14} {words}", flush=True)
        good &= one.times <= MARK
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
