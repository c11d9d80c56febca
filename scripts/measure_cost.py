"""Measure what training and answering cost across the families, and put the table into `docs/concepts/cost.md`.

    python scripts/measure_cost.py             measures (some minutes), writes scripts/pictures/cost.json, fills the page
    python scripts/measure_cost.py --fill      fills the page from that file

Every learner has the settings of its recipe and the same network (Conv4, 64 filters, 28 × 28 pixels; Relation Networks the one that keeps
its maps), because the question is what the *algorithm* costs. None is trained beforehand: time and memory do not depend on the values of
the parameters. The learners take turns, so that other work on the machine slows all of them alike, and everything is told as a multiple of
Prototypical Networks.
"""

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.learners.learner import Learner
from kshot.meta_train.loop import Plan, Step, start, train
from kshot.results.compare.cost import Cost, measure_costs
from kshot.results.compare.peak_memory import least_peak
from kshot.results.score.episode_set import EpisodeSet
from kshot.workflows.build import learner_spec, with_features
from kshot.workflows.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "scripts" / "pictures" / "cost.json"
PAGE = ROOT / "docs" / "concepts" / "cost.md"

RECIPES = {
    "protonet": ("metric", "Prototypical Networks"),
    "matching": ("metric", "Matching Networks"),
    "siamese": ("metric", "Siamese network"),
    "relation": ("metric", "Relation Networks"),
    "ridge": ("metric", "Ridge regression head"),
    "simple-shot": ("transfer", "SimpleShot"),
    "baseline": ("transfer", "Baseline"),
    "baseline-plus-plus": ("transfer", "Baseline++"),
    "finetune": ("transfer", "Fine-tuning"),
    "first-order-maml": ("gradient", "First-order MAML"),
    "maml": ("gradient", "MAML"),
    "anil": ("gradient", "ANIL"),
    "meta-sgd": ("gradient", "Meta-SGD"),
    "maml-plus-plus": ("gradient", "MAML++"),
    "imaml": ("gradient", "Implicit MAML"),
    "reptile": ("gradient", "Reptile"),
}
TASKS, TURNS = 4, 9
SHAPE = EpisodeShape(way=5, shot=1, query=15)


def build(recipe: str, omniglot: Omniglot) -> Learner:
    """The recipe's learner on the common network."""
    changes = [] if recipe == "relation" else ["backbone.name=conv4"]
    return with_features(learner_spec(read_recipe(f"omniglot-{recipe}", changes), omniglot), omniglot).build(seed=0)


def training(learners: dict[str, Learner], omniglot: Omniglot) -> dict[str, tuple[list[float], int | None]]:
    """Seconds of each timed update, and the peak of memory of one: four 5-way 1-shot tasks, or as many labelled items."""
    part = omniglot.split("vinyals").part("train")
    episodes = EpisodeStream(omniglot, part, "vinyals/train", SHAPE, seed=0, tasks=TASKS)
    items = ItemStream(omniglot, part, "vinyals/train", seed=0, batch=TASKS * 5 * (1 + 15))
    plan = Plan(updates=TURNS + 10)
    runs: dict[str, Iterator[Step]] = {}
    for name, learner in learners.items():
        stream = items if learner.training_source == "items" else episodes
        runs[name] = train(start(learner.train(), plan, stream), stream, plan)
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for turn in range(-1, TURNS):
        for name, run in runs.items():
            began = time.perf_counter()
            next(run)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
    work: dict[str, Callable[[], Step]] = {name: run.__next__ for name, run in runs.items()}
    return {name: (seconds[name], least_peak(work[name], torch.device("cpu"))) for name in learners}


def measure() -> dict[str, object]:
    """All numbers of the page."""
    omniglot = Omniglot()
    test = EpisodeSet.draw(omniglot, omniglot.split("vinyals").part("test"), "vinyals/test", SHAPE, episodes=20)
    learners = {name: build(name, omniglot) for name in RECIPES}
    updates = training(learners, omniglot)
    costs = measure_costs(learners, dict.fromkeys(learners, test))
    reference = updates["protonet"][0]
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.partition("+")[0],
        "rows": [_row(name, updates[name], reference, costs[name], costs["protonet"]) for name in RECIPES],
    }


def _row(name: str, update: tuple[list[float], int | None], reference: list[float], cost: Cost, of_reference: Cost) -> dict[str, object]:
    family, title = RECIPES[name]
    paired = [own / other for own, other in zip(update[0], reference, strict=True)]  # of one turn: both met the same machine
    return {
        "recipe": f"omniglot-{name}",
        "title": title,
        "family": family,
        "update": statistics.median(paired),
        "update_peak_bytes": update[1],
        "adapt": cost.adapt_seconds / of_reference.adapt_seconds,
        "predict": cost.predict_seconds / of_reference.predict_seconds,
        "task_bytes": cost.task_bytes,
        "answer_peak_bytes": cost.working_bytes,
        "meta_parameters": cost.meta_parameters,
    }


def table(numbers: dict[str, object]) -> str:
    """The rows as Markdown; times as multiples of Prototypical Networks."""
    lines = [
        "| family | learner | update | memory of an update, MB | adapt to a task | answer 75 queries | kept per task, kB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = numbers["rows"]
    assert isinstance(rows, list)
    for row in rows:
        peak = "–" if row["update_peak_bytes"] is None else f"{row['update_peak_bytes'] / 1e6:.0f}"
        times = " | ".join(f"{row[key]:.2g}" if row[key] < 100 else f"{row[key]:.0f}" for key in ("adapt", "predict"))
        lines.append(f"| {row['family']} | {row['title']} | {row['update']:.2g} | {peak} | {times} | {row['task_bytes'] / 1e3:,.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure unless told not to, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", action="store_true", help="fill the page from the numbers measured before")
    if not parser.parse_args().fill:
        NUMBERS.write_text(json.dumps(measure(), indent=2) + "\n")
    text = table(json.loads(NUMBERS.read_text()))
    print(text)
    if PAGE.exists():
        page = PAGE.read_text()
        PAGE.write_text(re.sub(r"<!-- cost -->.*?<!-- end -->", lambda _: f"<!-- cost -->\n{text}\n<!-- end -->", page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
