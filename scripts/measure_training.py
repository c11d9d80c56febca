"""Measure on small runs what the pages of the concepts tell: overfitting, what holds against it, how many classes to train on.

    python scripts/measure_training.py         some ten minutes on two cores; writes scripts/pictures/training.json, fills the page
    python scripts/measure_training.py --fill  fills the table of `docs/concepts/regularisation.md` from that file

All runs are Prototypical Networks with a small network (Conv4, 16 filters) on Omniglot, drawings of single characters without turned
copies, the split `characters`. They are short and small on purpose, so that anybody can run them again: the differences are what counts,
not the heights. The shipped learner is asked, too, about harder and easier tests.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kshot.backbones.conv4 import Conv4
from kshot.data.class_index import ClassIndex
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.centres import class_centres
from kshot.episodes.nearness import ClassDistances
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.loop import Plan, Validation, start, train
from kshot.meta_train.optimization import Optimization
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.saved.shipped import load
from kshot.seeding import seeded

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "scripts" / "pictures" / "training.json"
PAGE = ROOT / "docs" / "concepts" / "regularisation.md"
SEEDS, FEW, UPDATES, EVERY = (0, 1, 2), 20, 600, 50
CLASSES = (10, 30, 100, 300, 900)
Curve = list[tuple[int, float, float]]


def network(seed: int, dropout: float = 0.0) -> nn.Module:
    """The small network; dropout, where there is any, after its last layer."""
    with seeded(seed, "initialisation"):
        conv4 = Conv4(width=16)
    return nn.Sequential(conv4, nn.Dropout(dropout)) if dropout else conv4


def chosen(part: ClassIndex, count: int, seed: int) -> ClassIndex:
    """Some of the classes, of a seed's own choice."""
    return part.subset(np.random.default_rng(seed).permutation(part.names)[:count].tolist())


def run(
    omniglot: Omniglot, classes: ClassIndex, validation: EpisodeSet | None, seed: int, *, way: int = 5, updates: int = UPDATES,
    dropout: float = 0.0, augment: str = "none", optimization: Optimization = Optimization(),  # noqa: B008  # frozen
) -> tuple[Learner, Curve]:  # fmt: skip
    """One run: the learner at its end, and (update, mean training loss since the last validation, validation accuracy)."""
    learner = ProtoNet(network(seed, dropout))
    shape = EpisodeShape(way, 1, 5, augment=augment)
    stream = EpisodeStream(omniglot, classes, f"characters/{len(classes)}", shape, seed=seed, tasks=2)
    plan = Plan(updates=updates, validate_every=EVERY, seed=seed, optimization=optimization)
    curve: Curve = []
    losses: list[float] = []

    def validate(trained: Learner) -> Validation:
        assert validation is not None
        results = evaluate(trained, validation)
        return Validation(results.mean, results.interval)

    for step in train(start(learner, plan), stream, plan, None if validation is None else validate):
        losses.append(step.loss)
        if step.validation is not None:
            curve.append((step.update, float(np.mean(losses)), step.validation.mean))
            losses = []
    return learner, curve


def regularisation(omniglot: Omniglot) -> dict[str, list[Curve]]:
    """Curves of runs on a few classes, one per seed, by what holds against overfitting."""
    split = omniglot.split("characters")
    validation = EpisodeSet.draw(omniglot, split.part("val"), "characters/val", EpisodeShape(5, 1, 3), episodes=200)
    ways = {
        "nothing": {},
        "weight decay 0.1": {"optimization": Optimization(optimizer="adamw", weight_decay=0.1)},
        "dropout 0.3": {"dropout": 0.3},
        "affine": {"augment": "affine"},
        "quarter turns": {"augment": "quarter_turns"},
        "quarter turns + affine": {"augment": "quarter_turns+affine"},
    }
    return {
        name: [run(omniglot, chosen(split.part("train"), FEW, seed), validation, seed, **settings)[1] for seed in SEEDS]  # type: ignore[arg-type]  # of several kinds
        for name, settings in ways.items()
    }


def diversity(omniglot: Omniglot) -> dict[str, list[float]]:
    """Test accuracy after equally many updates on so many classes, one number per seed."""
    split = omniglot.split("characters")
    test = EpisodeSet.draw(omniglot, split.part("test"), "characters/test", EpisodeShape(5, 1, 5), episodes=400)
    return {
        str(count): [evaluate(run(omniglot, chosen(split.part("train"), count, seed), None, seed, way=10)[0], test).mean for seed in SEEDS]
        for count in CLASSES
    }


def difficulty(ways: Sequence[int]) -> dict[str, list[tuple[float, float]]]:
    """Accuracy and interval of the shipped learner for each way, by how near the classes of an episode lie."""
    omniglot, learner = Omniglot(), load("omniglot-protonet")
    test = omniglot.split("vinyals").part("test")
    distances = ClassDistances.of(test, class_centres(omniglot, test))
    found: dict[str, list[tuple[float, float]]] = {}
    for nearness in ("far", "any", "near"):
        found[nearness] = []
        for way in ways:
            shape = EpisodeShape(way, 1, 3, nearness=nearness)
            known = None if nearness == "any" else distances
            episodes = EpisodeSet.draw(omniglot, test, "vinyals/test", shape, episodes=100, distances=known)
            results = evaluate(learner, episodes)
            found[nearness].append((results.mean, results.interval))
    return found


def shots(counts: Sequence[int]) -> dict[str, list[tuple[float, float]]]:
    """Accuracy and interval for each number of shots: class means of plain pixels, and the shipped learner."""
    omniglot = Omniglot()
    test = omniglot.split("vinyals").part("test")
    found: dict[str, list[tuple[float, float]]] = {"pixels": [], "omniglot-protonet": []}
    for shot in counts:
        episodes = EpisodeSet.draw(omniglot, test, "vinyals/test", EpisodeShape(5, shot, 5), episodes=200)
        for name, learner in (("pixels", ProtoNet(nn.Flatten())), ("omniglot-protonet", load("omniglot-protonet"))):
            results = evaluate(learner, episodes)
            found[name].append((results.mean, results.interval))
    return found


def measure() -> dict[str, object]:
    """All numbers of the pages."""
    omniglot, ways, counts = Omniglot(rotations="none"), (5, 10, 20, 40), (1, 2, 3, 5, 10)
    return {
        "threads": torch.get_num_threads(),
        "few_classes": FEW,
        "every": EVERY,
        "ways": ways,
        "shots": counts,
        "by_shot": shots(counts),
        "by_nearness": difficulty(ways),
        "by_classes": diversity(omniglot),
        "regularisation": regularisation(omniglot),
    }


def table(ways: dict[str, list[Curve]]) -> str:
    """What each way of regularising gave: means over the seeds, and the lowest and highest of the best scores."""
    lines = [
        "| against overfitting | best validation accuracy, % | at the end, % | training loss at the end |",
        "| --- | --- | --- | --- |",
    ]
    for name, curves in ways.items():
        best = [100 * max(score for _, _, score in curve) for curve in curves]
        last = [100 * curve[-1][2] for curve in curves]
        loss = np.mean([curve[-1][1] for curve in curves])
        lines.append(f"| {name} | **{np.mean(best):.1f}** ({min(best):.1f} to {max(best):.1f}) | {np.mean(last):.1f} | {loss:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure unless told not to, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", action="store_true", help="fill the page from the numbers measured before")
    if not parser.parse_args().fill:
        NUMBERS.write_text(json.dumps(measure()) + "\n")
    text = table(json.loads(NUMBERS.read_text())["regularisation"])
    print(text)
    if PAGE.exists():
        page = PAGE.read_text()
        marked = f"<!-- regularisation -->\n{text}\n<!-- end -->"
        PAGE.write_text(re.sub(r"<!-- regularisation -->.*?<!-- end -->", lambda _: marked, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
