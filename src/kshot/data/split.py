"""Classes divided into disjoint parts: no class of training is a class of the test.

In: a `ClassIndex` and a rule (fractions and a seed, or lists of names). Out: a `Split`. Next: `kshot.episodes`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kshot.data.class_index import ClassIndex, counted
from kshot.errors import DataError
from kshot.regular_file import read_json
from kshot.short_repr import short_repr

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """A named division of classes.

    Attributes:
        name: `vinyals`, `characters`, `alphabets`, or `division` for a user's own.
        parts: The disjoint parts `train`, `val` and `test`, and `trainval`, which is `train` and `val` together.

    Example:
        >>> divide_by_names(ClassIndex.from_labels(["fox", "owl", "elk"]), {"train": ["fox", "owl"], "test": ["elk"]})
        Split('division', train: 2 classes with 2 items, test: 1 class with 1 item)
    """

    name: str
    parts: Mapping[str, ClassIndex]

    def __repr__(self) -> str:
        classes = {part: counted(len(index), "class", "classes") for part, index in self.parts.items()}
        items = {part: counted(len(index.items), "item", "items") for part, index in self.parts.items()}
        return short_repr("Split", [repr(self.name), *(f"{part}: {classes[part]} with {items[part]}" for part in self.parts)])

    def part(self, name: str) -> ClassIndex:
        """Give one part by name.

        Raises:
            DataError: There is no such part.
        """
        if name not in self.parts:
            raise DataError(f"the split {self.name!r} has no part {name!r}; it has {', '.join(self.parts)}.")
        return self.parts[name]

    def as_names(self) -> dict[str, list[str]]:
        """List the class names of `train`, `val` and `test`, for a JSON file; `divide_by_names` takes them back."""
        return {part: list(self.parts[part].names) for part in PARTS if part in self.parts}


def divide_by_names(index: ClassIndex, parts: Mapping[str, Iterable[str]], name: str = "division") -> Split:
    """Divide classes by lists of names.

    Args:
        index: All classes.
        parts: Class names of `train`, `val` and `test`. `val` and `test` may be missing.
        name: The name of the split in records.

    Returns:
        The parts, and `trainval` where there is a `val`.

    Raises:
        DataError: A part is unknown or empty, a name is unknown, or a class is in two parts.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise DataError(f"a division has the parts {', '.join(PARTS)}; found {unknown[0]!r}.")
    wanted = {part: list(names) for part, names in parts.items()}
    if "train" not in wanted:
        raise DataError(f"a division needs a part 'train'; found {', '.join(wanted) or 'nothing'}.")
    seen: dict[str, str] = {}
    for part, names in wanted.items():
        if not names:
            raise DataError(f"the part {part!r} of the division has no classes; give it some or leave it out.")
        for class_name in names:
            if class_name in seen and seen[class_name] != part:
                raise DataError(f"class {class_name!r} is in both {seen[class_name]!r} and {part!r}; a class belongs to one part.")
            seen[class_name] = part
    built = {part: index.subset(names) for part, names in wanted.items()}
    if "val" in built:
        built["trainval"] = index.subset([*wanted["train"], *wanted["val"]])
    return Split(name=name, parts=built)


def divide_by_fraction(index: ClassIndex, fractions: tuple[float, float, float], seed: int, name: str = "division") -> Split:
    """Divide classes at random.

    Args:
        index: All classes. Their names are sorted and then shuffled by `seed`, so that their order does not matter.
        fractions: Shares of `train`, `val` and `test`; they add up to 1. `val` and `test` get at least two classes each, because an
            episode tells classes apart; of fewer than six classes, they get at least one.
        seed: Seed of the shuffle.
        name: The name of the split in records.

    Raises:
        DataError: The fractions are not shares, or there are fewer than three classes.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(f"fractions are three positive shares that add up to 1 (train, val, test); found {fractions}.")
    if len(index) < 3:
        raise DataError(
            f"dividing classes into train, val and test needs at least 3 classes; found {len(index)}: "
            f"{', '.join(index.names)}. Meta-training learns from many classes: add more, or use a shipped learner with `kshot predict`."
        )
    names = sorted(index.names)
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(names))
    least = 2 if len(names) >= 6 else 1
    n_val = max(least, round(fractions[1] * len(names)))
    n_test = max(least, round(fractions[2] * len(names)))
    n_train = len(names) - n_val - n_test
    if n_train < 1:
        raise DataError(f"{len(names)} classes leave none for training beside {n_val} val and {n_test} test; add classes.")
    shuffled = [names[position] for position in order]
    parts = {"train": shuffled[:n_train], "val": shuffled[n_train : n_train + n_val], "test": shuffled[n_train + n_val :]}
    return divide_by_names(index, {part: sorted(members) for part, members in parts.items()}, name)


def divide_by_parts(
    index: ClassIndex, parts: Mapping[str, Iterable[str]], fractions: tuple[float, float, float], seed: int, name: str = "division"
) -> Split:
    """Divide classes as the data say; validation classes, where they name none, are drawn from those of training.

    Args:
        index: All classes.
        parts: Class names of `train`, and of `val` and `test` where the data have such parts.
        fractions: Shares of `train`, `val` and `test`. The first two say how many training classes become validation classes: at least
            two, and of fewer than four, one.
        seed: Seed of that draw.
        name: The name of the split in records.

    Raises:
        DataError: As of `divide_by_names`, or a single training class is to give validation classes.
    """
    if "val" in parts or "train" not in parts:
        return divide_by_names(index, parts, name)
    names = sorted(parts["train"])
    if len(names) < 2:
        raise DataError(f"validation classes are drawn from at least 2 training classes; found {len(names)}. Add classes, or a part 'val'.")
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(names))
    share = fractions[1] / (fractions[0] + fractions[1])
    n_val = min(max(2 if len(names) >= 4 else 1, round(share * len(names))), len(names) - 1)
    val = {names[position] for position in order[:n_val]}
    train = [one for one in names if one not in val]
    return divide_by_names(index, {**parts, "train": train, "val": sorted(val)}, name)


def divide_by_file(index: ClassIndex, file: Path, name: str = "division") -> Split:
    """Divide classes as a JSON file says: `{"train": ["fox", …], "val": […], "test": […]}`.

    Raises:
        DataError: The file cannot be read, is not of that form, or does not fit the classes.
    """
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the division file {file}: {error}. It must be JSON: lists of class names by train, val and test."
        ) from error
    well_formed = isinstance(content, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    )
    if not well_formed:
        raise DataError(f'{file} must hold {{"train": [class names], "val": […], "test": […]}}; found another form.')
    try:
        return divide_by_names(index, content, name)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
