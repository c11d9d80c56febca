"""Train a sinusoid recipe with several seeds, score each after 0, 1, 5 and 10 gradient steps, and record the scores.

    python scripts/sinusoid_table.py sinusoid-maml [--seeds 5] [--runs runs]

The test has 600 tasks of the test waves, 5 support points, 100 query points. A few tasks can diverge and ruin a mean. The median over tasks
is therefore recorded beside it, and so is the number of tasks whose error is larger than before any step. Existing runs are not trained
again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_json
from kshot.episodes.shape import EpisodeShape
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, answer, ask
from kshot.workflows.recipe import read_recipe
from published import RESULTS, published_of

STEPS = (0, 1, 5, 10)
QUESTION = Question(shape=EpisodeShape(1, 5, 100), episodes=600)


def main() -> None:
    """Train the missing runs, score them, record and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    learners = [trained(options.recipe, seed, options.runs / f"{options.recipe}-{seed}") for seed in range(options.seeds)]
    scores = np.stack([scored(saved) for saved in learners])  # (seeds, steps, tasks)
    entries = [entry(options.recipe, learners[0], scores, place) for place in range(len(STEPS))]
    for one in entries:
        print(
            f"{one['setting']:28s} {one['measured']:20s} published {one['published']:6s} by seed {one['means']}  {one['diverged']} diverged"
        )
    write_json(RESULTS, [other for other in json.loads(RESULTS.read_text()) if other["recipe"] != options.recipe] + entries)


def trained(recipe: str, seed: int, folder: Path) -> Saved:
    """Return the learner of one seed."""
    if not (folder / "learner").exists():
        began = time.perf_counter()
        run(prepare(read_recipe(recipe, [f"seed={seed}"]), folder, device="cpu"), command=f"kshot train {recipe} --seed {seed}")
        print(f"{folder}: trained in {time.perf_counter() - began:.0f} s")
    return open_saved(folder)


def scored(saved: Saved) -> np.ndarray:
    """Return the errors of the test tasks after each number of steps, (steps, tasks)."""
    episodes = ask(saved, QUESTION)
    return np.stack([answer(saved, episodes, "inductive", steps=steps).scores for steps in STEPS])


def entry(recipe: str, saved: Saved, scores: np.ndarray, place: int) -> dict[str, Any]:
    """Return the record of one number of steps."""
    own, before = scores[:, place], scores[:, 0]  # (seeds, tasks)
    means, episodes = own.mean(1), ask(saved, QUESTION)
    interval = float(means.std(ddof=1) / len(means) ** 0.5 * 2.776) if len(means) == 5 else float("nan")  # t with 4 degrees of freedom
    steps = STEPS[place]
    setting = f"5-shot, {steps} step{'' if steps == 1 else 's'}"
    return {
        "recipe": recipe,
        "setting": setting,
        **published_of(recipe, setting),
        "measured": f"{means.mean():.3f} ± {interval:.3f}, median {np.median(own):.3f}",
        "command": f"kshot evaluate runs/{recipe}-0 --shot 5 --query 100 --episodes 600 --steps {steps}",
        "trained_by": f"kshot train {recipe} --seed SEED, seeds 0 to {len(means) - 1}",
        "updates": saved.record.get("updates"),
        "mean_squared_error": float(means.mean()),
        "interval": interval,
        "interval_of": "the mean over seeds",
        "means": [round(float(mean), 4) for mean in means],
        "medians": [round(float(median), 4) for median in np.median(own, 1)],
        "diverged": f"{int((own > before).sum())} of {own.size}",
        "episodes": own.shape[1],
        "episodes_hash": episodes.hash,
        "shot": 5,
        "query": 100,
        "data": "sinusoids",
        "split": episodes.split,
        "seed": 0,
        "mode": "inductive",
        "steps": steps,
    }


if __name__ == "__main__":
    main()
