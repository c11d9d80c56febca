"""Class names in a record, folded by their last part: thousands of names share their beginnings.

["Greek/character01/rot000", "Greek/character01/rot090"]  <->  {"Greek/character01": ["rot000", "rot090"]}
"""

from collections.abc import Iterable, Mapping


def fold(names: Iterable[str]) -> dict[str, list[str]]:
    """Names as what stands before their last `/` (nothing, for names without one) → their last parts.

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
    """The names that `fold` folded; those of one beginning stand together.

    Example:
        >>> unfold({"Greek/character01": ["rot000"], "": ["fox"]})
        ['Greek/character01/rot000', 'fox']
    """
    return [f"{beginning}/{last}" if beginning else last for beginning, lasts in folded.items() for last in lasts]
