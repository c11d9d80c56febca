"""Make tables of CLINC150's and BANKING77's training texts, for meta-learning on the vectors of a frozen sentence encoder.

    python scripts/prepare_intents.py ../shared/data FOLDER
    kshot embed FOLDER/clinc150.csv --encoder all-MiniLM-L6-v2:layers -o clinc150.npz
    kshot train clinc150-adapter --data clinc150.npz --set data.split=FOLDER/division.json

In: the folders `clinc150` and `banking77`. Out: FOLDER/clinc150.csv, whose labels are `domain/intent`; FOLDER/banking77.csv; and
FOLDER/division.json, which gives the domain `banking` to the test, `travel` to validation, and the other eight to training, so that
BANKING77 shares no domain with training.

Data: S. Larson and others, "An evaluation dataset for intent classification and out-of-scope prediction", EMNLP 2019, CC BY 3.0;
I. Casanueva and others, "Efficient intent detection with dual sentence encoders", 2020, CC BY 4.0.
"""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from kshot.atomic import write_json
from kshot.regular_file import read_json

TEST, VAL = "banking", "travel"


def main() -> None:
    """Write the tables and the division."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    domains: dict[str, list[str]] = read_json(options.data / "clinc150" / "domains.json", 2**26)
    domain = {intent: name for name, intents in domains.items() for intent in intents}
    texts = read_json(options.data / "clinc150" / "data_full.json", 2**26)["train"]
    options.folder.mkdir(parents=True, exist_ok=True)
    write_table(options.folder / "clinc150.csv", ((text, f"{domain[intent]}/{intent}") for text, intent in texts))
    with (options.data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        write_table(options.folder / "banking77.csv", ((row["text"], row["category"]) for row in csv.DictReader(file)))
    parts = {"train": [name for name in domains if name not in (TEST, VAL)], "val": [VAL], "test": [TEST]}
    write_json(
        options.folder / "division.json",
        {part: [f"{name}/{intent}" for name in names for intent in domains[name]] for part, names in parts.items()},
    )


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write texts and their labels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
