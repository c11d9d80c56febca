"""The chosen head on small tables, against scikit-learn's usual methods.

    python -m benchmarks.heads_on_tables [--draws 50] [--shots 1 5 10] [--output FILE]

Needs scikit-learn. The tables are its iris, wine, breast cancer and digits. Each draw takes as many rows of each class as examples, and all
other rows as a test, the same for every method. kshot's columns are fitted to the examples; the others see the examples standardised.
Mark: the mean accuracy of the chosen head over all tables and shots is at most 0.5 points below that of the best of the others.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kshot.results.score.interval import mean_and_interval
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.choose import choose, heads_of_rows
from kshot.tasks.numbers.columns import fit_columns
from kshot.tasks.numbers.number_encoder import NumberEncoder

TABLES = ("iris", "wine", "breast_cancer", "digits")
MARK = 0.5
Method = Callable[[int], Any]
"""Shots → an unfitted classifier of scikit-learn."""


def rivals() -> dict[str, Method]:
    """Name scikit-learn's methods; the strength of a regression is cross-validated where a class has two examples."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier

    def logistic(shot: int) -> Any:
        if shot == 1:
            return LogisticRegression(max_iter=1000)
        folds = StratifiedKFold(min(shot, 5), shuffle=True, random_state=0)
        return LogisticRegressionCV(Cs=np.logspace(-3, 3, 7), cv=folds, scoring="neg_log_loss", max_iter=1000)

    return {
        "logistic": logistic,
        "ridge": lambda shot: RidgeClassifierCV(alphas=np.logspace(-3, 3, 13)),
        "neighbours": lambda shot: KNeighborsClassifier(1 if shot < 5 else 3),
        "forest": lambda shot: RandomForestClassifier(random_state=0),
    }


def draw(y: np.ndarray, shot: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the rows of the examples; return them and all others."""
    rng = np.random.default_rng([number, shot])
    support = np.concatenate([rng.choice(np.flatnonzero(y == one), shot, replace=False) for one in np.unique(y)])
    return support, np.setdiff1d(np.arange(len(y)), support)


def chosen(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the answers of the chosen head, and its name."""
    names = [f"column {number}" for number in range(x.shape[1])]
    rows, queries = ([dict(zip(names, row, strict=True)) for row in part.tolist()] for part in (x, query))
    encoder = NumberEncoder(fit_columns(rows, names))
    vectors, asked = (encoder.encode([encoder.read(row) for row in part]) for part in (rows, queries))
    way = int(y.max()) + 1
    choice = choose(vectors, y, way, heads_of_rows(len(vectors), vectors.shape[1], way))
    return logits(choice.fitted, asked).argmax(1), choice.name


def measure(draws: int, shots: list[int]) -> dict[str, Any]:
    """Score every method on every draw: accuracies in percent, with the half width of the 95 % interval over draws."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    scores: dict[str, dict[str, np.ndarray]] = {}
    heads: dict[str, int] = {}
    for name in TABLES:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        for shot in shots:
            found: dict[str, list[float]] = {"kshot": []}
            for number in range(draws):
                support, rest = draw(y, shot, number)
                answers, head = chosen(x[support], y[support], x[rest])
                found["kshot"].append(float((answers == y[rest]).mean()))
                heads[head] = heads.get(head, 0) + 1
                scaler = StandardScaler().fit(x[support])
                for rival, make in rivals().items():
                    answers = make(shot).fit(scaler.transform(x[support]), y[support]).predict(scaler.transform(x[rest]))
                    found.setdefault(rival, []).append(float((answers == y[rest]).mean()))
            scores[f"{name}, {shot} per class"] = {method: 100 * np.array(values) for method, values in found.items()}
            told = ", ".join(f"{method} {np.mean(values):.1f}" for method, values in scores[f"{name}, {shot} per class"].items())
            print(f"{name}, {shot} per class: {told}", flush=True)
    rounded = {
        case: {method: [round(part, 2) for part in mean_and_interval(one)] for method, one in row.items()} for case, row in scores.items()
    }
    means = {method: round(float(np.mean([row[method].mean() for row in scores.values()])), 2) for method in next(iter(scores.values()))}
    return {"draws": draws, "shots": shots, "mean": means, "chosen": heads, "accuracy": rounded}


def main() -> int:
    """Measure, print, and say whether the mark was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of folds and of steps
        found = measure(asked.draws, asked.shots)
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    means = found["mean"]
    best = max(value for method, value in means.items() if method != "kshot")
    print(f"mean of all: {', '.join(f'{method} {value:.2f}' for method, value in means.items())}; chosen: {found['chosen']}")
    met = means["kshot"] >= best - MARK
    print(f"mark: at most {MARK} points below the best of the others ({best:.2f}): {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
