"""Measure a saved learner in the settings of its table, and write the numbers to `recipes/results.json`.

    python scripts/record_results.py omniglot-protonet [--saved FOLDER]

The settings are the four of Omniglot's table, those of MAML's paper, or Lake's 20 runs. Each entry holds everything that identifies its
number, and the command that reproduces it.
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from kshot.atomic import write_json
from kshot.episodes.shape import EpisodeShape
from kshot.learners.untrained import UNTRAINED
from kshot.results.score.result import Results
from kshot.saved.folder import Saved
from kshot.saved.shipped import shipped
from kshot.workflows.named_learners import open_learner
from kshot.workflows.question import Question, answer, ask
from published import FOUR, RESULTS, SETTINGS, published_of

FOUR_SETTINGS = (
    *FOUR,
    "omniglot-simple-shot",
    "omniglot-baseline",
    "omniglot-baseline-plus-plus",
    "omniglot-feat",
    "omniglot-in-context",
)
"""Recipes that are scored in the four `SETTINGS`."""
FEWER = {("omniglot-finetune", 5, 5): 200, ("omniglot-finetune", 20, 5): 60}
"""The number of episodes where 1,000 would take hours; the entry and its command say so."""
CHARACTERS = {
    "omniglot-maml": (5, 1),
    "omniglot-maml-5-shot": (5, 5),
    "omniglot-maml-20-way": (20, 1),
    "omniglot-first-order-maml": (5, 1),
    "omniglot-anil": (5, 1),
    "omniglot-meta-sgd": (5, 1),
    "omniglot-maml-plus-plus": (5, 1),
    "omniglot-imaml": (5, 1),
    "omniglot-reptile": (5, 1),
    "omniglot-boil": (5, 1),
    "omniglot-proto-maml": (5, 1),
    "omniglot-meta-lstm": (5, 1),
}
"""Recipes that are scored as MAML's authors do, on 600 tasks with as many queries per class as shots: way and shot. Each is also scored
with 15 queries per class."""
CHARACTERS_TASKS = 600
LAKE = {"lake-local-matching": "omniglot-lake", "lake-protonet": "runs/lake-protonet", "hausdorff": "hausdorff"}
"""Learners that are scored on Lake's runs, and where each is saved. Each finished design is scored once."""


def main() -> None:
    """Measure, replace the recipe's entries and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted([*FOUR_SETTINGS, *CHARACTERS, *LAKE]))
    parser.add_argument("--saved", help="Default: the shipped learner with the recipe's name.")
    options = parser.parse_args()
    of_protocol = lake_results if options.recipe in LAKE else characters_results if options.recipe in CHARACTERS else omniglot_results
    measured = of_protocol(options.recipe, options.saved)
    # read only now, because another process may have recorded results in the meantime
    others = [entry for entry in json.loads(RESULTS.read_text()) if entry["recipe"] != options.recipe]
    write_json(RESULTS, others + measured)


def lake_results(recipe: str, folder: str | None) -> list[dict[str, Any]]:
    """Return the only entry of Lake's 20 runs."""
    place = LAKE[recipe]
    saved = open_learner(folder or place)
    results = answer(saved, ask(saved, Question(protocol="lake")), "inductive")
    return [_entry(recipe, "Lake's 20 runs", f"kshot evaluate {place} --protocol lake", saved, results)]


def characters_results(recipe: str, folder: str | None) -> list[dict[str, Any]]:
    """Return one entry per mode and number of queries, on random characters that are turned as in training."""
    saved = open_learner(folder or recipe)
    place = recipe if recipe in shipped() else f"runs/{recipe}"
    way, shot = CHARACTERS[recipe]
    entries = []
    for query in (shot, 15):
        shape = EpisodeShape(way, shot, query, augment="quarter_turns")
        for mode in ("transductive", "inductive"):
            question = Question(shape=shape, episodes=CHARACTERS_TASKS, mode=mode)
            flags = f" --query {query}" * (query != 15) + f" --episodes {CHARACTERS_TASKS} --augment quarter_turns"
            command = f"kshot evaluate {place} --way {way} --shot {shot}{flags}" + " --transductive" * (mode == "transductive")
            setting = f"{way}-way {shot}-shot, {mode}, {query} {'query' if query == 1 else 'queries'} per class"
            entries.append(_entry(recipe, setting, command, saved, answer(saved, ask(saved, question), mode)))
    return entries


def omniglot_results(recipe: str, folder: str | None) -> list[dict[str, Any]]:
    """Return one entry per setting in `SETTINGS`."""
    saved = open_learner(folder or recipe)
    place = recipe if recipe in (*shipped(), *UNTRAINED) else f"runs/{recipe}"
    asked = ("omniglot", "vinyals") if recipe in UNTRAINED else (None, None)  # a learner without training has no data of its own
    flags = f" --data {asked[0]} --split {asked[1]}" if asked[0] else ""
    entries = []
    for way, shot in SETTINGS:
        count = FEWER.get((recipe, way, shot), 1000)
        question = Question(asked[0], asked[1], EpisodeShape(way, shot, 15), episodes=count)
        episodes = ask(saved, question)
        results = answer(saved, episodes, question.mode)
        command = f"kshot evaluate {place}{flags} --way {way} --shot {shot}" + (f" --episodes {count}" if count != 1000 else "")
        entries.append(_entry(recipe, f"{way}-way {shot}-shot", command, saved, results))
    return entries


def course(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the updates of a training and of the runs that it goes on from, and the shipped learner that the first of them began with."""
    updates, start = record.get("updates"), record.get("started_from")
    while start and start["learner"] not in shipped():
        updates, start = updates + start["updates"], start.get("started_from")
    return {"updates": updates, "started_from": start["learner"] if start else None}


def _entry(recipe: str, setting: str, command: str, saved: Saved, results: Results) -> dict[str, Any]:
    entry = {
        "recipe": recipe,
        "setting": setting,
        **published_of(recipe, setting),
        "measured": f"{100 * results.mean:.2f} ± {100 * results.interval:.2f}",
        "command": command,
        "trained_by": saved.record.get("command", "").partition(" --out")[0],
        **course(saved.record),
        **results.as_dict(),
    }
    del entry["seconds"]
    print(setting, entry["measured"], "published", entry["published"])
    return entry


if __name__ == "__main__":
    main()
