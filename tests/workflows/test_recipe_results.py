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


def test_every_published_number_has_a_source_and_nothing_else_has() -> None:
    entries = [entry for row in recipe_rows() for entry in row["results"]]
    assert len(entries) > 80
    for entry in entries:
        where = (entry["recipe"], entry["setting"])
        assert (entry["source"] is None) == (entry["published"] == "none"), where
        if entry["source"]:
            paper = entry["published"].partition("(")[2].partition(")")[0]
            assert entry["source"].startswith(paper.partition(", as")[0]), where
            assert "as commonly quoted" in entry["source"] or "page" in entry["source"], where
            assert ("as commonly quoted" in entry["source"]) == ("as commonly quoted" in entry["published"]), where


def test_the_length_of_a_run_is_recorded_where_something_was_trained() -> None:
    for row in recipe_rows():
        for entry in row["results"]:
            assert (entry["updates"] is None) == (entry["trained_by"] == "") == (row["train"] is None)
