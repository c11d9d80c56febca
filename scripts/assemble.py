"""Combine trained learners of one kind into an ensemble, and save it.

    python scripts/assemble.py FOLDER RUN RUN… [--views V]

FOLDER becomes a saved learner like any other. Its record is that of the first run, with the classes that any member has seen and the
commands that trained all members.
"""

import argparse
from pathlib import Path

from kshot.errors import SavedError
from kshot.learners.ensemble import assembled
from kshot.learners.table import spec_of
from kshot.saved.class_names import fold, unfold
from kshot.saved.folder import Saved, save
from kshot.saved.shipped import open_saved


def main() -> None:
    """Read the members and write the ensemble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("members", nargs="+", help="runs, saved learners' folders or shipped learners")
    parser.add_argument("--views", type=int, default=1, help="number of views of each item; 1: only the item as it is")
    options = parser.parse_args()
    members = [open_saved(name) for name in options.members]
    together(options.folder, members, options.views)
    print(f"kshot evaluate {options.folder}")


def together(folder: Path, members: list[Saved], views: int) -> None:
    """Save an ensemble of saved learners.

    Raises:
        RecipeError: The learners are not of one kind.
        SavedError: A learner is not built from a recipe, reads items in another way or is for other data.
    """
    first = members[0]
    for number, member in enumerate(members):
        if member.spec is None or first.spec is None:
            raise SavedError(f"member {number} is not one of kshot's own learners; give it with its spec.")
        if member.preprocess != first.preprocess or member.record.get("fingerprint") != first.record.get("fingerprint"):
            raise SavedError(
                f"member {number} reads other data, or reads them in another way: {member.preprocess}, not {first.preprocess}."
            )
    assert first.spec is not None
    made = assembled([member.learner for member in members], first.spec.learner, views=views)
    seen = {name: None for member in members for name in unfold(member.record.get("classes_seen", {}))}
    record = {
        **first.record,
        "classes_seen": fold(seen),
        "command": f"python scripts/assemble.py {folder.name} --views {views}",
        "members": [
            {key: member.record.get(key) for key in ("command", "seed", "updates", "best_update", "validation", "environment")}
            for member in members
        ],
    }
    save(folder, made, spec=spec_of(made), preprocess=first.preprocess, record=record)


if __name__ == "__main__":
    main()
