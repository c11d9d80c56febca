"""Fit a large table of numbers, and answer its rows: seconds, and the peak memory of each command.

    python -m benchmarks.large_table [--rows 100000 1000000] [--columns 20]

The table is made here: classes that overlap, a quantity, and the columns as CSV. Each command is a process of its own: `kshot fit` for
classes and with --regression, and `kshot predict` of all rows into a file. Marks: `fit` of 100,000 rows × 20 columns within 30 s and of a
million within 300 s; each command within 1,000 MB. Linux.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLASSES, MARK_MEGABYTES = 5, 1000
MARK_SECONDS = {100_000: 30, 1_000_000: 300}
_AT_ONCE = 10_000
_KSHOT = """
import resource, sys
from kshot.__main__ import main
try:
    main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write a table with the columns c1 …, `value` and `label`."""
    rng = np.random.default_rng(0)
    centres = 0.6 * rng.normal(size=(CLASSES, columns))
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join([f"c{place}" for place in range(1, columns + 1)]) + ",value,label\n")
        for start in range(0, rows, _AT_ONCE):
            labels = rng.integers(0, CLASSES, min(_AT_ONCE, rows - start))
            x = centres[labels] + rng.normal(size=(len(labels), columns))
            values = 3 * x[:, 0] + np.sin(x[:, -1]) + rng.normal(size=len(labels))
            for row, value, label in zip(x.tolist(), values.tolist(), labels.tolist(), strict=True):
                file.write(",".join(f"{number:.5g}" for number in row) + f",{value:.5g},class {label}\n")


def measured(*words: str) -> tuple[float, float, str]:
    """Run `kshot` with these words in a process of its own; return its seconds, its peak memory in megabytes, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _KSHOT, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"kshot {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    peak = next(int(line.split()[1]) for line in reversed(done.stderr.splitlines()) if line.startswith("peak "))
    return seconds, peak * 1024 / 1e6, done.stdout


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=20)
    asked = parser.parse_args()
    missed = False
    for rows in asked.rows:
        print(f"{rows:,} rows × {asked.columns} columns, load {os.getloadavg()[0]:.1f}")
        with tempfile.TemporaryDirectory() as folder:
            missed |= commands(Path(folder), rows, asked.columns)
    return int(missed)


def commands(folder: Path, rows: int, columns: int) -> bool:
    """Print what each command takes; return whether a mark is missed."""
    table, classes, quantity = (str(folder / name) for name in ("table.csv", "classes", "quantity"))
    write_table(Path(table), rows, columns)
    runs = {
        "fit": ("fit", table, "-o", classes, "--label", "label"),
        "predict": ("predict", classes, table, "-o", str(folder / "labels.csv")),
        "fit --regression": ("fit", table, "-o", quantity, "--label", "value", "--regression"),
        "predict a quantity": ("predict", quantity, table, "-o", str(folder / "values.csv")),
    }
    missed = False
    for name, words in runs.items():
        seconds, megabytes, printed = measured(*words)
        mark = MARK_SECONDS.get(rows) if name.startswith("fit") else None
        told = f"mark {mark:4}" if mark else " " * 9
        print(f"  {name:20} {seconds:7.1f} s   {told}   peak {megabytes:6.0f} MB   mark {MARK_MEGABYTES}", flush=True)
        for line in printed.splitlines():
            if line.startswith(("head", "regressor", "estimate")):
                print(f"      {line}")
        missed |= megabytes > MARK_MEGABYTES or (mark is not None and seconds > mark)
    return missed


if __name__ == "__main__":
    sys.exit(main())
