"""Create a folder of class folders from the Grocery Store Dataset at 84×84 pixels, with the division of its classes that kshot reports on.

    python scripts/prepare_grocery_store.py grocery_store_84.zip FOLDER

FOLDER/pictures/CLASS/….jpg pools the data set's own train, val and test, which share all classes. FOLDER/division.json divides the 81
classes by their 43 coarse classes, so that no kind of thing is in two parts. The division comes from `scripts/grocery_store.json`.
`--divide` computes that file again (it shuffles the coarse classes by seed 0 and deals them out until a part is full), which should change
nothing.

Data: M. Klasson, C. Zhang, H. Kjellström, "A Hierarchical Grocery Store Image Dataset with Visual and Semantic Labels", WACV 2019;
MIT licence.
"""

import argparse
import csv
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from kshot.atomic import write_bytes, write_json

DIVISION = Path(__file__).with_name("grocery_store.json")
SHARES = {"train": 41, "val": 16, "test": 24}
"""The least number of fine classes in each part; the last coarse class of a part may exceed it."""


def main() -> None:
    """Read the zip and write the pictures and the division."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--divide", action="store_true", help="write scripts/grocery_store.json")
    options = parser.parse_args()
    with zipfile.ZipFile(options.archive) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("dataset/classes.csv").decode())))
        name = {row["Class ID (int)"]: row["Class Name (str)"] for row in rows}
        coarse = {row["Class Name (str)"]: row["Coarse Class Name (str)"] for row in rows}
        for part in ("train", "val", "test"):
            for line in archive.read(f"dataset/{part}.txt").decode().splitlines():
                path, label, _ = (word.strip() for word in line.split(","))
                target = options.folder / "pictures" / name[label] / f"{part}_{Path(path).name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(target, archive.read(f"dataset/{path}"))
    if options.divide:
        write_json(DIVISION, divide(coarse))
    shutil.copy(DIVISION, options.folder / "division.json")
    division = json.loads(DIVISION.read_text(encoding="utf-8"))
    for part, names in division.items():
        print(f"{part}: {len(names)} classes of {len({coarse[one] for one in names})} coarse classes")


def divide(coarse: dict[str, str]) -> dict[str, list[str]]:
    """Divide the fine classes into parts that share no coarse class."""
    kinds = sorted(set(coarse.values()))
    kinds = [kinds[place] for place in np.random.Generator(np.random.Philox(0)).permutation(len(kinds))]
    parts: dict[str, list[str]] = {}
    for part, least in SHARES.items():
        chosen: list[str] = []
        while kinds and (len(chosen) < least or part == "test"):
            kind = kinds.pop(0)
            chosen += [fine for fine, its in coarse.items() if its == kind]
        parts[part] = sorted(chosen)
    return parts


if __name__ == "__main__":
    main()
