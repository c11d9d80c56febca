"""Class names in a record, grouped by their beginnings, which thousands of names share.

["Greek/character01/rot000", "Greek/character01/rot090"]  <->  {"Greek/character01": ["rot000", "rot090"]}
"""

from collections.abc import Iterable, Mapping


def fold(names: Iterable[str]) -> dict[str, list[str]]:
    """Group names: the part before the last `/` (empty for names without one) → the last parts.

    Example:
        >>> fold(["Greek/character01/rot000", "Greek/character01/rot090", "fox"])
        {'Greek/character01': ['rot000', 'rot090'], '': ['fox']}
    """
    folded: dict[str, list[str]] = {}
    for name in names:
        beginning, _, last = name.rpartition("/")
        folded.setdefault(beginning, []).append(last)
    return folded


def unfold(folded: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names that `fold` grouped. Names with the same beginning come together.

    Example:
        >>> unfold({"Greek/character01": ["rot000"], "": ["fox"]})
        ['Greek/character01/rot000', 'fox']
    """
    return [f"{beginning}/{last}" if beginning else last for beginning, lasts in folded.items() for last in lasts]
