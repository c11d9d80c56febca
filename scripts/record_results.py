"""Measure a saved learner in the four settings of Omniglot's table and put the numbers into `recipes/results.json`.

    python scripts/record_results.py omniglot-protonet [--saved FOLDER]

Each entry holds everything that identifies its number, and the command that gives it again.
"""

import argparse
import json
from pathlib import Path

from kshot.atomic import write_json
from kshot.episodes.shape import EpisodeShape
from kshot.examine import Question, answer, ask
from kshot.saved.shipped import open_saved

RESULTS = Path(__file__).parents[1] / "src" / "kshot" / "recipes" / "results.json"
PUBLISHED = {
    "omniglot-protonet": {
        (5, 1): "98.8 (Snell et al. 2017)",
        (5, 5): "99.7 (Snell et al. 2017)",
        (20, 1): "96.0 (Snell et al. 2017)",
        (20, 5): "98.9 (Snell et al. 2017)",
    }
}


def main() -> None:
    """Measure, replace the recipe's entries, print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted(PUBLISHED))
    parser.add_argument("--saved", help="Default: the shipped learner of the recipe's name.")
    options = parser.parse_args()
    saved = open_saved(options.saved or options.recipe)
    entries = [entry for entry in json.loads(RESULTS.read_text()) if entry["recipe"] != options.recipe]
    for (way, shot), published in PUBLISHED[options.recipe].items():
        question = Question(shape=EpisodeShape(way, shot, 15), episodes=1000)
        episodes = ask(saved, question)
        results = answer(saved, episodes, question.mode)
        entry = {
            "recipe": options.recipe,
            "setting": f"{way}-way {shot}-shot",
            "published": published,
            "measured": f"{100 * results.mean:.2f} ± {100 * results.interval:.2f}",
            "command": f"kshot evaluate {options.recipe} --way {way} --shot {shot}",
            "trained_by": saved.record.get("command", ""),
            **results.as_dict(),
        }
        del entry["seconds"]
        print(entry["setting"], entry["measured"], "published", published)
        entries.append(entry)
    write_json(RESULTS, entries)


if __name__ == "__main__":
    main()
