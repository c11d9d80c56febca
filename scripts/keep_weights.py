"""Save the best parameters so far of a run, finished or not, as a learner in 16 bits.

    python scripts/keep_weights.py RUN FOLDER

RUN is the folder of `kshot train`. Its state, four times the size of the learner in 32 bits, is then no longer needed to go on: another run
starts from FOLDER with a new optimiser (`--set training.start_from=FOLDER`), and its record says so.
"""

import argparse
import json
from pathlib import Path

import torch

from kshot.workflows.experiment import prepare, save_best
from kshot.workflows.recipe import parse_recipe
from kshot.workflows.run_folder import RECIPE


def main() -> None:
    """Read the state, and save its best parameters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    recipe = parse_recipe(json.loads((options.run / RECIPE).read_text(encoding="utf-8")), str(options.run / RECIPE))
    saved = save_best(prepare(recipe, options.run, resume=True), options.folder, dtype=torch.float16)
    size = sum(file.stat().st_size for file in options.folder.iterdir())
    done, best = saved.record["updates"], saved.record["best_update"]
    print(
        f"{options.folder}: {size:,} bytes, the parameters after {best or done:,} of {recipe.training.updates:,} updates; {done:,} are done"
    )


if __name__ == "__main__":
    main()
