"""What a saved learner or learned optimiser is, in rows of words: what it was trained on, and how training went.

In: a name or a folder. Out: a `Description`. Next: `kshot.cli` shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kshot.errors import SavedError
from kshot.meta_train.objectives.table import OBJECTIVES
from kshot.saved.optimizer_file import load_optimizer
from kshot.saved.shipped import find_optimizer, open_saved


@dataclass(frozen=True)
class Description:
    """A saved thing in words.

    Attributes:
        kind: `learner` or `optimizer`.
        rows: Names and values.
        history: The validations of its training: update, mean, interval, loss.
        score: Name of what was validated.
        higher_is_better: Whether the highest validation is the best.
    """

    kind: str
    rows: tuple[tuple[str, str], ...]
    history: Sequence[Mapping[str, float]] = field(repr=False)
    score: str
    higher_is_better: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": self.kind, **dict(self.rows), "validation": list(self.history)}

    def required_history(self) -> Sequence[Mapping[str, float]]:
        """Return the history.

        Raises:
            SavedError: There is none to draw.
        """
        if not self.history:
            raise SavedError("its record holds no validations, so there is no course of training to draw. Leave --plot out.")
        return self.history


def describe_saved(source: str | Path) -> Description:
    """Describe a saved learner or learned optimiser.

    Args:
        source: The folder of a run or of what it saved, or the name of a shipped one.

    Raises:
        SavedError: It cannot be found or read.
    """
    folder = find_optimizer(source)
    return _learner(source) if folder is None else _optimizer(folder)


def _learner(source: str | Path) -> Description:
    saved = open_saved(source)
    learner, record, history = saved.learner, saved.record, saved.record.get("validation", ())
    parameters = sum(value.numel() for value in learner.parameters())
    score = "loss" if not learner.family.higher_is_better else "accuracy"
    rows = [("learner", type(learner).__name__ if saved.spec is None else saved.spec.learner)]
    if saved.spec is not None:
        rows += [("backbone", saved.spec.backbone)]
    rows += [("parameters", f"{parameters:,}")]
    rows += [(name, str(record[name])) for name in ("data", "split", "seed", "command") if record.get(name) is not None]
    rows += _course(record, score)
    return Description("learner", tuple(rows), history, score, learner.family.higher_is_better)


def _optimizer(folder: Path) -> Description:
    saved = load_optimizer(folder)
    arguments, record = saved.optimizer.arguments, saved.record
    weights = sum(value.numel() for value in saved.optimizer.parameters())
    rows = [
        ("learned optimiser", "it trains a model in place of Adam: kshot.load(…).optimizer(model.parameters())"),
        ("rule", f"{arguments['rule']}, {arguments['layers']} layers of {arguments['hidden']} units, {weights:,} weights"),
        ("horizon", f"{arguments['horizon']} steps"),
    ]
    recipe = record.get("recipe", {}).get("optimizer", {})
    for name, count in recipe.get("functions", {}).items():
        rows += [(f"trained on {name}", f"{OBJECTIVES[name].what if name in OBJECTIVES else 'unknown here'}, {count} at a time")]
    if recipe:
        rows += [("gradient", f"{recipe['estimator']}, {recipe['truncation']} steps per update")]
    rows += [(name, str(record[name])) for name in ("seed", "command") if record.get(name) is not None]
    rows += _course(record, "progress")
    return Description("optimizer", tuple(rows), record.get("validation", ()), "mean log of the loss relative to the first", False)


def _course(record: Mapping[str, Any], score: str) -> list[tuple[str, str]]:
    """How training went, as far as the record says."""
    rows = [("updates", f"{record['updates']:,}")] if "updates" in record else []
    best = next((entry for entry in record.get("validation", ()) if entry["update"] == record.get("best_update")), None)
    if best is not None:
        rows += [(f"best {score}", f"{best['mean']:.4g} ± {best['interval']:.2g} at update {best['update']:,}")]
    return rows
