"""The built-in recipes with their results: descriptions from the TOML, numbers from `recipes/results.json`.

The numbers are separate from the recipes because they are measured, not chosen. Each entry has the command that reproduces it. Next:
`kshot.train_commands`.
"""

import re
from importlib import resources
from pathlib import Path
from typing import Any

from kshot.episodes.shape import chance
from kshot.regular_file import read_json
from kshot.workflows.recipe import read_recipe, recipe_names

_LAKE_WAY = 20
"""Classes of a run of Lake's challenge, the one setting that does not begin with its way."""


def recipe_rows() -> list[dict[str, Any]]:
    """Return one entry per built-in recipe, then one per learner that needs no recipe.

    Returns:
        Entries with `name`, `description`, `train` (the command, or None if nothing is trained) and `results`, a list with `setting`,
        `published` with its `source` (None where nothing is published), `measured`, `chance` (the accuracy of guessing, a fraction; None
        for other scores), `command` and what else identifies the number (split, seed, episodes, hash, mode); `updates` and
        `published_updates` are the lengths of this run and of the authors', where known.
    """
    numbers = read_json(Path(str(resources.files("kshot"))) / "recipes" / "results.json")
    recipes = {name: read_recipe(name).description for name in recipe_names()}
    untrained = {entry["recipe"]: "Needs no training" for entry in numbers if entry["recipe"] not in recipes}
    return [
        {
            "name": name,
            "description": description,
            "train": f"kshot train {name}" if name in recipes else None,
            "results": [{**entry, "chance": _chance(entry)} for entry in numbers if entry["recipe"] == name],
        }
        for name, description in {**recipes, **untrained}.items()
    ]


def _chance(entry: dict[str, Any]) -> float | None:
    """Return the accuracy of guessing, a fraction; None for other scores."""
    if "accuracy" not in entry:
        return None
    way = re.match(r"(\d+)-way", entry["setting"])
    return chance(_LAKE_WAY if way is None else int(way[1]))
