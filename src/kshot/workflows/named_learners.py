"""Who takes part in a comparison: learners by the names that a person gives them.

In: names of folders, shipped learners, recipes, and learners that need no training. Out: `Entrant`s; what is to be trained first is
known before anything is. Next: `kshot.workflows.same_test`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kshot.errors import RecipeError, SavedError, did_you_mean
from kshot.learners.untrained import UNTRAINED
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved, shipped
from kshot.workflows.experiment import foreseen, prepare
from kshot.workflows.recipe import Recipe, read_recipe, recipe_names
from kshot.workflows.run_folder import LEARNER, begun, finished


@dataclass(frozen=True)
class ToTrain:
    """A run that is to be done first.

    Attributes:
        recipe: What it does.
        folder: Where it writes.
        resume: Whether the folder holds its state already.
    """

    recipe: Recipe
    folder: Path
    resume: bool


@dataclass(frozen=True)
class Entrant:
    """A learner that takes part.

    Attributes:
        saved: The learner; where it is still to be trained, as it is before training.
        first: What has to be done before; None for a learner that is there.
    """

    saved: Saved
    first: ToTrain | None = None


def find_entrants(names: Sequence[str], runs: Path, device: str = "auto") -> dict[str, Entrant]:
    """Learners by name, in this order: a path, a learner that ships, a recipe, a learner that needs no training.

    Args:
        names: A saved learner's folder, the folder of a run, a shipped learner, a recipe (a built-in name or a TOML file), or a name
            in `UNTRAINED`. A recipe that was trained is the learner of its run.
        runs: The run of a recipe is the folder of its name in here.
        device: Where recipes will be trained.

    Raises:
        RecipeError: There are fewer than two, or one is named twice.
        SavedError: There is no learner or recipe of a name, or a folder is none of these.
        KshotError: A recipe cannot be trained as it stands.
    """
    if len(names) < 2:
        raise RecipeError(
            f"a comparison needs at least two learners; found {', '.join(names) or 'none'}. Name another, or score one with kshot evaluate."
        )
    entrants: dict[str, Entrant] = {}
    places: dict[str, str] = {}
    for name in names:
        entrant = _entrant(name, runs, device)
        where = entrant.saved.folder if entrant.first is None else entrant.first.folder / LEARNER
        place = name if where is None else str(where.resolve())
        if place in places:
            raise RecipeError(f"{places[place]} and {name} are the same learner; a learner takes part once. Drop one of them.")
        places[place] = name
        entrants[name] = entrant
    return entrants


def _entrant(name: str, runs: Path, device: str) -> Entrant:
    path = Path(name)
    if path.is_dir() or name in shipped():
        return Entrant(open_saved(name))
    if path.suffix == ".toml" or name in recipe_names():
        recipe, folder = read_recipe(name), runs / path.stem
        if finished(folder, recipe):
            return Entrant(open_saved(folder))
        resume = begun(folder)
        return Entrant(foreseen(prepare(recipe, folder, resume=resume, device=device)), ToTrain(recipe, folder, resume))
    if name in UNTRAINED:
        return Entrant(open_learner(name))
    raise SavedError(
        f"there is no learner {name!r}: no such folder.{did_you_mean(name, [*shipped(), *UNTRAINED, *recipe_names()])} The shipped "
        f"learners are {', '.join(shipped()) or 'none'}; those that need no training are {', '.join(UNTRAINED)}; the recipes are "
        f"{', '.join(recipe_names())}."
    )


def open_learner(name: str) -> Saved:
    """A saved or shipped learner, or one of `UNTRAINED`, which brings no data and no preprocessing of its own.

    Raises:
        SavedError: It is none of these, or cannot be read.
    """
    if Path(name).is_dir() or name in shipped():
        return open_saved(name)
    if name in UNTRAINED:
        return Saved(UNTRAINED[name]().eval(), None)
    if name in recipe_names():
        raise SavedError(
            f"{name} is a recipe, and no learner of it ships. Train it first: kshot train {name}; then name its run: runs/{name}."
        )
    known = [*shipped(), *UNTRAINED]
    raise SavedError(
        f"there is no learner {name!r}: no such folder.{did_you_mean(name, known)} The shipped learners are "
        f"{', '.join(shipped()) or 'none'}; those that need no training are {', '.join(UNTRAINED)}."
    )
