"""Measure what tuning gives on the fixed few-shot files of BANKING77 and CLINC150: `kshot fit --tune`, 5 and 10 examples per class.

    python scripts/measure_tuning.py ../shared/data/intents_few_shot

In: the folder of the files, as for `measure_intents.py`. Out: `scripts/tuning.json`: the accuracy on the full test set in per cent, with
Wilson's 95 % interval, of the frozen and of the tuned encoder, each with the head that `kshot fit` would choose; what the left-out examples
said; steps and seconds. Classes are described by their names, or by their names and a sentence each (`scripts/descriptions`). A tuning that
is stopped goes on when the command is given again; its state lies in the folder of `--states`. Where the left-out examples do not say that
tuning is better, the frozen encoder is kept, and both numbers are its own.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kshot.encoders.table import default_encoder, open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.descriptions import read_descriptions
from kshot.tasks.examples import Examples
from measure_intents import DATA, HERE, read_part
from tuned_beside_frozen import tuned_beside_frozen, write_as_found

NUMBERS = Path(__file__).resolve().parent / "tuning.json"
SHOTS = (5, 10)
DESCRIPTIONS = ("names", "sentences")


def examples(folder: Path) -> Examples:
    """Read a part as examples."""
    texts, labels = read_part(folder)
    return Examples("texts", texts, labels, [str(number) for number in range(1, len(texts) + 1)])


def measure(folder: Path, states: Path, data: list[str], shots: list[int], kinds: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one record per data set, number of examples per class and kind of description."""
    cache, encoder = VectorCache(), open_encoder(default_encoder("texts"))
    for name in data:
        test = examples(folder / name / "test")
        for each in shots:
            train = examples(folder / name / f"train_{each}")
            for kind in kinds:
                sentences = read_descriptions(HERE / "descriptions" / DATA[name]) if kind == "sentences" else None
                file = states / f"{name}-{each}-{kind}.safetensors"
                found = tuned_beside_frozen(train, test, encoder, cache, file, sentences)
                yield {"data": name, "shots": each, "descriptions": kind, **found}


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure tuned text encoders on BANKING77 and CLINC150.")
    parser.add_argument("folder", type=Path, help="the folder intents_few_shot")
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--shots", nargs="+", type=int, default=list(SHOTS))
    parser.add_argument("--descriptions", nargs="+", default=list(DESCRIPTIONS), choices=DESCRIPTIONS)
    parser.add_argument("--states", type=Path, default=Path("runs/tuning"), help="folder of the states of tunings that were stopped")
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    records = measure(asked.folder, asked.states, asked.data, asked.shots, asked.descriptions)
    write_as_found(records, asked.output, "python scripts/measure_tuning.py ../shared/data/intents_few_shot")


if __name__ == "__main__":
    main()
