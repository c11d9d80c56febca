"""Measure the memory of the process over 10,000 training episodes: it must stay flat.

    python -m benchmarks.memory

Mark: the resident size over the last half of the run grows by less than 1 % + 2 MB. A small network keeps the run short. Sampling,
gathering, stepping and tracking are those of any run.
"""

import sys

import torch
from torch import nn

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.loop import Plan, start, train

EPISODES = 10_000


def resident_megabytes() -> float:
    """Return the resident size of this process; Linux only."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def main() -> int:
    """Print the table; return 1 if the mark is missed."""
    data = Omniglot()
    split = data.split("vinyals")
    plan = Plan(updates=EPISODES)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32))
    stream = EpisodeStream(data, split.part("train"), "vinyals/train", EpisodeShape(5, 1, 5), 0)
    sizes = {}
    for step in train(start(ProtoNet(network), plan), stream, plan):
        if step.update % 1000 == 0:
            sizes[step.update] = resident_megabytes()
    print("resident memory over 10,000 training episodes")
    for update, size in sizes.items():
        print(f"  after {update:>6,} episodes  {size:>8.1f} MB")
    growth = sizes[EPISODES] - sizes[EPISODES // 2]
    print(f"  growth over the last half {growth:+.2f} MB   mark {0.01 * sizes[EPISODES // 2] + 2:.1f} MB")
    return 0 if growth < 0.01 * sizes[EPISODES // 2] + 2 else 1


if __name__ == "__main__":
    sys.exit(main())
