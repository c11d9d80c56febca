"""Measure `kshot doubt`: how many labels that were swapped on purpose are in the first tenth of its list.

    python scripts/measure_doubt.py ../shared/data/banking77 ../shared/data/grocery_store/grocery_store_84.zip

In: the data sets. Out: `scripts/doubt.json`: the share of swapped labels in the first tenth of the list, in per cent, with its 95 %
interval over draws. A draw takes 10 examples of each class, from the training file of BANKING77 or from the training part of the Grocery
Store photographs (as many as there are, where there are fewer), swaps 5 % of the labels, and chooses the head as `kshot fit` does.
`random` swaps with any other class; `nearest` with the class whose mean of right labels lies nearest to that of the own one. `doubt` is the
list of `kshot doubt`; `margin` and `neighbours` are its two terms alone; `self_confidence` and `normalized_margin` are the rankings of
Northcutt et al. (2021) by the same left-out answers. A list without evidence would have 10 %.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from kshot.atomic import write_json
from kshot.results.score.interval import mean_and_interval
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.labels.doubt import Doubt, doubts
from what_next_data import Data, Part, model_of, read_data

NUMBERS = Path(__file__).resolve().parent / "doubt.json"
DRAWS, SHOTS, SWAPPED, TOP = 20, 10, 0.05, 0.1
KINDS = ("random", "nearest")


def drawn(part: Part, draw: int) -> Part:
    """Return the examples of a draw."""
    random = np.random.default_rng([draw, 1])
    return part[np.concatenate([random.permutation(np.flatnonzero(part.y == label))[:SHOTS] for label in np.unique(part.y)])]


def swapped(examples: Part, way: int, kind: str, draw: int) -> tuple[Part, np.ndarray]:
    """Swap labels, and say which, int64."""
    random = np.random.default_rng([draw, 2, KINDS.index(kind)])
    y = examples.y.copy()
    rows = random.choice(len(y), round(SWAPPED * len(y)), replace=False)
    if kind == "random":
        y[rows] = (y[rows] + random.integers(1, way, len(rows))) % way
    else:
        z = apply_map("unit length", {}, examples.x)
        means = np.stack([z[examples.y == label].mean(0) for label in range(way)])
        apart = ((means[:, None] - means[None]) ** 2).sum(2)
        np.fill_diagonal(apart, np.inf)
        y[rows] = apart[y[rows]].argmin(1)
    return Part(examples.x, y), rows


def lists(found: tuple[Doubt, ...]) -> dict[str, list[int]]:
    """Return the lists: places of examples, the most doubtful first."""
    own, other = (np.array([one.probability for one in found]), np.array([one.other_probability for one in found]))
    places, doubt = np.array([one.place for one in found]), np.array([one.doubt for one in found])
    margin = np.log(np.maximum(other, 1e-300)) - np.log(np.maximum(own, 1e-300))
    scores = {"doubt": doubt, "margin": margin, "neighbours": doubt - margin, "self_confidence": -own, "normalized_margin": other - own}
    return {name: places[np.argsort(-score, kind="stable")].tolist() for name, score in scores.items()}


def measure(data: Data, draws: int) -> list[dict[str, object]]:
    """Return one record per kind of swap and list."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for draw in range(draws):
        for kind in KINDS:
            examples, rows = swapped(drawn(data.train, draw), data.way, kind, draw)
            choice = choose(examples.x, examples.y, data.way)
            found = doubts(model_of(choice.fitted, choice.name, examples, data.way))
            top = round(TOP * len(examples))
            for name, places in lists(found.labels).items():
                shares[kind, name].append(100 * float(np.isin(rows, places[:top]).mean()))
            print(data.name, f"draw={draw}", kind, choice.name, f"{shares[kind, 'doubt'][-1]:.1f}", flush=True)
    records = []
    for (kind, name), every in shares.items():
        mean, half = (round(value, 2) for value in mean_and_interval(np.array(every)))
        records.append({"data": data.name, "swapped": kind, "list": name, "found": mean, "interval": half})
    return [{**one, "draws": draws, "examples": len(examples), "labels_swapped": len(rows)} for one in records]


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure how many swapped labels are in the first tenth of the list of kshot doubt.")
    parser.add_argument("banking", type=Path, help="the folder of BANKING77")
    parser.add_argument("grocery", type=Path, help="grocery_store_84.zip")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    records = [one for data in read_data(asked.banking, asked.grocery) for one in measure(data, asked.draws)]
    for one in records:
        print(*(f"{key}={value}" for key, value in one.items()), flush=True)
    command = f"python scripts/measure_doubt.py {asked.banking.name} {asked.grocery.name} --draws {asked.draws}"
    write_json(asked.output, {"command": command, "results": records})


if __name__ == "__main__":
    main()
