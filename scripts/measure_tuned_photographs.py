"""Measure what tuning gives on the Grocery Store photographs: all 81 classes at once, `kshot fit --tune` with 5 and 10 examples per class.

    python scripts/measure_tuned_photographs.py ../shared/data/grocery_store/grocery_store_84.zip

In: the zip; photographs and draws are those of `measure_grocery.py`. Out: `scripts/tuned_photographs.json`: for each draw, the accuracy in
per cent of the frozen and of the tuned encoder on all photographs that are not examples, each with the head that `kshot fit` would choose;
what the left-out examples said; steps and seconds. A tuning that is stopped goes on when the command is given again; its state lies in the
folder of `--states`.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kshot.encoders.table import open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.examples import Examples
from measure_grocery import drawn, photographs
from tuned_beside_frozen import tuned_beside_frozen, write_as_found

NUMBERS = Path(__file__).resolve().parent / "tuned_photographs.json"
ENCODER = "efficientnet_lite0"


def examples(pictures: Sequence[np.ndarray], labels: np.ndarray, rows: np.ndarray) -> Examples:
    """Return some of the photographs as examples."""
    return Examples("photographs", [pictures[row] for row in rows], [f"{labels[row]:02}" for row in rows], [str(row) for row in rows])


def measure(file: Path, states: Path, shots: Sequence[int], draws: int) -> Iterator[dict[str, Any]]:
    """Yield one record per number of examples and draw."""
    found, labels = photographs(file)
    pictures = [np.asarray(picture) for picture in found]
    cache, encoder = VectorCache(), open_encoder(ENCODER)
    for each in shots:
        for draw in range(draws):
            support = drawn(labels, each, draw)
            train, test = (examples(pictures, labels, np.flatnonzero(part)) for part in (support, ~support))
            state = states / f"groceries-{each}-{draw}.safetensors"
            yield {"encoder": ENCODER, "shots": each, "draw": draw, **tuned_beside_frozen(train, test, encoder, cache, state)}


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure a tuned photograph encoder on the Grocery Store photographs.")
    parser.add_argument("file", type=Path, help="grocery_store_84.zip")
    parser.add_argument("--shots", nargs="+", type=int, default=[5, 10])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--states", type=Path, default=Path("runs/tuning"), help="folder of the states of tunings that were stopped")
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    command = f"python scripts/measure_tuned_photographs.py {asked.file.name} --draws {asked.draws}"
    write_as_found(measure(asked.file, asked.states, asked.shots, asked.draws), asked.output, command)


if __name__ == "__main__":
    main()
