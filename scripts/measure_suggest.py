"""Measure `kshot suggest` against random choice, and against other ways to choose, on BANKING77 and the Grocery Store photographs.

    python scripts/measure_suggest.py ../shared/data/banking77 ../shared/data/grocery_store/grocery_store_84.zip

In: the data sets. Out: `scripts/suggest.json`.

    curves    accuracy on the test set, in per cent, with 1 to 6 labels per class on average: chosen by `kshot suggest` and at random. The
              pool is the training part. Both start with the same random label of each class, and then label as many things at a time as
              there are classes. The head is chosen anew each time, as `kshot fit` does. Means over draws, with 95 % intervals.
    saved     the same by draw: the accuracy of `suggest` with 4 labels per class less that of random choice with 6
    choice    how `suggest` was chosen: ways to choose, with 4 labels per class. Here, a third of the training part is held out and scored,
              the test set is not touched, and the head is shrunken means, which is fast

`undecided` is the smallest margin alone; `k_means_pp` draws by the distance to what is labelled and chosen (D. Arthur, S. Vassilvitskii,
2007), `k_means_pp_undecided` by that times 1 - margin; `typical` is TypiClust (Hacohen et al. 2022): the densest thing of each of the
largest clusters without a label; `coverage` is `suggest` without the margin.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_json
from kshot.results.score.interval import mean_and_interval
from kshot.tasks.heads.answer import log_probabilities, logits, squared_distances
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.table import head_named
from kshot.tasks.labels.coverage import cover
from kshot.tasks.labels.suggest import suggest, undecided
from kshot.tasks.model import Model
from what_next_data import Data, Part, model_of, read_data

NUMBERS = Path(__file__).resolve().parent / "suggest.json"
DRAWS, MOST, AT, BASE = 20, 6, 4, 6
CHOICE_DRAWS, HELD_OUT = 5, 3
NEIGHBOURS, STEPS, COMPARED = 20, 10, 3_000

Way = Callable[[Model, np.ndarray, int, np.random.Generator], np.ndarray]
"""A model, vectors without labels, how many, a generator → places among the vectors."""


def suggested(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """What `kshot suggest` suggests."""
    return np.array([one.place for one in suggest(model, x, count).suggestions])


def at_random(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Any things."""
    return random.choice(len(x), count, replace=False)


def by_margin(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The things that the model is most undecided about."""
    return np.argsort(-_weights(model, x), kind="stable")[:count]


def by_distance(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """k-means++ from what is labelled."""
    return _spread(model, x, count, random, np.ones(len(x)))


def by_distance_and_margin(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """k-means++ from what is labelled, weighted by 1 - margin."""
    return _spread(model, x, count, random, _weights(model, x))


def by_coverage(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """What covers the others, as `kshot suggest`, but all things count alike."""
    kept = np.sort(random.choice(len(x), min(len(x), COMPARED), replace=False))
    z, known = _mapped(model, x[kept]), _mapped(model, model.vectors)
    return kept[[one.place for one in cover(z, known, np.ones(len(kept)), count)]]


def by_type(model: Model, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """TypiClust: the densest thing of each of the largest clusters without a label."""
    z, known = _mapped(model, x), _mapped(model, model.vectors)
    both = np.concatenate([known, z])
    centres = both[random.choice(len(both), len(known) + count, replace=False)].copy()
    for _ in range(STEPS):
        of = squared_distances(both, centres).argmin(1)
        for place in np.unique(of):
            centres[place] = both[of == place].mean(0)
    labelled = np.bincount(of[: len(known)], minlength=len(centres))
    sizes = np.bincount(of[len(known) :], minlength=len(centres))
    chosen: list[int] = []
    for place in np.lexsort((-sizes, labelled)):
        members = np.flatnonzero(of[len(known) :] == place)
        if len(members):
            nearest = np.sort(squared_distances(z[members], z[members]), axis=1)[:, : NEIGHBOURS + 1]
            chosen.append(int(members[nearest.mean(1).argmin()]))
        if len(chosen) == count:
            break
    return np.array(chosen)


WAYS: dict[str, Way] = {
    "suggest": suggested,
    "random": at_random,
    "undecided": by_margin,
    "k_means_pp": by_distance,
    "k_means_pp_undecided": by_distance_and_margin,
    "typical": by_type,
    "coverage": by_coverage,
}


def _weights(model: Model, x: np.ndarray) -> np.ndarray:
    return undecided(np.exp(log_probabilities(model.head, x)))


def _mapped(model: Model, x: np.ndarray) -> np.ndarray:
    return apply_map(model.head.feature_map, model.head.arrays, x)


def _spread(model: Model, x: np.ndarray, count: int, random: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    z = _mapped(model, x)
    nearest = squared_distances(z, _mapped(model, model.vectors)).min(1)
    chosen: list[int] = []
    for _ in range(count):
        share = nearest * weights
        chosen.append(int(random.choice(len(z), p=share / share.sum())))
        np.minimum(nearest, squared_distances(z, z[chosen[-1] :][:1])[:, 0], out=nearest)
        nearest[chosen[-1]] = 0
    return np.array(chosen)


def curve(pool: Part, test: Part, way: int, chooser: Way, *, draw: int, most: int, heads: tuple[Head, ...]) -> list[float]:
    """Return the accuracy on a test part with 1 … `most` labels per class on average, in per cent."""
    random = np.random.default_rng([draw, 0])
    labelled = np.array([int(random.choice(np.flatnonzero(pool.y == label))) for label in range(way)])
    found = []
    for labels in range(1, most + 1):
        examples = pool[labelled]
        choice = choose(examples.x, examples.y, way, heads)
        found.append(100 * float((logits(choice.fitted, test.x).argmax(1) == test.y).mean()))
        if labels < most:
            rest = np.setdiff1d(np.arange(len(pool)), labelled)
            model = model_of(choice.fitted, choice.name, examples, way)
            labelled = np.concatenate([labelled, rest[chooser(model, pool.x[rest], way, random)]])
    return found


def curves(data: Data, draws: int) -> dict[str, list[list[float]]]:
    """Return the curves of `suggest` and of random choice, one per draw."""
    found: dict[str, list[list[float]]] = {"suggest": [], "random": []}
    for draw in range(draws):
        for name, every in found.items():
            every.append(curve(data.train, data.test, data.way, WAYS[name], draw=draw, most=MOST, heads=()))
            print(data.name, f"draw={draw}", name, *(f"{value:.1f}" for value in every[-1]), flush=True)
    return found


def compared(data: Data, draws: int) -> Iterator[dict[str, Any]]:
    """Yield how well each way chooses, scored on a third of the training part."""
    order = np.random.default_rng(0).permutation(len(data.train))
    held = order[: len(order) // HELD_OUT]
    kept = np.setdiff1d(order, held)
    pool, test = data.train[kept], data.train[held]
    for name, chooser in WAYS.items():
        head = (head_named("shrunken_means"),)
        scores = [curve(pool, test, data.way, chooser, draw=draw, most=AT, heads=head)[-1] for draw in range(draws)]
        yield {"data": data.name, "way": name, **_in_short(np.array(scores)), "draws": draws, "pool": len(pool), "scored": len(test)}


def _in_short(scores: np.ndarray) -> dict[str, float]:
    mean, half = (round(value, 2) for value in mean_and_interval(scores))
    return {"accuracy": mean, "interval": half}


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure kshot suggest against random choice.")
    parser.add_argument("banking", type=Path, help="the folder of BANKING77")
    parser.add_argument("grocery", type=Path, help="grocery_store_84.zip")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--choice-draws", type=int, default=CHOICE_DRAWS)
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    drawn, saved, choice = [], [], []
    for data in read_data(asked.banking, asked.grocery):
        found = curves(data, asked.draws)
        pool = {"data": data.name, "pool": len(data.train), "scored": len(data.test), "draws": asked.draws, "classes": data.way}
        for name, every in found.items():
            points = [{"labels": labels, **_in_short(scores)} for labels, scores in enumerate(np.array(every).T, 1)]
            drawn.append({**pool, "way": name, "points": points})
        ahead = np.array(found["suggest"])[:, AT - 1] - np.array(found["random"])[:, BASE - 1]
        mean, half = (round(value, 2) for value in mean_and_interval(ahead))
        saved.append({"data": data.name, "suggest_labels": AT, "random_labels": BASE, "difference": mean, "interval": half})
        print(*saved[-1:], flush=True)
        for one in compared(data, asked.choice_draws):
            print(*(f"{key}={value}" for key, value in one.items()), flush=True)
            choice.append(one)
    command = f"python scripts/measure_suggest.py {asked.banking.name} {asked.grocery.name} --draws {asked.draws}"
    write_json(asked.output, {"command": command, "curves": drawn, "saved": saved, "choice": choice})


if __name__ == "__main__":
    main()
