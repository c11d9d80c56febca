"""Measure a saved learner in the settings of its table, and put the numbers into `recipes/results.json`.

    python scripts/record_results.py omniglot-protonet [--saved FOLDER]

The settings are the four of Omniglot's table, or Lake's 20 runs. Each entry holds everything that identifies its number, and the command
that gives it again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from kshot.atomic import write_json
from kshot.entrants import open_learner
from kshot.episodes.shape import EpisodeShape
from kshot.examine import Question, answer, ask
from kshot.learners.untrained import UNTRAINED
from kshot.results.result import Results
from kshot.saved.folder import Saved
from kshot.saved.shipped import shipped

RESULTS = Path(__file__).parents[1] / "src" / "kshot" / "recipes" / "results.json"
SETTINGS = ((5, 1), (5, 5), (20, 1), (20, 5))
SNELL, VINYALS, KOCH, SUNG = (
    "Snell et al. 2017",
    "Vinyals et al. 2016",
    "as commonly quoted",
    "Sung et al. 2018",
)
PUBLISHED = {
    "omniglot-protonet": (SNELL, "98.8", "99.7", "96.0", "98.9"),
    "omniglot-matching": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-matching-scaled": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-matching-fce": (VINYALS, "98.1", "98.9", "93.8", "98.5"),
    "omniglot-siamese": (KOCH, "97.3", "98.4", "88.2", "97.0"),
    "omniglot-relation": (SUNG, "99.6", "99.8", "97.6", "99.1"),
    "omniglot-ridge": (),
    "omniglot-simple-shot": (),
    "omniglot-baseline": (),
    "omniglot-baseline-plus-plus": (),
    "omniglot-finetune": (),
    "nearest": (),
}
"""What the paper says of `SETTINGS`, and which paper; nothing where there is no comparable number."""
FEWER = {("omniglot-finetune", 5, 5): 200, ("omniglot-finetune", 20, 5): 60}
"""Episodes, where 1,000 would take hours; the entry and its command say so."""
LAKE = {"lake-local-matching": "omniglot-lake", "lake-protonet": "runs/lake-protonet", "hausdorff": "hausdorff"}
"""Who is asked Lake's runs, and where it is. Each finished design is asked once."""
LAKE_PUBLISHED = {"lake-protonet": "86.3 (Lake et al. 2019)", "hausdorff": "61.2 (Lake et al. 2013)"}


def main() -> None:
    """Measure, replace the recipe's entries, print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted([*PUBLISHED, *LAKE]))
    parser.add_argument("--saved", help="Default: the shipped learner of the recipe's name.")
    options = parser.parse_args()
    measured = (lake_results if options.recipe in LAKE else omniglot_results)(options.recipe, options.saved)
    others = [entry for entry in json.loads(RESULTS.read_text()) if entry["recipe"] != options.recipe]  # now: others may have measured too
    write_json(RESULTS, others + measured)


def lake_results(recipe: str, folder: str | None) -> list[dict[str, Any]]:
    """The one entry of Lake's 20 runs."""
    place = LAKE[recipe]
    saved = open_learner(folder or place)
    published = LAKE_PUBLISHED.get(recipe, "95.5 people, 96.7 BPL (Lake et al. 2015)")
    results = answer(saved, ask(saved, Question(protocol="lake")), "inductive")
    return [_entry(recipe, "Lake's 20 runs", published, f"kshot evaluate {place} --protocol lake", saved, results)]


def omniglot_results(recipe: str, folder: str | None) -> list[dict[str, Any]]:
    """An entry for each of `SETTINGS`."""
    saved = open_learner(folder or recipe)
    place = recipe if recipe in (*shipped(), *UNTRAINED) else f"runs/{recipe}"
    asked = ("omniglot", "vinyals") if recipe in UNTRAINED else (None, None)  # what needs no training knows of no data
    flags = f" --data {asked[0]} --split {asked[1]}" if asked[0] else ""
    entries = []
    paper, *numbers = PUBLISHED[recipe] or ("", *[""] * len(SETTINGS))
    for (way, shot), number in zip(SETTINGS, numbers, strict=True):
        published = f"{number} ({paper})" if number else "none"
        count = FEWER.get((recipe, way, shot), 1000)
        question = Question(asked[0], asked[1], EpisodeShape(way, shot, 15), episodes=count)
        episodes = ask(saved, question)
        results = answer(saved, episodes, question.mode)
        command = f"kshot evaluate {place}{flags} --way {way} --shot {shot}" + (f" --episodes {count}" if count != 1000 else "")
        entries.append(_entry(recipe, f"{way}-way {shot}-shot", published, command, saved, results))
    return entries


def _entry(recipe: str, setting: str, published: str, command: str, saved: Saved, results: Results) -> dict[str, Any]:
    entry = {
        "recipe": recipe,
        "setting": setting,
        "published": published,
        "measured": f"{100 * results.mean:.2f} ± {100 * results.interval:.2f}",
        "command": command,
        "trained_by": saved.record.get("command", "").partition(" --out")[0],
        **results.as_dict(),
    }
    del entry["seconds"]
    print(setting, entry["measured"], "published", published)
    return entry


if __name__ == "__main__":
    main()
