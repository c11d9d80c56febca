"""Copy the learner, or the learned optimiser, of a finished run into the package.

    python scripts/ship_learner.py RUN NAME [--float16]

RUN is the folder of `kshot train`. The learner is read, checked and saved again as `src/kshot/saved/shipped/NAME`. It may take at most
600 KB, or the size that --most gives. --float16 stores its numbers in 16 bits; those of a learned optimiser stay as they are.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kshot.saved.folder import save
from kshot.saved.optimizer_file import load_optimizer, save_optimizer
from kshot.saved.shipped import find_optimizer, open_saved

SHELF = Path(__file__).parents[1] / "src" / "kshot" / "saved" / "shipped"
LARGEST = 600_000


def _public(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record that does not say where the run lay."""
    return {**record, "command": record.get("command", "").partition(" --out")[0]}


def main() -> None:
    """Read the learner, save it and check its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--most", type=int, default=LARGEST, help="bytes")
    parser.add_argument("--float16", action="store_true", help="store floating-point numbers in 16 bits")
    options = parser.parse_args()
    folder = SHELF / options.name
    if (trained := find_optimizer(options.run)) is not None:
        found = load_optimizer(trained)
        save_optimizer(folder, found.optimizer, _public(found.record))
    else:
        saved, dtype = open_saved(options.run), torch.float16 if options.float16 else None
        save(folder, saved.learner, spec=saved.spec, preprocess=saved.preprocess, record=_public(saved.record), dtype=dtype)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size:,} bytes")
    if size > options.most:
        raise SystemExit(f"{options.name} has {size:,} bytes; at most {options.most:,} may ship")


if __name__ == "__main__":
    main()
