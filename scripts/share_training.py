"""Share one training among recipes that train alike.

Baseline, fine-tuning and SimpleShot learn the same classifier of all training classes.

    kshot train omniglot-baseline
    python scripts/share_training.py runs/omniglot-baseline omniglot-finetune omniglot-simple-shot

From one seed these recipes go through the same parameters, to the bit (`tests/test_scripts.py`). Only the learner around the network
differs. The parameters of the finished run become those of the other recipes' runs, in `runs/RECIPE`, and their learners are saved. There
is one difference from training each recipe alone: the first learner's validation score chose the state to keep.
"""

import argparse
from pathlib import Path

from kshot.errors import RecipeError
from kshot.meta_train.same_run import differences
from kshot.meta_train.state_file import STATE, read_state
from kshot.saved.folder import Saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.recipe import Recipe, read_recipe

ALIKE = ("baseline", "finetune", "simple_shot")


def share(source: Path, recipe: Recipe, folder: Path, command: str = "") -> Saved | None:
    """Give the parameters of a finished run to a run of another recipe, and save its learner.

    Args:
        source: Folder of the finished run.
        recipe: Recipe of the other run; it may differ from the first in its learner, its validation and its description.
        folder: Folder of the other run, new or empty.
        command: The command that the learner's record names as its origin.

    Raises:
        RecipeError: The recipes differ in more than that, their learners do not train alike, or the first run is not finished.
    """
    header, tensors = read_state(source / STATE)
    ready = prepare(recipe, folder, device="cpu")
    mine, theirs = recipe.as_dict(), header["recipe"]
    apart = [text for part in ("seed", "data", "backbone", "items", "training") for text in _differences(theirs, mine, part)]
    names = [theirs["learner"]["name"], recipe.learner.name]
    if apart or any(name not in ALIKE for name in names):
        raise RecipeError(f"{names[0]} and {names[1]} do not train alike: {'; '.join(apart) or 'only ' + ', '.join(ALIKE) + ' do'}.")
    if header["update"] < recipe.training.updates:
        raise RecipeError(f"{source} is at update {header['update']} of {recipe.training.updates}. Finish it first.")
    state = ready.state
    state.trained.load_state_dict({name: tensors.get(f"learner/{name}", own) for name, own in state.trained.state_dict().items()})
    state.best = {name: tensors.get(f"best/{name}", own) for name, own in state.learner.state_dict().items()}
    for name in ("update", "history", "best_update", "best_score", "waited", "stopped"):
        setattr(state, name, header[name])
    return run(ready, command=command)


def _differences(theirs: dict[str, object], mine: dict[str, object], part: str) -> list[str]:
    """Return the differences between one part of two recipes, except how often the state is written."""
    return [text for text in differences(theirs.get(part), mine.get(part), part) if "save_every" not in text and "tensorboard" not in text]


def main() -> None:
    """Share the run with each named recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("recipes", nargs="+", help="recipes that train alike")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    for name in options.recipes:
        share(options.run, read_recipe(name), options.out / name, f"kshot train {name}")
        print(f"kshot evaluate {options.out / name}")


if __name__ == "__main__":
    main()
