"""The learners of a comparison, found by the names that a person gives.

In: names of folders, shipped learners, recipes, and learners that need no training. Out: `Entrant`s. They say which runs must be trained
first, before any training begins. Next: `kshot.score_commands`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kshot.errors import RecipeError, SavedError, did_you_mean
from kshot.learners.untrained import UNTRAINED
from kshot.regular_file import look
from kshot.saved.folder import Saved
from kshot.saved.shipped import find_optimizer, open_saved, shipped
from kshot.workflows.experiment import foreseen, prepare
from kshot.workflows.own_learner import names_module, open_own
from kshot.workflows.recipe import Recipe, read_recipe, recipe_names
from kshot.workflows.run_folder import LEARNER, begun, finished


@dataclass(frozen=True)
class ToTrain:
    """A run that must be trained first.

    Attributes:
        recipe: The recipe of the run.
        folder: The folder of the run.
        resume: Whether the folder already holds a state of the run.
    """

    recipe: Recipe
    folder: Path
    resume: bool


@dataclass(frozen=True)
class Entrant:
    """A learner that takes part in a comparison.

    Attributes:
        saved: The learner. If it must be trained first, this is the untrained learner.
        first: The run that must be trained first; None for a learner that exists already.
    """

    saved: Saved
    first: ToTrain | None = None


def find_entrants(names: Sequence[str], runs: Path, device: str = "auto") -> dict[str, Entrant]:
    """Find learners by name.

    A name is tried, in this order, as a path, a shipped learner, a recipe, a learner without training, `module:name`.

    Args:
        names: Folders of saved learners or of runs, shipped learners, recipes (a built-in name or a TOML file), or names in
            `UNTRAINED`. A trained recipe stands for the learner of its run.
        runs: Folder of the runs. The run of a recipe is the folder with its name in here.
        device: Device on which recipes will be trained.

    Raises:
        RecipeError: There are fewer than two learners, or one is named twice.
        SavedError: There is no learner or recipe of a name, or a folder is neither a learner nor a run.
        KshotError: A recipe cannot be trained as it is.
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
            raise RecipeError(f"{places[place]} and {name} are the same learner, but each may take part once. Drop one of them.")
        places[place] = name
        entrants[name] = entrant
    return entrants


def _entrant(name: str, runs: Path, device: str) -> Entrant:
    path = Path(name)
    if look(path, SavedError) == "folder" or name in shipped() or find_optimizer(name) is not None:  # which is refused in words
        return Entrant(open_saved(name))
    if path.suffix == ".toml" or name in recipe_names():
        recipe, folder = read_recipe(name), runs / path.stem
        if recipe.trains == "optimizer":
            raise RecipeError(
                f"the recipe {name} trains a learned optimiser, not a learner: it answers no queries, so it has no accuracy to compare. "
                f"Train it with kshot train {name}, and set it against hand-made optimisers with kshot evaluate."
            )
        if finished(folder, recipe):
            return Entrant(open_saved(folder))
        resume = begun(folder)
        return Entrant(foreseen(prepare(recipe, folder, resume=resume, device=device)), ToTrain(recipe, folder, resume))
    if name in UNTRAINED or names_module(name):
        return Entrant(open_learner(name))
    raise SavedError(
        f"there is no learner {name!r}: no such folder.{did_you_mean(name, [*shipped(), *UNTRAINED, *recipe_names()])} The shipped "
        f"learners are {', '.join(shipped()) or 'none'}; those that need no training are {', '.join(UNTRAINED)}; the recipes are "
        f"{', '.join(recipe_names())}."
    )


def open_learner(name: str) -> Saved:
    """Return a saved or shipped learner, one of `UNTRAINED`, which has no data and no preprocessing of its own, or one of a user's module.

    Raises:
        SavedError: The name is none of these, or the learner cannot be read.
    """
    if look(Path(name), SavedError) == "folder" or name in shipped() or find_optimizer(name) is not None:
        return open_saved(name)
    if name in UNTRAINED:
        return Saved(UNTRAINED[name]().eval(), None)
    if names_module(name):
        return open_own(name)
    if name in recipe_names():
        raise SavedError(
            f"{name} is a recipe without a shipped learner. Train it first: kshot train {name}; then name its run: runs/{name}."
        )
    known = [*shipped(), *UNTRAINED]
    raise SavedError(
        f"there is no learner {name!r}: no such folder.{did_you_mean(name, known)} The shipped learners are "
        f"{', '.join(shipped()) or 'none'}; those that need no training are {', '.join(UNTRAINED)}."
    )
