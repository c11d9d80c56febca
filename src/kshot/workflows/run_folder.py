"""The folder of a run: what it holds, and whether a run there starts from the beginning, continues, or is refused.

    recipe.json         what the run does, every setting
    division.json       which classes are for training, validation and test
    state.safetensors   the latest state, from which `--resume` continues
    metrics.jsonl       one line per update
    learner/            the best state as a saved learner; optimizer/ for a learned optimiser

In: a folder and a `Recipe`. Next: `kshot.workflows.experiment`.
"""

from pathlib import Path
from typing import Any

from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself
from kshot.data.split import Split, divide_by_file
from kshot.errors import RecipeError, SavedError
from kshot.meta_train.same_run import differences
from kshot.meta_train.state_file import STATE
from kshot.regular_file import look, names_in, read_json
from kshot.saved.folder import require_place
from kshot.saved.record_file import RECORD
from kshot.workflows.build import divide
from kshot.workflows.recipe import Recipe, parse_recipe
from kshot.workflows.recipe_sections import DataRecipe
from kshot.workflows.run_lock import HOLDER, LOCK, refuse_locked

RECIPE, DIVISION = "recipe.json", "division.json"
METRICS, LEARNER, OPTIMIZER = "metrics.jsonl", "learner", "optimizer"


def finished(folder: Path, recipe: Recipe) -> bool:
    """Whether a folder holds the finished run of a recipe, with its saved learner.

    Raises:
        SavedError: The folder holds a run of another recipe.
    """
    if look(folder / LEARNER / RECORD, SavedError) != "file":
        return False
    _check_same(folder, _begun_recipe(folder), recipe, "Name that run by its path to use it unchanged, or choose another folder for runs.")
    return True


def begun(folder: Path) -> bool:
    """Whether a folder holds the state of a run that can be resumed."""
    return look(folder / STATE, SavedError) == "file"


def goes_on(folder: Path, recipe: Recipe, resume: bool) -> bool:
    """Whether the run continues from a state instead of starting from the beginning.

    Raises:
        SavedError: The contents of the folder do not fit what was asked for.
    """
    if look(folder, SavedError) not in ("folder", "nothing"):
        raise SavedError(f"{folder} is a file; a run writes a folder. Choose another --out.")
    refuse_locked(folder)
    names = set(names_in(folder, SavedError)) - {LOCK, HOLDER}
    if STATE in names:
        if not resume:
            raise SavedError(f"{folder} is not empty. Continue its run with --resume, or choose another --out.")
        _check_same(folder, _begun_recipe(folder), recipe, "Resume with the recipe of the run, or start a new run in another folder.")
        if recipe.trains == "learner":
            require_place(folder / LEARNER)  # found before the rest of the run, at whose end the learner is saved
        return True
    left = names - {path.name for path in unfinished_files(folder)}
    before = _begun_recipe(folder) if RECIPE in left and left <= {RECIPE, DIVISION} else None
    if before is not None:  # killed before its first state was written: nothing is lost by starting again
        if resume:
            _check_same(folder, before, recipe, "It was stopped before its first state was written. Start it without --resume.")
        return False
    if resume:
        raise SavedError(
            f"{folder} has no run to resume: there is no {STATE}. "
            + ("Choose the folder of a run." if left else "Start it without --resume.")
        )
    if left:
        raise SavedError(f"{folder} is not empty, and its contents are not a run of kshot. Choose another --out.")
    return False


def saved_division(folder: Path, dataset: Dataset, data: DataRecipe) -> Split:
    """Return the division with which the run was started."""
    return divide_by_file(dataset.index, folder / DIVISION, divide(dataset, data).name if divides_itself(dataset) else "division")


def unfinished_files(folder: Path) -> list[Path]:
    """Return the unfinished files of writes that were killed."""
    return [path for name in (RECIPE, DIVISION, STATE, METRICS) for path in folder.glob(f".{name}.*.part")]


def compared(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe without descriptions and bookkeeping. If these are equal, two runs do the same."""
    plain = recipe.as_dict()
    plain.pop("description")
    plain["training"].pop("save_every")
    plain["training"].pop("tensorboard")
    return plain


def _check_same(folder: Path, begun: Recipe | None, recipe: Recipe, cure: str) -> None:
    # This is checked before anything is built from the new recipe, whose own faults would hide this one. `restore` checks the state.
    if begun is not None and (differing := differences(compared(begun), compared(recipe))):
        raise SavedError(f"{folder} belongs to a run with another recipe: {'; '.join(differing[:5])}. {cure}")


def _begun_recipe(folder: Path) -> Recipe | None:
    """Return the recipe that a run wrote, or None if the file is not a recipe of kshot."""
    try:
        return parse_recipe(read_json(folder / RECIPE), str(folder / RECIPE))
    except (OSError, ValueError, TypeError, AttributeError, RecipeError):
        return None
