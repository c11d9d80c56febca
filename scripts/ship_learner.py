"""Copy the learner of a finished run into the package.

    python scripts/ship_learner.py RUN NAME [--float16]

RUN is the folder of `kshot train`. The learner is read, checked and saved again as `src/kshot/saved/shipped/NAME`. It may take at most
600 KB, or the size that --most gives. --float16 stores its numbers in 16 bits.
"""

import argparse
from pathlib import Path

import torch

from kshot.saved.folder import save
from kshot.saved.shipped import open_saved

SHELF = Path(__file__).parents[1] / "src" / "kshot" / "saved" / "shipped"
LARGEST = 600_000


def main() -> None:
    """Read the learner, save it and check its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--most", type=int, default=LARGEST, help="bytes")
    parser.add_argument("--float16", action="store_true", help="store floating-point numbers in 16 bits")
    options = parser.parse_args()
    saved = open_saved(options.run)
    folder = SHELF / options.name
    record = {
        **saved.record,
        "command": saved.record.get("command", "").partition(" --out")[0],
    }  # do not publish where it was trained
    save(
        folder, saved.learner, spec=saved.spec, preprocess=saved.preprocess, record=record, dtype=torch.float16 if options.float16 else None
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size:,} bytes")
    if size > options.most:
        raise SystemExit(f"{options.name} has {size:,} bytes; at most {options.most:,} may ship")


if __name__ == "__main__":
    main()
