"""Save the best parameters so far of a run, finished or not: a learner in 16 bits, or a learned optimiser.

    python scripts/keep_weights.py RUN FOLDER

RUN is the folder of `kshot train`. The state of a learner, four times its size in 32 bits, is then no longer needed to go on: another run
starts from FOLDER with a new optimiser (`--set training.start_from=FOLDER`), and its record says so.
"""

import argparse
import json
from pathlib import Path

import torch

from kshot.workflows.experiment import prepare, save_best
from kshot.workflows.optimizer_experiment import prepare_optimizer, save_best_optimizer
from kshot.workflows.recipe import parse_recipe
from kshot.workflows.run_folder import RECIPE


def main() -> None:
    """Read the state, and save its best parameters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--command", default="", help="command of the run, for the record of a learned optimiser")
    options = parser.parse_args()
    recipe = parse_recipe(json.loads((options.run / RECIPE).read_text(encoding="utf-8")), str(options.run / RECIPE))
    if recipe.trains == "optimizer":
        record = save_best_optimizer(prepare_optimizer(recipe, options.run, resume=True), options.folder, options.command).record
    else:
        record = save_best(prepare(recipe, options.run, resume=True), options.folder, dtype=torch.float16).record
    size = sum(file.stat().st_size for file in options.folder.iterdir())
    done, best = record["updates"], record["best_update"]
    print(
        f"{options.folder}: {size:,} bytes, the parameters after {best or done:,} of {recipe.training.updates:,} updates; {done:,} are done"
    )


if __name__ == "__main__":
    main()
