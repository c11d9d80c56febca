"""Labels of a table as names of classes, and labels that are probably one class.

In: values of a column. Out: names. Next: `kshot.tasks`.
"""

import math
import unicodedata
from collections.abc import Iterable


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
