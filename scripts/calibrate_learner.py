"""Learn how sure a saved learner of Omniglot is, from tasks of its validation classes, and keep that beside it.

    python scripts/calibrate_learner.py LEARNER [--tasks N]

LEARNER is the name of a shipped learner, or a folder. `certainty.json` is written into its folder: thresholds from N tasks of each shape of
2, 5, 10 and 20 ways and 1 and 5 shots, drawn from the validation classes of the split that the learner's record names.
"""

import argparse

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.shape import EpisodeShape
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.shipped import find, open_saved
from kshot.tasks.certainty.from_tasks import LEVELS, ShapeCertainty, learn_from_tasks
from kshot.tasks.certainty.task_file import FILE, write_task_certainty

WAYS, SHOTS, QUERIES = (2, 5, 10, 20), (1, 5), 5


def main() -> None:
    """Draw the tasks, learn, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learner")
    parser.add_argument("--tasks", type=int, default=4_000)
    options = parser.parse_args()
    saved, folder = open_saved(options.learner), find(options.learner)
    dataset, split = Omniglot(), saved.record["split"]
    validation = dataset.split(split).part("val")
    shapes: list[ShapeCertainty] = []
    for way in WAYS:
        for shot in SHOTS:
            shape = EpisodeShape(way, shot, QUERIES)
            episodes = EpisodeSet.draw(dataset, validation, f"{split}/val", shape, episodes=options.tasks, seed=1)
            shapes.append(learn_from_tasks(saved.learner, episodes))
            told = shapes[-1]
            print(f"{way}-way {shot}-shot: accuracy {told.accuracy:.4f}; {told.detector}, AUROC {told.auroc:.4f}", flush=True)
    write_task_certainty(folder, f"omniglot, the validation classes of the split {split!r}", LEVELS, shapes)
    print(f"{folder / FILE}: {(folder / FILE).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
