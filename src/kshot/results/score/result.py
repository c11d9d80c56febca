"""The result of an evaluation: the scores, and everything needed to reproduce them.

In: one score per episode. Out: `Results`, which gives a record, a line, a table, a picture or plain JSON. Next: `kshot.results.compare`
compares several of them, and `kshot.results.show.report` makes a page of one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.episodes.nearness import Nearness
from kshot.episodes.shape import chance
from kshot.figure import write_png
from kshot.learners.learner import Mode
from kshot.results.score.class_spread import ClassSpread
from kshot.results.score.html_table import html_table
from kshot.results.score.interval import caution, exact_interval, mean_and_interval
from kshot.results.score.plot_scores import plot_scores
from kshot.short_repr import per_cent, short_repr

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Results:
    """Scores of one learner on one set of episodes.

    Attributes:
        scores: One score per episode, float64 (E,), in the order of the episode numbers.
        score_name: `accuracy` (a fraction) or `mean squared error`.
        data: Name of the data set.
        split: Name of the classes, for example `vinyals/test`.
        way: The way as asked for: a number, or (smallest, largest); 1 for tasks with real targets.
        shot: The shot, in the same form.
        query: Query items per class, in the same form.
        seed: Seed of the episode stream.
        episodes_hash: SHA-256 of the data's fingerprint and the drawn indices. An equal hash means an equal test.
        mode: `inductive` or `transductive`.
        statistics: The source of the batch-norm statistics: `running`, `support`, `none` (no batch norm) …
        seconds: Wall time, with embedding.
        nearness: Nearness of the classes of an episode: `any`, `near` or `far`.
        augment: What was done to the classes: `none`, or an augmentation, for example `quarter_turns`.
        steps: Gradient steps from a support set to an answer; None for learners without a number of steps.
        class_spread: How far the mean depends on the classes of the test; None where it is not measured.
        refinement: The refinement of the answers with its settings (`kshot.learners.refinement.refined.words_of`); None without one.
    """

    scores: np.ndarray
    score_name: str
    data: str
    split: str
    way: int | tuple[int, int]
    shot: int | tuple[int, int]
    query: int | tuple[int, int]
    seed: int
    episodes_hash: str
    mode: Mode
    statistics: str
    seconds: float
    nearness: Nearness = "any"
    refinement: str | None = None
    augment: str = "none"
    steps: int | None = None
    class_spread: ClassSpread | None = None

    @property
    def mean(self) -> float:
        """Mean score."""
        return mean_and_interval(self.scores)[0]

    @property
    def interval(self) -> float:
        """Half width of the 95 % interval of the mean."""
        return mean_and_interval(self.scores)[1]

    @property
    def exact_interval(self) -> tuple[float, float] | None:
        """The exact 95 % interval where all episodes have accuracy 1, or all 0, and `interval` is 0 for this reason; None otherwise."""
        return exact_interval(self.scores) if self.score_name == "accuracy" else None

    @property
    def caution(self) -> str | None:
        """A sentence that says why ± 0 is no interval here; None where there is an interval."""
        return caution(self.scores, fraction=self.score_name == "accuracy")

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing, the mean over the ways if they differ; None for other scores."""
        return None if self.score_name != "accuracy" else chance(self.way)

    def as_dict(self) -> dict[str, Any]:
        """Return one JSON object. Accuracies, chance and intervals are fractions."""
        spread = self.class_spread
        return {
            self.score_name.replace(" ", "_"): self.mean,
            "interval": self.interval,
            "chance": self.chance,
            "class_interval": None if spread is None else spread.interval,
            "classes_resampled": None if spread is None else f"{spread.count} {spread.unit}",
            "episodes": len(self.scores),
            "episodes_hash": self.episodes_hash,
            "way": _plain(self.way),
            "shot": _plain(self.shot),
            "query": _plain(self.query),
            "nearness": self.nearness,
            "augment": self.augment,
            "steps": self.steps,
            "data": self.data,
            "split": self.split,
            "seed": self.seed,
            "mode": self.mode,
            "refinement": self.refinement,
            "statistics": self.statistics,
            "seconds": round(self.seconds, 3),
        }

    @property
    def shown(self) -> str:
        """The mean with its interval; accuracies are in per cent."""
        if self.score_name == "accuracy":
            return f"{100 * self.mean:.2f} ± {100 * self.interval:.2f} %"
        return f"{self.mean:.4g} ± {self.interval:.2g}"

    @property
    def task(self) -> str:
        """The shape of an episode, in words."""
        if self.way == 1:  # tasks with real targets
            return f"{span(self.shot)}-shot, {queries(self.query)} per task"
        return f"{span(self.way)}-way {span(self.shot)}-shot, {queries(self.query)} per class{self._related}"

    @property
    def _related(self) -> str:
        augmented = "" if self.augment == "none" else f", {self.augment}"
        return {"any": "", "near": ", near classes", "far": ", far classes"}[self.nearness] + augmented

    @property
    def _mode(self) -> str:
        return self.mode if self.refinement is None else f"{self.mode}, refined by {self.refinement}"

    def rows(self) -> list[tuple[str, str]]:
        """Return everything that identifies the result, as names and values in words, for a table."""
        return [
            (self.score_name, f"{self.shown} (mean and 95 % interval)"),
            *([] if self.caution is None else [("interval", self.caution)]),
            *([] if (chance := self.chance) is None else [("chance", f"{per_cent(chance)} %")]),
            *([] if self.class_spread is None else [("with other classes", self._spread_in_words(self.class_spread))]),
            ("data", self.data),
            ("classes" if self.way != 1 else "tasks", self.split),
            ("task", self.task),
            ("episodes", f"{len(self.scores):,}"),
            ("seed of the episodes", str(self.seed)),
            ("hash of the episodes", self.episodes_hash),
            ("mode", self._mode),
            ("batch-norm statistics", self.statistics),
            *([] if self.steps is None else [("gradient steps", str(self.steps))]),
            ("seconds", f"{self.seconds:.1f}"),
        ]

    def _spread_in_words(self, spread: ClassSpread) -> str:
        if self.exact_interval is not None:
            return f"not known: the {spread.count} {spread.unit} of this test have equal scores"
        return f"{100 * self.mean:.2f} ± {100 * spread.interval:.2f} % (95 % bootstrap over {spread.count} {spread.unit})"

    def plot(self, *, path: str | Path | None = None) -> "Figure":
        """Draw how the scores spread over the episodes, and how their mean settles with its 95 % band.

        Args:
            path: A PNG file to write in addition.

        Returns:
            The figure, which notebooks show.

        Raises:
            SetupError: matplotlib is not installed.
            SavedError: The file cannot be written.
        """
        figure = plot_scores(self.scores, self.score_name, self.chance)
        if path is not None:
            write_png(figure, Path(path))
        return figure

    def __repr__(self) -> str:
        return short_repr("Results", self._told)

    def _repr_html_(self) -> str:
        return html_table("Results", self.rows())

    def __str__(self) -> str:
        """Return one line: the score with its interval, and the test that it belongs to."""
        score, *test = self._told
        return f"{score}  {', '.join(test)}"

    @property
    def _told(self) -> list[str]:
        """The score, and the test that it belongs to."""
        return [
            f"{self.score_name} {self.shown}",
            *([] if (ends := self.exact_interval) is None else [f"exact 95 % interval {100 * ends[0]:.2f} to {100 * ends[1]:.2f} %"]),
            *([] if (chance := self.chance) is None else [f"chance {per_cent(chance)} %"]),
            self.task,
            f"{len(self.scores)} episodes of {self.data} {self.split}",
            f"seed {self.seed}",
            self._mode,
            f"batch-norm statistics: {self.statistics}",
            f"episodes {self.episodes_hash[:12]}",
        ]


def _plain(value: int | tuple[int, int]) -> int | list[int]:
    return list(value) if isinstance(value, tuple) else value


def span(value: int | tuple[int, int]) -> str:
    """Return a count, or a range of counts, as text: `5`, `1–5`."""
    return f"{value[0]}–{value[1]}" if isinstance(value, tuple) else str(value)


def queries(count: int | tuple[int, int]) -> str:
    """Return a number of queries, or a range of numbers, in words."""
    return "1 query" if count == 1 else f"{span(count)} queries"
