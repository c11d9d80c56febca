"""Build `data/embedded/lake_runs.json` from Lake's `all_runs.zip`: which drawing of Omniglot each of its 800 pictures is.

    python scripts/build_lake_runs.py all_runs.zip

Every picture is found by its pixels among the drawings inside the package. A picture that matches none of them, or two, is an error.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from kshot.atomic import write_text
from kshot.data.pictures.lake_runs import LAKE_RUNS
from kshot.data.pictures.omniglot_archive import DRAWERS, EMBEDDED, unpack
from kshot.data.pictures.picture_file import open_image


def main() -> None:
    """Read the zip, find its pictures and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="all_runs.zip of github.com/brendenlake/omniglot, python/one-shot-classification")
    drawings = unpack(EMBEDDED.read_bytes())
    found: dict[bytes, list[int]] = {}
    for number, ink in enumerate(drawings.ink):
        found.setdefault(np.packbits(ink).tobytes(), []).append(number)

    def drawing(content: bytes, name: str) -> list[object]:
        numbers = found.get(np.packbits(~np.asarray(open_image(io.BytesIO(content)).convert("1"))).tobytes(), [])
        if len(numbers) != 1:
            raise SystemExit(f"{name} is {len(numbers)} drawings of Omniglot; expected one.")
        character, drawer = divmod(numbers[0], DRAWERS)
        return ["/".join(drawings.characters[character]), drawer + 1]

    runs = []
    with zipfile.ZipFile(parser.parse_args().archive) as archive:
        for run in range(1, 21):
            pairs = [line.split() for line in archive.read(f"run{run:02}/class_labels.txt").decode().splitlines() if line.strip()]
            training = sorted({picture for _, picture in pairs})
            runs.append(
                {
                    "training": [drawing(archive.read(name), name) for name in training],
                    "test": [drawing(archive.read(name), name) for name, _ in pairs],
                    "answers": [training.index(picture) for _, picture in pairs],
                }
            )
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)
    write_text(LAKE_RUNS, f"[\n{lines}\n]\n")
    print(f"{LAKE_RUNS}: {LAKE_RUNS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
