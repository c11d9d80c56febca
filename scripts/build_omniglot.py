"""Build the embedded Omniglot from the official zips, and prove that nothing was lost.

    python scripts/build_omniglot.py FOLDER

FOLDER holds `images_background.zip` and `images_evaluation.zip` (or their unpacked trees), `LICENSE`, and
`splits/vinyals/{train,val,test}.txt`. It writes `omniglot.xz`, `vinyals.json` and `OMNIGLOT-LICENSE` into
`src/kshot/data/embedded`. The same input gives the same bytes.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from kshot.data.pictures.omniglot_archive import EMBEDDED, Drawings, pack, read_official, unpack

ROTATIONS = ("rot000", "rot090", "rot180", "rot270")


def check(drawings: Drawings) -> None:
    """Raise an error for anything but the complete Omniglot."""
    background = sum(alphabet in drawings.background for alphabet, _ in drawings.characters)
    found = (len(drawings.characters), background, len({alphabet for alphabet, _ in drawings.characters}), drawings.ink.shape)
    wanted = (1623, 964, 50, (32460, 105, 105))
    if found != wanted:
        raise SystemExit(f"expected characters, background characters, alphabets and shape {wanted}; found {found}")


def vinyals(folder: Path, drawings: Drawings) -> dict[str, list[str]]:
    """Return the official split as characters; each must come with its four rotations."""
    known = {"/".join(character) for character in drawings.characters}
    parts: dict[str, list[str]] = {}
    for part in ("train", "val", "test"):
        lines = (folder / f"{part}.txt").read_text().split()
        characters = list(dict.fromkeys(line.rpartition("/")[0] for line in lines))
        if sorted(lines) != sorted(f"{name}/{rotation}" for name in characters for rotation in ROTATIONS):
            raise SystemExit(f"{part}.txt does not list each character once with each of its four rotations")
        parts[part] = characters
    every = [name for names in parts.values() for name in names]
    if len(set(every)) != len(every) or set(every) != known:
        raise SystemExit("the parts of the Vinyals split overlap or do not cover the 1,623 characters")
    return parts


def main() -> None:
    """Build the files, check them and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=EMBEDDED.parent)
    options = parser.parse_args()
    drawings = read_official(options.folder)
    check(drawings)
    packed = pack(drawings)
    again = unpack(packed)
    if again.characters != drawings.characters or again.background != drawings.background:
        raise SystemExit("names did not survive packing")
    if not np.array_equal(again.ink, drawings.ink):
        raise SystemExit("pixels did not survive packing")
    if len(packed) > 4_000_000:
        raise SystemExit(f"the packed file has {len(packed):,} bytes; at most 4,000,000 are allowed")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / EMBEDDED.name).write_bytes(packed)
    parts = vinyals(options.folder / "splits" / "vinyals", drawings)
    (options.out / "vinyals.json").write_text(json.dumps(parts, indent=0) + "\n")
    shutil.copyfile(options.folder / "LICENSE", options.out / "OMNIGLOT-LICENSE")
    print(f"{len(packed):,} bytes, {len(drawings.ink):,} drawings, fingerprint {drawings.fingerprint()}")
    print({part: len(names) for part, names in parts.items()}, "every pixel survives")


if __name__ == "__main__":
    main()
