"""A user's own classification task: a few labelled pictures in, labels for new pictures out.

In: a saved learner and support pictures, one folder per class. Out: `Classifier`, which labels pictures. It adapts once. Its learner never
changes: a learner that the caller holds is copied, so that training it further changes no answer, and no answer changes its training.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kshot.data.as_is import AsIs
from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.data.pictures.class_folders import class_files
from kshot.data.preprocess import Preprocess
from kshot.device import pick_device
from kshot.errors import DataError, SavedError
from kshot.results.score.features import naming_items
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved
from kshot.short_repr import short_repr, shown

Thing = str | Path | Image.Image | np.ndarray | Sequence[Any]
"""What a learner's preprocessing reads: a picture (a path, a Pillow image), or a row of numbers."""
_AT_ONCE = 256
_SHOWN = 3
"""Number of classes after the first one that a prediction shows."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture.

    Attributes:
        label: Name of the most probable class.
        probability: Probability of that class among the classes of the support set. It is not calibrated.
        probabilities: Probability of each class, by name.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]

    def __repr__(self) -> str:
        """Return the class, and the next most probable ones."""
        ranked = sorted(((value, name) for name, value in self.probabilities.items() if name != self.label), key=lambda one: -one[0])
        others = [f"{name!r} {value:.3g}" for value, name in ranked[:_SHOWN]]
        more = [f"and {len(ranked) - _SHOWN} more"] if len(ranked) > _SHOWN else []
        then = [f"then {', '.join([*others, *more])}"] if others else []
        return short_repr("Prediction", [repr(self.label), f"probability={shown(self.probability)}", *then])


class Classifier:
    """A learner adapted to a user's own classes.

    Args:
        saved: A saved learner: a folder, the name of a shipped learner, or the result of `open_saved`, whose learner is
            copied.
        support: A mapping of class names to items as the learner's preprocessing reads them: pictures (paths or Pillow images), or rows
            (arrays or lists of numbers) for a learner of arrays. For pictures also a folder of class folders.
        device: Device for the computation.

    Raises:
        DataError: An item cannot be read, by the preprocessing or by the network; a folder is given to a learner of arrays; or there are
            fewer than two classes.
        SavedError: The learner cannot be read, or was saved without preprocessing.
        SetupError: There is no such device here.

    Example:
        `Classifier("omniglot-protonet", "letters/").predict(["unknown.png"])[0].label`
    """

    def __init__(self, saved: str | Path | Saved, support: str | Path | Mapping[str, Sequence[Thing]], *, device: str = "cpu") -> None:
        opened = saved if isinstance(saved, Saved) else open_saved(saved)
        if opened.preprocess is None:
            raise SavedError("this learner was saved without preprocessing, so it cannot read pictures. Save it with preprocess=.")
        if not isinstance(support, (str, Path, Mapping)):
            raise DataError(
                f"the support set must be a folder of class folders, or a mapping of class names to pictures; "
                f"found {type(support).__name__}."
            )
        if isinstance(support, (str, Path)) and isinstance(opened.preprocess, AsIs):
            raise DataError(
                "a support folder holds pictures, and so do the queries of kshot predict; this learner reads arrays. Give it rows, in "
                "Python: kshot.Classifier(saved, {'fox': [row, …], 'owl': [row, …]}).predict([row, …])."
            )
        pictures = support if isinstance(support, Mapping) else class_files(Path(support))
        if len(pictures) < 2:
            raise DataError(
                f"telling classes apart needs at least 2 of them; found {len(pictures)}: {', '.join(pictures) or 'none'}. "
                "Give one folder per class."
            )
        for name, members in pictures.items():
            _check_list(members, f"class {name!r}")
            if len(members) == 0:
                raise DataError(f"class {name!r} has no pictures; give it at least one.")
        self.classes = tuple(pictures)
        self._preprocess: Preprocess = opened.preprocess
        self._device = pick_device(device)
        # A learner that the caller holds may be trained further, or asked elsewhere: this task keeps a copy of it as it is now.
        own = copy.deepcopy(opened.learner) if opened is saved else opened.learner
        self._learner = own.to(self._device).eval()
        labels = [label for label, members in enumerate(pictures.values()) for _ in members]
        features = self._encode([picture for members in pictures.values() for picture in members])
        y = torch.tensor(labels, device=self._device).unsqueeze(0)  # (1, S)
        with torch.no_grad(), naming_items(features):
            self._adapted: Any = self._learner.adapt(map_inputs(lambda value: value.unsqueeze(0), features), y, way=len(self.classes))

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self.classes[:10])) + (" …" if len(self.classes) > 10 else "")
        parts = [f"{len(self.classes)} classes: {names}", repr(self._learner), repr(self._preprocess), f"device='{self._device}'"]
        return short_repr("Classifier", parts)

    def predict(self, pictures: Sequence[Thing]) -> list[Prediction]:
        """Label pictures, each independently.

        Args:
            pictures: Paths or Pillow images; rows for a learner of arrays.

        Returns:
            One prediction per picture, in the same order.

        Raises:
            DataError: An item cannot be read (the message names it).
        """
        _check_list(pictures, "predict")
        if len(pictures) == 0:
            return []
        features = self._encode(pictures)
        query = map_inputs(lambda value: value.unsqueeze(0), features)  # (1, Q, …)
        with torch.no_grad(), naming_items(features):
            probabilities = self._learner.predict(self._adapted, query)[0].double().softmax(-1).cpu().numpy()  # (Q, N)
        return [
            Prediction(
                label=self.classes[int(row.argmax())],
                probability=float(row.max()),
                probabilities={name: float(value) for name, value in zip(self.classes, row, strict=True)},
            )
            for row in probabilities
        ]

    def _encode(self, pictures: Sequence[Thing]) -> Inputs:
        """Return the features (M, …) of pictures."""
        parts = []
        for start in range(0, len(pictures), _AT_ONCE):
            kept = [self._preprocess.read(picture) for picture in pictures[start : start + _AT_ONCE]]
            if other := next((array.shape for array in kept if array.shape != kept[0].shape), None):
                raise DataError(f"items must have one shape; found {kept[0].shape} and {other}. Bring them to one shape first.")
            with torch.no_grad():
                x = self._preprocess.to_input(torch.from_numpy(np.stack(kept)).to(self._device))  # kept: (m, C, H, W) uint8 for pictures
                with naming_items(x):
                    parts.append(self._learner.encode(x))
        return concatenate(parts)


def _check_list(pictures: Sequence[Thing], what: str) -> None:
    if isinstance(pictures, (str, Path, Image.Image)):  # a text is also a sequence: of letters
        raise DataError(f"{what} takes a list of pictures; found one, {pictures!r}. Put it into a list.")
