"""Classify tables that were never trained on, with few examples per class, against scikit-learn's usual methods.

    python -m benchmarks.tables_in_context [SAVED] [--parkinsons FILE] [--draws 100] [--shots 1 2 5 10] [--rivals NAME …] [--tables NAME …]

SAVED is a run, a folder or a shipped name; `tables-in-context` unless said otherwise. Needs scikit-learn. The tables: its iris, wine,
breast cancer, digits (64 features reduced to 32 principal components) and diabetes (progression above its median); and, from the voice
measures in FILE, `parkinsons_updrs.data` of the UCI repository's Parkinsons Telemonitoring, the sex and `total_UPDRS` above its median
(support and queries from different people) and which of five people. Each draw has the same support set and the same at most 100 queries
for every method. Rivals see the support set standardised; the strength of logistic regression is cross-validated where a class has two
examples. Marks: mean accuracy at 5 or fewer per class at least logistic regression's, and at most 20 ms per task.
"""

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import kshot
from kshot.data.inputs import map_inputs
from kshot.learners.learner import Learner

QUERIES, MOST_MS, FEW = 100, 20.0, 5
Rival = Callable[[int], Any]
"""Shots → an unfitted classifier of scikit-learn."""


class Table(NamedTuple):
    """Rows (M, F), their classes (M,), and whose they are (M,) where support and queries must come from different people."""

    x: np.ndarray
    y: np.ndarray
    people: np.ndarray | None = None


class Task(NamedTuple):
    """One draw."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


def tables(parkinsons: Path | None) -> dict[str, Table]:
    """Open the tables."""
    from sklearn import datasets
    from sklearn.decomposition import PCA

    found = {}
    for name in ("iris", "wine", "breast_cancer", "digits"):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        found[name] = Table(PCA(32, random_state=0).fit_transform(x) if x.shape[1] > 32 else x, y)
    x, y = datasets.load_diabetes(return_X_y=True)
    found["diabetes"] = Table(x, (y > np.median(y)).astype(np.int64))
    if parkinsons is not None:
        rows = np.loadtxt(parkinsons, delimiter=",", skiprows=1)
        people, voice = rows[:, 0].astype(np.int64), rows[:, 6:]
        found["sex"] = Table(voice, rows[:, 2].astype(np.int64), people)
        found["UPDRS"] = Table(voice, (rows[:, 5] > np.median(rows[:, 5])).astype(np.int64), people)
        found["person"] = Table(voice, people - 1)
    return found


def draw(name: str, table: Table, shot: int, number: int) -> Task:
    """Draw a support set with `shot` rows of each class, and queries, from a table."""
    rng = np.random.default_rng([number, shot, *name.encode()])
    classes = np.unique(table.y)
    if name == "person":
        classes = rng.choice(classes, 5, replace=False)
    for_support = np.ones(len(table.y), dtype=bool)
    if table.people is not None:
        persons = np.unique(table.people)
        while True:  # until both halves have both classes
            for_support = np.isin(table.people, rng.choice(persons, len(persons) // 2, replace=False))
            if len(np.unique(table.y[for_support])) == len(np.unique(table.y[~for_support])) == len(classes):
                break
    support = np.concatenate([rng.choice(np.flatnonzero((table.y == one) & for_support), shot, replace=False) for one in classes])
    left = np.isin(table.y, classes) if table.people is None else ~for_support
    left[support] = False
    rest = np.flatnonzero(left)
    query = rng.choice(rest, min(QUERIES, len(rest)), replace=False)
    number_of = {one: label for label, one in enumerate(classes)}
    labels = np.array([number_of.get(one, -1) for one in table.y])
    return Task(table.x[support], labels[support], table.x[query], labels[query])


def rivals() -> dict[str, Rival]:
    """Name scikit-learn's methods."""
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def logistic(shot: int) -> Any:
        folds = StratifiedKFold(min(shot, 5), shuffle=True, random_state=0) if shot > 1 else None
        strengths = {"Cs": np.logspace(-3, 3, 7), "cv": folds, "scoring": "neg_log_loss", "max_iter": 1000}
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000) if folds is None else LogisticRegressionCV(**strengths))

    return {
        "logistic": logistic,
        "neighbours": lambda shot: make_pipeline(StandardScaler(), KNeighborsClassifier(1 if shot < 5 else 3)),
        "forest": lambda shot: RandomForestClassifier(random_state=0),
        "boosting": lambda shot: GradientBoostingClassifier(random_state=0),
    }


def answers(learner: Learner, task: Task) -> np.ndarray:
    """Return the classes that a learner names for the queries."""
    with torch.no_grad():
        rows = (learner.encode(torch.from_numpy(x).float()) for x in (task.support_x, task.query_x))
        support, query = (map_inputs(lambda value: value[None], x) for x in rows)
        y = torch.from_numpy(task.support_y)[None]
        named: np.ndarray = learner.predict(learner.adapt(support, y, way=int(y.max()) + 1), query)[0].argmax(-1).numpy()
    return named


def score(learner: Learner, table: tuple[str, Table], shot: int, draws: int, chosen: dict[str, Rival]) -> tuple[dict[str, float], float]:
    """Return the mean accuracy of each method over the draws, and the learner's milliseconds per task."""
    found: dict[str, list[float]] = {"in_context": [], **{name: [] for name in chosen}}
    spent = 0.0
    for number in range(draws):
        task = draw(*table, shot, number)
        start = time.perf_counter()
        found["in_context"].append(float((answers(learner, task) == task.query_y).mean()))
        spent += time.perf_counter() - start
        for name, make in chosen.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = make(shot).fit(task.support_x, task.support_y)
            found[name].append(float((fitted.predict(task.query_x) == task.query_y).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}, 1000 * spent / draws


def main() -> int:
    """Print a line per table and shot, then the means; 1 if a mark is missed, 2 without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None:
        print("this benchmark needs scikit-learn: pip install scikit-learn", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(description="Classify tables with few examples per class.")
    parser.add_argument("saved", nargs="?", default="tables-in-context")
    parser.add_argument("--parkinsons", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--rivals", nargs="*", default=list(rivals()), choices=list(rivals()))
    parser.add_argument("--tables", nargs="*", help="default: all")
    asked = parser.parse_args()
    learner = kshot.load(asked.saved)
    chosen = {name: rivals()[name] for name in asked.rivals}
    print(f"{'table':14s}shot{''.join(f'{name:>12s}' for name in ('in_context', *chosen))}   ms per task")
    rows: list[tuple[int, dict[str, float], float]] = []
    opened = tables(asked.parkinsons)
    for name in asked.tables or opened:
        table = opened[name]
        for shot in asked.shots:
            accuracy, spent = score(learner, (name, table), shot, asked.draws, chosen)
            rows.append((shot, accuracy, spent))
            print(f"{name:14s}{shot:4d}{''.join(f'{100 * value:12.1f}' for value in accuracy.values())}{spent:14.1f}", flush=True)
    for shot in asked.shots:
        means = {name: np.mean([accuracy[name] for one, accuracy, _ in rows if one == shot]) for name in rows[0][1]}
        print(f"{'mean':14s}{shot:4d}{''.join(f'{100 * value:12.1f}' for value in means.values())}")
    few = [accuracy for shot, accuracy, _ in rows if shot <= FEW]
    slowest = max(spent for _, _, spent in rows)
    behind = few and "logistic" in chosen and np.mean([one["in_context"] for one in few]) < np.mean([one["logistic"] for one in few])
    print(f"slowest table: {slowest:.1f} ms per task (mark {MOST_MS:.0f}){'; behind logistic regression' if behind else ''}")
    return int(bool(behind) or slowest > MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
