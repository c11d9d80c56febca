"""What a saved learner or learned optimiser is, in rows of words: what it was trained on, and how training went.

In: a name or a folder. Out: a `Description`. Next: `kshot.show_command` shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kshot.encoders.table import ENCODERS
from kshot.episodes.shape import chance
from kshot.errors import SavedError, did_you_mean
from kshot.learners.untrained import UNTRAINED
from kshot.meta_train.objectives.table import OBJECTIVES
from kshot.regular_file import look
from kshot.results.show.plot_learning import whole_validations
from kshot.saved.folder import Saved
from kshot.saved.optimizer_file import load_optimizer
from kshot.saved.shipped import find_optimizer, open_saved, shipped, shipped_optimizers
from kshot.short_repr import per_cent
from kshot.value_types import fits
from kshot.workflows.build import VALIDATION_WAY, way_or_all
from kshot.workflows.recipe import recipe_names


@dataclass(frozen=True)
class Description:
    """A saved thing in words.

    Attributes:
        kind: `learner` or `optimizer`.
        rows: Names and values.
        history: The validations of its training: update, mean, interval, loss.
        score: Name of what was validated.
        higher_is_better: Whether the highest validation is the best.
        trained_on: The data and split of its training, in words; empty if its record names none.
        chance: Accuracy of guessing in its validations; None for other scores, or if its record does not tell.
    """

    kind: str
    rows: tuple[tuple[str, str], ...]
    history: Sequence[Mapping[str, float]] = field(repr=False)
    score: str
    higher_is_better: bool
    trained_on: str = ""
    chance: float | None = None

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
    if folder is not None:
        return _optimizer(folder)
    if look(Path(source), SavedError) != "folder" and str(source) not in (*shipped(), *UNTRAINED):
        raise _nothing(str(source))
    return _learner(source)


def _nothing(name: str) -> SavedError:
    """Return the error for a name that is nothing that can be described."""
    inside = [*shipped(), *shipped_optimizers()]
    if name in recipe_names():
        return SavedError(
            f"{name} is a recipe, of which nothing is trained yet. kshot recipes {name} shows it; kshot train {name} trains it."
        )
    if name in ENCODERS:
        return SavedError(
            f"{name} is an encoder, which learns nothing here. Make a model with it: kshot fit EXAMPLES --encoder {name} -o MODEL"
        )
    return SavedError(
        f"there is nothing to show of {name!r}: no such folder.{did_you_mean(name, [*inside, *recipe_names()])} kshot show takes the "
        "folder of a model (kshot fit), of a run (kshot train), or of a saved learner or learned optimiser; and what is shipped: "
        f"{', '.join(inside)}. Recipes are shown by kshot recipes."
    )


def _learner(source: str | Path) -> Description:
    saved = open_saved(source)
    learner, record, history = saved.learner, saved.record, whole_validations(saved.record.get("validation"))
    parameters = sum(value.numel() for value in learner.parameters())
    score = "loss" if not learner.family.higher_is_better else "accuracy"
    rows = [("learner", type(learner).__name__ if saved.spec is None else saved.spec.learner)]
    if saved.spec is not None:
        rows += [("backbone", saved.spec.backbone)]
    rows += [("parameters", f"{parameters:,}")]
    rows += [(name, str(record[name])) for name in ("data", "split", "seed", "command") if record.get(name) is not None]
    guessing = validation_chance(saved)
    rows += _course(record, score, guessing)
    return Description("learner", tuple(rows), history, score, learner.family.higher_is_better, trained_on(record), guessing)


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
        order = ", second order" if recipe.get("second_order") else ""
        rows += [("gradient", f"{recipe['estimator']}{order}, {recipe['truncation']} steps per update")]
    rows += [(name, str(record[name])) for name in ("seed", "command") if record.get(name) is not None]
    rows += _course(record, "progress")
    history = whole_validations(record.get("validation"))
    return Description("optimizer", tuple(rows), history, "mean log of the loss relative to the first", False)


def trained_on(record: Mapping[str, Any]) -> str:
    """Return the data and the split of a training, as its record names them; empty if it names none."""
    named = [("", record.get("data")), ("split ", record.get("split"))]
    return ", ".join(f"{what}{value}" for what, value in named if isinstance(value, str) and value)


def validation_chance(saved: Saved) -> float | None:
    """Return the accuracy of guessing in the validations of a training; None for other scores, or if its record does not tell."""
    recipe, division = saved.record.get("recipe"), saved.record.get("division")
    look = recipe.get("validation") if isinstance(recipe, dict) else None
    way = look.get("way") if isinstance(look, dict) else None
    if way == 0 and isinstance(division, dict) and isinstance(division.get("val"), list):
        way = way_or_all(0, division["val"], VALIDATION_WAY)
    ends = [end for end in (way if isinstance(way, list) else [way, way]) if isinstance(end, int) and end > 1]
    return chance((ends[0], ends[1])) if saved.learner.family.score_name == "accuracy" and len(ends) == 2 else None


def _course(record: Mapping[str, Any], score: str, guessing: float | None = None) -> list[tuple[str, str]]:
    """How training went, as far as the record says."""
    rows = [("updates", f"{record['updates']:,}")] if fits(int, record.get("updates")) else []
    best = next((entry for entry in whole_validations(record.get("validation")) if entry["update"] == record.get("best_update")), None)
    if best is not None:
        told = f"{best['mean']:.4g} ± {best['interval']:.2g}"
        if score == "accuracy":
            beside = "" if guessing is None else f", chance {per_cent(guessing)} %"
            told = f"{100 * best['mean']:.2f} ± {100 * best['interval']:.2f} %{beside}"
        rows += [(f"best {score}", f"{told}, at update {best['update']:,}")]
    return rows
