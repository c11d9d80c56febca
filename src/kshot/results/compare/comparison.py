"""The outcome of a comparison of learners: a table, a sentence, plain JSON, and notes on how to read them.

In: results and costs of several learners on the same episodes. Out: a `Comparison`. Next: `kshot.terminal`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kshot.errors import RecipeError
from kshot.figure import write_png
from kshot.printable import printable
from kshot.results.compare.cost import Cost
from kshot.results.compare.paired import Standing, rank
from kshot.results.compare.plot_standings import plot_standings
from kshot.results.compare.sentence import Standings, sentence
from kshot.results.score.html_table import escaped, html_table
from kshot.results.score.result import Results, span
from kshot.short_repr import per_cent, short_repr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 30
"""With fewer episodes than this, 1.96 standard errors cover clearly less than 95 %."""


@dataclass(frozen=True, eq=False)
class Round:
    """Several learners on one set of episodes.

    Attributes:
        results: Results of each learner by name. All have the same hash of episodes.
        costs: Costs of answering a task of this form, by the same names.
        higher_is_better: Whether the higher of two scores is the better one.

    Raises:
        RecipeError: The results are not from the same episodes, or are not the same kind of score.
    """

    results: Mapping[str, Results]
    costs: Mapping[str, Cost]
    higher_is_better: bool

    def __post_init__(self) -> None:
        name, first = next(iter(self.results.items()))
        for other, one in self.results.items():
            for what in ("episodes_hash", "score_name", "mode"):
                if getattr(one, what) != getattr(first, what):
                    raise RecipeError(
                        f"learners must be compared on the same episodes by the same score; {what} is {getattr(first, what)} for {name} "
                        f"and {getattr(one, what)} for {other}. Evaluate both on one EpisodeSet."
                    )

    def __repr__(self) -> str:
        return short_repr("Round", [self.heading, "best first: " + ", ".join(one.name for one in self.standings)])

    @property
    def first(self) -> Results:
        """One of the results. It gives what all of them share: shape, data, hash."""
        return next(iter(self.results.values()))

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """Standings of the learners, best first."""
        return rank({name: one.scores for name, one in self.results.items()}, higher_is_better=self.higher_is_better)

    @property
    def shots(self) -> str:
        """Number of shots as text: `1`, or `1–5`."""
        return span(self.first.shot)

    @property
    def heading(self) -> str:
        """The test of this round in one line; `episodes` is the hash that identifies the test."""
        one = self.first
        guessing = "" if one.chance is None else f", chance {per_cent(one.chance)} %"
        test = f"{len(one.scores):,} episodes of {one.data} {one.split}, seed {one.seed}, {one.mode}"
        return f"{one.task}{guessing}, {test}, episodes {one.episodes_hash}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Learners on the same episodes, at one number of shots or several.

    Attributes:
        rounds: One for each number of shots, ascending.
        machine: Machine on which times and memory were measured, in words.
        remarks: Further sentences for the reader, for example how the learners read the data differently.
    """

    rounds: tuple[Round, ...]
    machine: str
    remarks: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Say in plain words what the comparison shows."""
        return sentence(self._standings, self.rounds[0].first.score_name)

    @property
    def _standings(self) -> Standings:
        return {one.shots: one.standings for one in self.rounds}

    def table(self) -> str:
        """Return a heading and a table for each number of shots, best learner first, in aligned Markdown that is readable as text."""
        return "\n\n".join(f"{one.heading}\n\n{_aligned(_rows(one))}" for one in self.rounds)

    def notes(self) -> tuple[str, ...]:
        """Return notes of one or two sentences each: how to read the table, and what it does not say."""
        learners = len(self.rounds[0].results)
        told = [
            "Intervals are 95 % intervals over episodes of these classes, for these trained learners; they say nothing about other "
            "classes, or about the same learners trained with other seeds.",
            "Differences are to the best learner, paired episode by episode. ≈ means: the interval contains 0, so they do not differ here.",
        ]
        if learners > 2:
            told.append(
                f"The best of the {learners} was picked on these same episodes, which flatters it. With {learners - 1} differences at "
                "95 %, one interval may exclude 0 by chance. Trust wide margins, and test narrow ones again with another --seed."
            )
        episodes = len(self.rounds[0].first.scores)
        if episodes == 1:
            told.append("One episode has no interval: ± 0 stands for none. Ask for more.")
        elif episodes < _FEW:
            told.append(f"With fewer than {_FEW} episodes, the intervals are too narrow, and ± 0 stands for none. Ask for more.")
        if episodes > 1:
            for one in self.rounds:
                where = f", {one.shots}-shot" if len(self.rounds) > 1 else ""
                # of few episodes, equal scores are part of the note above, unless they have an exact interval to name
                named = {name: each for name, each in one.results.items() if episodes >= _FEW or each.exact_interval is not None}
                cautions = {name: each.caution for name, each in named.items()}
                told += [f"{name}{where}: {words}." for name, words in cautions.items() if words is not None]
        told.append(
            "adapt, predict: median time for one new task, from the inputs to what was learned from the support set, and from there to the "
            f"answers for all its queries, with encoding, {self.machine}. kept: memory that one adapted task holds. peak: parameters and "
            "buffers, and the largest further memory in use while a task is answered."
        )
        return (*told, *self.remarks)

    def as_dict(self) -> dict[str, Any]:
        """Return one JSON object: accuracies, intervals and differences are fractions, times are in seconds, memory is in bytes."""
        return {
            "sentence": self.sentence(),
            "rounds": [_round_as_dict(one) for one in self.rounds],
            "machine": self.machine,
            "notes": list(self.notes()),
        }

    def plot(self, *, path: str | Path | None = None) -> "Figure":
        """Draw means with their intervals, and beside them the paired differences to the best: rows, or lines over the shots.

        Args:
            path: A PNG file to write in addition.

        Returns:
            The figure, which notebooks show.

        Raises:
            SetupError: matplotlib is not installed.
            SavedError: The file cannot be written.
        """
        first = self.rounds[0]
        title = first.heading.partition(", episodes ")[0]
        if len(self.rounds) > 1:  # the axis shows the shots
            title = title.replace(f" {first.shots}-shot", "")
        places = [sum(one.first.shot) / 2 if isinstance(one.first.shot, tuple) else one.first.shot for one in self.rounds]
        one = first.first
        figure = plot_standings(self._standings, places, score_name=one.score_name, title=title, chance=one.chance)
        if path is not None:
            write_png(figure, Path(path))
        return figure

    def __repr__(self) -> str:
        """Return what was compared, and the sentence. `print` also shows the tables and the notes."""
        one = self.rounds[0].first
        shots = ", ".join(each.shots for each in self.rounds)
        test = f"{len(one.scores):,} episodes of {one.data} {one.split}"
        return short_repr("Comparison", [f"{len(self.rounds[0].results)} learners", test, f"shots: {shots}", self.sentence()])

    def _repr_html_(self) -> str:
        tables = [html_table(one.heading, rows, head) for one in self.rounds for head, *rows in [_rows(one)]]
        notes = "".join(f"<li>{escaped(note)}</li>" for note in self.notes())
        told = f"<p><strong>{escaped(self.sentence())}</strong></p><details><summary>How to read it</summary><ul>{notes}</ul></details>"
        return f"<div>{''.join(tables)}{told}</div>"

    def __str__(self) -> str:
        """Return the table, the sentence and the notes."""
        return "\n\n".join([self.table(), self.sentence(), *self.notes()])


def _round_as_dict(one: Round) -> dict[str, Any]:
    shared = ("episodes", "episodes_hash", "chance", "way", "shot", "query", "data", "split", "nearness", "seed", "mode")
    plain = {name: results.as_dict() for name, results in one.results.items()}
    learners = []
    for standing in one.standings:
        own, cost, difference = plain[standing.name], one.costs[standing.name], standing.difference
        learners.append(
            {
                "name": standing.name,
                **{key: value for key, value in own.items() if key not in shared and key != "seconds"},
                "episodes_hash": own["episodes_hash"],
                "difference_to_best": {"mean": difference.mean, "interval": difference.interval, "differs": difference.differs},
                "adapt_seconds": cost.adapt_seconds,
                "predict_seconds": cost.predict_seconds,
                "timed_tasks": cost.tasks,
                "queries_a_task": cost.queries,
                "learner_bytes": cost.learner_bytes,
                "task_bytes": cost.task_bytes,
                "working_bytes": cost.working_bytes,
                "meta_parameters": cost.meta_parameters,
            }
        )
    first = next(iter(plain.values()))
    return {**{key: first[key] for key in shared}, "best": one.standings[0].name, "learners": learners}


def _rows(one: Round) -> list[list[str]]:
    percent = one.first.score_name == "accuracy"
    unit, points = (", %", ", points") if percent else ("", "")
    queries = next(iter(one.costs.values())).queries
    heads = ["learner", f"{one.first.score_name}{unit}", f"difference{points}", "adapt, ms", f"predict {queries}, ms"]
    rows = [[*heads, "kept, kB", "peak, MB", "meta-parameters", "norm statistics"]]
    for standing in one.standings:
        cost, difference = one.costs[standing.name], standing.difference
        distance = "best"
        if standing is not one.standings[0]:
            distance = f"{_number(difference.mean, difference.interval, percent, '+')}{'' if difference.differs else ' ≈'}"
        rows.append(
            [
                standing.name,
                _number(standing.mean, standing.interval, percent),
                distance,
                _three(1e3 * cost.adapt_seconds),
                _three(1e3 * cost.predict_seconds),
                _three(1e-3 * cost.task_bytes),
                "–" if cost.peak_bytes is None else _three(1e-6 * cost.peak_bytes),
                f"{cost.meta_parameters:,}",
                one.results[standing.name].statistics,
            ]
        )
    return rows


def _aligned(rows: list[list[str]]) -> str:
    """Return a Markdown table with the first column aligned left and the others aligned right."""
    rows = [[printable(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = " | ".join("-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths))
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


def _number(mean: float, interval: float, percent: bool, sign: str = "") -> str:
    return f"{100 * mean:{sign}.2f} ± {100 * interval:.2f}" if percent else f"{mean:{sign}.4g} ± {interval:.2g}"


def _three(value: float) -> str:
    """Return a size with three significant digits: 0.0123, 1.23, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
