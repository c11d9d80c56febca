"""What the built-in recipes promise and reach: descriptions from the TOML, numbers from `recipes/results.json`.

The numbers are apart from the recipes because they are measured, not chosen; each holds the command that gives it again.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from kshot.config import read_recipe, recipe_names


def recipe_rows() -> list[dict[str, Any]]:
    """One entry a built-in recipe: its name, description, and the results measured with it.

    Returns:
        `name`, `description` and `results`, a list of entries with `setting`, `published`, `measured`, `command` and what else
        identifies the number (split, seed, episodes, hash, mode).
    """
    numbers = json.loads((Path(str(resources.files("kshot"))) / "recipes" / "results.json").read_text(encoding="utf-8"))
    return [
        {"name": name, "description": read_recipe(name).description, "results": [entry for entry in numbers if entry["recipe"] == name]}
        for name in recipe_names()
    ]
