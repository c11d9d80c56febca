"""The parts of a data set that is made, not read: how many tasks each has, and their names.

In: sizes and a seed, as a user gives them. Out: checked sizes, and one name per task. Next: `kshot.data.sinusoids`, `kshot.data.tables`.
"""

from collections.abc import Mapping

from kshot.errors import DataError
from kshot.value_types import LARGEST_COUNT, count_fault


def check_parts(sizes: Mapping[str, int], seed: int, whose: str, one: str) -> tuple[str, ...]:
    """Check the sizes of the parts and the seed, and return the names of the tasks, part by part.

    Args:
        sizes: Number of tasks of each part, by name.
        seed: Seed of the draws.
        whose: The data set in words, for messages, such as `the sinusoids`.
        one: A task in words, such as `wave`.

    Raises:
        DataError: A part is empty or larger than a million, or the seed is negative; one of these is no whole number.

    Example:
        >>> check_parts({"train": 2, "test": 1}, 0, "the sinusoids", "wave")
        ('train/00000', 'train/00001', 'test/00000')
    """
    for part, size in sizes.items():
        if size == 0:
            raise DataError(f"the part {part!r} of {whose} needs at least one {one}; found {size}.")
        if fault := count_fault(f"the size of the part {part!r} of {whose}", size, 1, LARGEST_COUNT):
            raise DataError(f"{fault}.")
    if fault := count_fault(f"the seed of {whose}", seed, 0):
        raise DataError(f"{fault}.")
    return tuple(f"{part}/{number:05d}" for part, size in sizes.items() for number in range(size))
