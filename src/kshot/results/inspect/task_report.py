"""A report on the tasks of a learner: accuracy by class, confused pairs, difficulty of episodes, distance of classes from training.

In: `Results`, `Confusion`, `Difficulty` and `Shift`s. Out: a `TaskReport`, as one JSON object or in sentences. Next:
`kshot.results.show.plot_tasks`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kshot.results.inspect.confusion import Confusion
from kshot.results.inspect.difficulty import QUANTILES, Difficulty
from kshot.results.inspect.rank_correlation import RankCorrelation, rank_correlation
from kshot.results.inspect.shift import Discrepancy, Shift
from kshot.results.score.result import Results

_BINS = 20
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class TaskReport:
    """All findings about the tasks of a learner.

    Attributes:
        results: Score on the same episodes.
        confusion: Confusion of the classes of the episodes.
        difficulty: Difficulty of the episodes.
        classes_of_episode: Names of the classes of the hardest and easiest episodes, by place in `difficulty`.
        shifts: Shifts in the learner's features and in the numbers of the items, as far as they could be measured.
        part: Name of the asked classes in the shifts, for example `test`.
        notes: Sentences that say what could not be measured, and why.
    """

    results: Results
    confusion: Confusion
    difficulty: Difficulty
    classes_of_episode: dict[int, tuple[str, ...]]
    shifts: tuple[Shift, ...]
    part: str
    notes: tuple[str, ...] = ()

    def correlation(self, shift: Shift) -> RankCorrelation | None:
        """Return the correlation between the distance of the asked classes from training and their accuracy."""
        distance = dict(zip(shift.names[self.part], shift.nearest[self.part], strict=True))
        asked = self.confusion.by_accuracy()
        return rank_correlation(np.array([distance[self.confusion.names[place]] for place in asked]), self.confusion.accuracy[asked])

    def as_dict(self) -> dict[str, Any]:
        """Return one JSON object. Rates are fractions."""
        found, hard = self.confusion, self.difficulty
        ends = found.interval
        return {
            **self.results.as_dict(),
            "design_effect": found.design_effect,
            "classes": [
                {
                    "name": found.names[place],
                    "accuracy": float(found.accuracy[place]),
                    "interval": ends[place].tolist(),
                    "queries": int(found.asked[place]),
                    "episodes": int(found.episodes[place]),
                }
                for place in found.by_accuracy()
            ],
            "confused": [
                {
                    "names": list(pair.names),
                    "rate": pair.rate,
                    "interval": list(pair.interval),
                    "queries": pair.queries,
                    "taken": list(pair.taken),
                }
                for pair in found.most_confused(50)
            ],
            "difficulty": {
                "quantiles": list(QUANTILES),
                "accuracy": np.quantile(hard.accuracy, QUANTILES).tolist(),
                "uncertainty": np.quantile(hard.uncertainty, QUANTILES).tolist(),
                "histogram": {
                    "edges": np.linspace(0, 1, _BINS + 1).tolist(),
                    "accuracy": np.histogram(hard.accuracy, _BINS, (0, 1))[0].tolist(),
                    "uncertainty": np.histogram(hard.uncertainty, _BINS, (0, 1))[0].tolist(),
                },
                "scale": hard.scale,
                "hardest": [self._episode(int(place)) for place in hard.hardest(_SHOWN)],
                "easiest": [self._episode(int(place)) for place in hard.easiest(_SHOWN)],
            },
            "shift": {shift.space: self._shift(shift) for shift in self.shifts},
            "notes": list(self.notes),
        }

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield headings, each with its lines."""
        yield "Classes", self._class_lines()
        yield "Most confused pairs", self._pair_lines()
        yield "Difficulty of the episodes", self._difficulty_lines()
        yield "Distance from the training classes", [line for shift in self.shifts for line in self._shift_lines(shift)] + list(self.notes)

    def _episode(self, place: int) -> dict[str, Any]:
        return {
            "number": int(self.difficulty.numbers[place]),
            "accuracy": float(self.difficulty.accuracy[place]),
            "uncertainty": float(self.difficulty.uncertainty[place]),
            "classes": list(self.classes_of_episode[place]),
        }

    def _shift(self, shift: Shift) -> dict[str, Any]:
        correlation = self.correlation(shift)
        return {
            "unit": shift.unit,
            "nearest": {
                part: {
                    "classes": len(values),
                    "quantiles": np.quantile(values, QUANTILES).tolist(),
                    "beyond_95_percent_of_training": shift.beyond(part),
                }
                for part, values in shift.nearest.items()
            },
            "discrepancy": {part: asdict(one) for part, one in shift.discrepancy.items()},
            "accuracy_with_distance": None if correlation is None else asdict(correlation),
        }

    def _class_lines(self) -> list[str]:
        found, order, ends = self.confusion, self.confusion.by_accuracy(), self.confusion.interval
        accuracy = found.accuracy[order]
        perfect = int((accuracy == 1).sum())
        worst = [place for place in order[:_SHOWN] if found.accuracy[place] < 1]
        lines = [
            f"{len(order):,} of {len(found.names):,} classes were asked, each with {np.median(found.asked[order]):.0f} queries in "
            f"{np.median(found.episodes[order]):.0f} episodes (medians); {perfect:,} had no mistake.{' The worst:' if worst else ''}"
        ]
        lines += [
            f"  {100 * found.accuracy[place]:5.1f} %  {found.names[place]}  "
            f"({100 * ends[place, 0]:.0f} to {100 * ends[place, 1]:.0f} %, {found.asked[place]} queries)"
            for place in worst
        ]
        return lines

    def _pair_lines(self) -> list[str]:
        pairs = self.confusion.most_confused(_SHOWN)
        if not pairs:
            return ["No class was taken for another."]
        return [
            f"  {100 * pair.rate:5.1f} %  {pair.names[0]} – {pair.names[1]}  ({sum(pair.taken)} mistakes in {pair.queries} queries; "
            f"{100 * pair.interval[0]:.0f} to {100 * pair.interval[1]:.0f} %)"
            for pair in pairs
        ]

    def _difficulty_lines(self) -> list[str]:
        hard = self.difficulty
        lines = []
        meaning = " 0 % is sure of every answer, 100 % finds all classes equally likely."
        for name, values, ends in (("accuracy", hard.accuracy, ""), ("uncertainty", hard.uncertainty, meaning)):
            least, low, middle, high, most = (100 * np.quantile(values, (0, 0.05, 0.5, 0.95, 1))).tolist()
            lines.append(
                f"The median {name} of an episode is {middle:.1f} %; nine in ten episodes have {low:.1f} to {high:.1f} %, all have "
                f"{least:.1f} to {most:.1f} %.{ends}"
            )
        together = rank_correlation(hard.uncertainty, 1 - hard.accuracy)
        if together is not None:
            lines.append(
                f"The less sure the learner is, the more it errs: rank correlation {together.rho:.2f}."
                if together.rho > 0
                else f"The learner's uncertainty says nothing about its errors: rank correlation {together.rho:.2f}."
            )
        for name, places in (("Hardest", hard.hardest(_SHOWN)), ("Easiest", hard.easiest(_SHOWN))):
            listed = ", ".join(f"{hard.numbers[place]} ({100 * hard.accuracy[place]:.1f} %)" for place in places)
            lines.append(f"{name}: episodes {listed} of seed {self.results.seed}, set {self.results.episodes_hash[:12]}.")
        return lines

    def _shift_lines(self, shift: Shift) -> list[str]:
        where = "In the learner's features" if shift.space == "features" else "In the numbers of the items"
        lines = []
        for part in shift.discrepancy:
            one = shift.discrepancy[part]
            lines += [
                f"{where}, half of the {len(shift.names[part]):,} {part} classes lie more than {shift.median(part):.2f} times as far from "
                f"the nearest training class as training classes do from each other; {100 * shift.beyond(part):.1f} % lie farther out than "
                "95 % of the training classes.",
                f"As a whole, the {part} classes {_differ(one)} the training classes: their discrepancy is {one.mmd2:.4f} (MMD²: 0 for two "
                f"sets that are spread alike, at most 2). A random division of the same classes has {one.by_chance:.4f} on average, and as "
                f"much as this with a probability of p {'≤' if one.p <= 0.005 else '='} {one.p:.3g}.",
            ]
        correlation = self.correlation(shift)
        if correlation is not None:
            lines.append(f"{where}, {_in_words(correlation)} ({correlation}).")
        return lines


def _differ(found: Discrepancy) -> str:
    return "are spread differently from" if found.p <= 0.05 else "show no difference in spread from"


def _in_words(found: RankCorrelation) -> str:
    low, high = found.interval
    if low <= 0 <= high:
        return "the accuracy of a class neither rises nor falls with its distance from training"
    strength = "slightly" if abs(found.rho) < 0.3 else "clearly"
    return f"the accuracy of a class {'falls' if found.rho < 0 else 'rises'} {strength} with its distance from training"
