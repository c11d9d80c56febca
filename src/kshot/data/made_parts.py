"""The parts of a data set that is made, not read: how many tasks each has, and their names.

In: sizes and a seed, as a user gives them. Out: checked sizes, and one name per task. Next: `kshot.data.sinusoids`, `kshot.data.tables`.
"""

from collections.abc import Mapping

from kshot.errors import DataError


def check_parts(sizes: Mapping[str, int], seed: int, whose: str, one: str) -> tuple[str, ...]:
    """Check the sizes of the parts and the seed, and return the names of the tasks, part by part.

    Args:
        sizes: Number of tasks of each part, by name.
        seed: Seed of the draws.
        whose: The data set in words, for messages, such as `the sinusoids`.
        one: A task in words, such as `wave`.

    Raises:
        DataError: A part is empty, or the seed is negative.

    Example:
        >>> check_parts({"train": 2, "test": 1}, 0, "the sinusoids", "wave")
        ('train/00000', 'train/00001', 'test/00000')
    """
    for part, size in sizes.items():
        if size < 1:
            raise DataError(f"the part {part!r} of {whose} needs at least one {one}; found {size}.")
    if seed < 0:
        raise DataError(f"the seed of {whose} must be 0 or more; found {seed}.")
    return tuple(f"{part}/{number:05d}" for part, size in sizes.items() for number in range(size))
