"""What the built-in recipes promise and reach: descriptions from the TOML, numbers from `recipes/results.json`.

The numbers are apart from the recipes because they are measured, not chosen; each holds the command that gives it again.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from kshot.workflows.recipe import read_recipe, recipe_names


def recipe_rows() -> list[dict[str, Any]]:
    """One entry a built-in recipe, then one a learner that needs none: its name, description, and the results measured with it.

    Returns:
        `name`, `description`, `train` (the command, or None where nothing is trained) and `results`, a list of entries with `setting`,
        `published`, `measured`, `command` and what else identifies the number (split, seed, episodes, hash, mode).
    """
    numbers = json.loads((Path(str(resources.files("kshot"))) / "recipes" / "results.json").read_text(encoding="utf-8"))
    recipes = {name: read_recipe(name).description for name in recipe_names()}
    untrained = {entry["recipe"]: "Needs no training" for entry in numbers if entry["recipe"] not in recipes}
    return [
        {
            "name": name,
            "description": description,
            "train": f"kshot train {name}" if name in recipes else None,
            "results": [entry for entry in numbers if entry["recipe"] == name],
        }
        for name, description in {**recipes, **untrained}.items()
    ]
