"""What `kshot recipes` shows: every recipe, with numbers that name their command."""

import json

from kshot.workflows.recipe import recipe_names
from kshot.workflows.recipe_results import recipe_rows


def test_one_row_a_recipe_with_plain_values() -> None:
    rows = recipe_rows()
    assert [row["name"] for row in rows if row["train"]] == recipe_names()
    assert [row["name"] for row in rows if not row["train"]] == ["nearest", "hausdorff"]
    assert json.loads(json.dumps(rows)) == rows
    assert all(row["description"] and isinstance(row["results"], list) for row in rows)


def test_every_number_names_its_setting_and_its_command() -> None:
    for row in recipe_rows():
        for entry in row["results"]:
            assert {"setting", "published", "measured", "command"} <= entry.keys()
            assert entry["command"].startswith("kshot ")
            assert entry["recipe"] == row["name"]
