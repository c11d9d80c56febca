"""Labels of a table as names of classes, and labels that are probably one class.

In: values of a column. Out: names. Next: `kshot.tasks`.
"""

import math
import unicodedata
from collections.abc import Iterable

from kshot.errors import DataError

SEPARATOR = "|"
"""What stands between the labels of a thing in one cell of a table."""


def label_name(value: object) -> str:
    """Return the name of the class that a value of a label column means; empty where the label is missing.

    A whole number is written without a point, whichever form of table it comes from; spaces around a text do not count.

    Example:
        >>> label_name(" fox "), label_name(3.0), label_name(2.5), label_name(None), label_name(True)
        ('fox', '3', '2.5', '', 'True')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def label_set(value: object) -> tuple[str, ...] | None:
    """Return the names of the classes that a value means where a thing may have several labels, sorted, each once.

    A list holds one name per item; a text separates them by `SEPARATOR`. A thing with an empty list, or the separator alone, belongs to no
    class.

    Returns:
        The names; None where the labels are missing.

    Raises:
        DataError: A name in a list is empty or holds the separator, or the value is a list of something else than names.

    Example:
        >>> label_set("red | round|red"), label_set(["b", "a"]), label_set([]), label_set("|"), label_set(" "), label_set(None)
        (('red', 'round'), ('a', 'b'), (), (), None, None)
    """
    if isinstance(value, list | tuple):
        names = [label_name(one) for one in value]
        for one, name in zip(value, names, strict=True):
            if not name or SEPARATOR in name or isinstance(one, list | tuple | dict):
                raise DataError(f"a list of labels holds names that are not empty and have no {SEPARATOR!r}; found {one!r}. Correct it.")
        return tuple(sorted(set(names)))
    text = label_name(value)
    found = {name for part in text.split(SEPARATOR) if (name := part.strip())}
    return tuple(sorted(found)) if text else None


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Find names that differ by case, by spaces or by their encoding in Unicode only.

    Returns:
        Groups of two or more such names, in the order in which they occur.

    Example:
        >>> alike(["Lost card", "refund", "lost  card", "lost_card"])
        [('Lost card', 'lost  card')]
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
