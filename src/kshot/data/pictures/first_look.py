"""A look at a few pictures before all of them are read: are these photographs, where a learner reads ink?

In: the files of a folder and a preprocessing. Out: a `FirstLook`. Next: `image_folder`, and the tasks of users.

Two numbers tell them apart, measured on 61 of the photographs of Grocery Store and on 60 drawings made in uneven light with grain. Ink
covers 0.3 to 9 % of a drawing and 9 to 74 % of a photograph that is taken for ink. The calmest quarter of the picture, which is paper,
varies by 0.4 to 1.7 % of the contrast between ink and paper, and by 1.6 to 22 % in photographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kshot.data.pictures.flat import flat_rgb
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.paper import LONGER_SIDE, find_contrast
from kshot.data.pictures.picture_file import opened_picture
from kshot.data.preprocess import Preprocess
from kshot.data.reading import read_each
from kshot.errors import DataError
from kshot.passes import watched

SAMPLE = 32
"""At most this many pictures are looked at, evenly spread."""
_LEAST_INK, _LEAST_GRAIN = 0.1, 0.03

LOOK_LIKE_PHOTOGRAPHS = "these look like photographs; this learner reads ink on paper"


@dataclass(frozen=True)
class FirstLook:
    """What a few pictures are.

    Attributes:
        pictures: How many were looked at.
        photographs: Whether most of them look like photographs to a preprocessing of ink.
        unread: Why some of them cannot be read, where they look like photographs.
    """

    pictures: int = 0
    photographs: bool = False
    unread: tuple[str, ...] = ()

    def error(self, where: object, unread: str = "") -> DataError:
        """Return the error for a folder of which pictures cannot be read because they are photographs.

        Args:
            where: The folder.
            unread: Why one cannot be read that was not looked at; empty if one of those that were cannot.
        """
        if self.unread:
            unread = f"Of {self.pictures} pictures looked at, {len(self.unread)} cannot be read as ink: {self.unread[0]}"
        return DataError(
            f"{where}: {LOOK_LIKE_PHOTOGRAPHS}. {unread} For photographs, train a learner of pictures: kshot train protonet --data FOLDER."
        )

    def notes(self) -> tuple[str, ...]:
        """List what a user should know, in sentences."""
        return (f"{LOOK_LIKE_PHOTOGRAPHS}, so the answers mean little.",) if self.photographs else ()


def first_look(files: Sequence[str | Path], preprocess: Preprocess) -> FirstLook:
    """Look at some pictures. A preprocessing of anything but ink takes them as they are."""
    if not isinstance(preprocess, Ink) or not files:
        return FirstLook()
    count = min(SAMPLE, len(files))
    sample = [files[number * len(files) // count] for number in range(count)]
    alike = 0
    with watched("pictures looked at", count) as done:
        for file in sample:
            alike += _like_photograph(file, preprocess)
            done(1)
    if 2 * alike <= count:
        return FirstLook(count)
    unread = tuple(str(one) for one in read_each(preprocess, sample) if isinstance(one, DataError))
    return FirstLook(count, True, unread)


def looks_like_ink(files: Sequence[str | Path]) -> bool:
    """Look at some pictures, until it is clear: are most of them ink on paper, and no photographs?"""
    count = min(SAMPLE, len(files))
    inked = others = 0
    for number in range(count):
        one = _measured(files[number * len(files) // count], Ink())
        is_ink = one is not None and 0 < one[0] <= _LEAST_INK and one[1] <= _LEAST_GRAIN
        inked, others = inked + is_ink, others + (not is_ink)
        if 2 * max(inked, others) > count:
            break
    return 2 * inked > count


def _like_photograph(file: str | Path, ink: Ink) -> bool:
    found = _measured(file, ink)
    return found is not None and found[0] > _LEAST_INK and found[1] > _LEAST_GRAIN


def _measured(file: str | Path, ink: Ink) -> tuple[float, float] | None:
    """Return which share of a picture is ink, and the variation of its paper in units of the contrast; None where there is no ink."""
    try:
        with opened_picture(file, LONGER_SIDE) as image:
            contrast = find_contrast(flat_rgb(image, LONGER_SIDE, max, ink.levels))
    except DataError:  # a file that cannot be read, or empty paper
        return None
    inked = contrast.height > contrast.threshold
    if not 0 < inked.mean() < 1:
        return None
    between = float(contrast.height[inked].mean() - contrast.height[~inked].mean())
    return float(inked.mean()), float(contrast.noise / between) if between > 0 else float("inf")
