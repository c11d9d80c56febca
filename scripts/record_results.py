"""Measure a saved learner in the four settings of Omniglot's table and put the numbers into `recipes/results.json`.

    python scripts/record_results.py omniglot-protonet [--saved FOLDER]

Each entry holds everything that identifies its number, and the command that gives it again.
"""

import argparse
import json
from pathlib import Path

from kshot.atomic import write_json
from kshot.entrants import open_learner
from kshot.episodes.shape import EpisodeShape
from kshot.examine import Question, answer, ask
from kshot.learners.untrained import UNTRAINED
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


def main() -> None:
    """Measure, replace the recipe's entries, print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted(PUBLISHED))
    parser.add_argument("--saved", help="Default: the shipped learner of the recipe's name.")
    options = parser.parse_args()
    saved = open_learner(options.saved or options.recipe)
    place = options.recipe if options.recipe in (*shipped(), *UNTRAINED) else f"runs/{options.recipe}"
    asked = ("omniglot", "vinyals") if options.recipe in UNTRAINED else (None, None)  # what needs no training knows of no data
    flags = f" --data {asked[0]} --split {asked[1]}" if asked[0] else ""
    entries = [entry for entry in json.loads(RESULTS.read_text()) if entry["recipe"] != options.recipe]
    paper, *numbers = PUBLISHED[options.recipe] or ("", *[""] * len(SETTINGS))
    for (way, shot), number in zip(SETTINGS, numbers, strict=True):
        published = f"{number} ({paper})" if number else "none"
        question = Question(asked[0], asked[1], EpisodeShape(way, shot, 15), episodes=1000)
        episodes = ask(saved, question)
        results = answer(saved, episodes, question.mode)
        entry = {
            "recipe": options.recipe,
            "setting": f"{way}-way {shot}-shot",
            "published": published,
            "measured": f"{100 * results.mean:.2f} ± {100 * results.interval:.2f}",
            "command": f"kshot evaluate {place}{flags} --way {way} --shot {shot}",
            "trained_by": saved.record.get("command", "").partition(" --out")[0],
            **results.as_dict(),
        }
        del entry["seconds"]
        print(entry["setting"], entry["measured"], "published", published)
        entries.append(entry)
    write_json(RESULTS, entries)


if __name__ == "__main__":
    main()
