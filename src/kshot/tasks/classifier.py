"""A user's own classification task: a few labelled pictures in, labels for new pictures out.

In: a saved learner and support pictures, one folder per class. Out: `Classifier`, which labels pictures. It adapts once. Its learner never
changes: a learner that the caller holds is copied, so that training it further changes no answer, and no answer changes its training.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kshot.data.as_is import AsIs
from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.data.pictures.class_folders import class_files
from kshot.data.preprocess import Preprocess
from kshot.data.reading import read_each, unusable
from kshot.device import pick_device
from kshot.errors import DataError, SavedError
from kshot.passes import watched
from kshot.results.score.features import naming_items
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved
from kshot.short_repr import short_repr
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.task_file import TaskJudge, read_task_certainty
from kshot.tasks.prediction import Prediction, predictions_of

Thing = str | Path | Image.Image | np.ndarray | Sequence[Any]
"""What a learner's preprocessing reads: a picture (a path, a Pillow image), or a row of numbers."""
_AT_ONCE = 64
"""Items that the network reads at once."""


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

    Attributes:
        classes: The names of the N classes, in the order of the support set.
        learner: The learner, in evaluation mode.
        adapted: What its `adapt` returned for the support set, B = 1.

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
        self._certainty = read_task_certainty(opened.folder)
        self._device = pick_device(device)
        # A learner that the caller holds may be trained further, or asked elsewhere: this task keeps a copy of it as it is now.
        own = copy.deepcopy(opened.learner) if opened is saved else opened.learner
        self.learner = own.to(self._device).eval()
        self._form: tuple[int, ...] | None = None
        labels = [label for label, members in enumerate(pictures.values()) for _ in members]
        self._counts = tuple(len(members) for members in pictures.values())
        self._support = features = self._features([picture for members in pictures.values() for picture in members])
        y = torch.tensor(labels, device=self._device).unsqueeze(0)  # (1, S)
        with torch.no_grad(), naming_items(features):
            self.adapted: Any = self.learner.adapt(map_inputs(lambda value: value.unsqueeze(0), features), y, way=len(self.classes))

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self.classes[:10])) + (" …" if len(self.classes) > 10 else "")
        parts = [f"{len(self.classes)} classes: {names}", repr(self.learner), repr(self._preprocess), f"device='{self._device}'"]
        return short_repr("Classifier", parts)

    def predict(self, pictures: Sequence[Thing], *, coverage: float | None = None, unknown: float | None = None) -> list[Prediction]:
        """Label pictures, each independently.

        Args:
            pictures: Paths or Pillow images; rows for a learner of arrays.
            coverage: Share of pictures whose `set` is to hold the right class, above 0 and below 1; None: no sets.
            unknown: Share of pictures of known classes that may be called unknown, above 0 and below 1; None: 0.05.

        Returns:
            One prediction per picture, in the same order.

        Raises:
            DataError: Items cannot be read (the message counts them and names the first ten).
            RecipeError: The learner cannot promise what is asked.
        """
        _check_list(pictures, "predict")
        answers = list(self.answer_each(pictures, Asked(coverage, unknown)))
        if faults := [
            _named(number, thing, one)
            for number, (thing, one) in enumerate(zip(pictures, answers, strict=True))
            if isinstance(one, DataError)
        ]:
            raise unusable(faults, len(answers), "items")
        return [one for one in answers if not isinstance(one, DataError)]

    def judge(self, sure: Asked) -> TaskJudge:
        """Return what judges answers: its notes say what they rest on.

        Args:
            sure: The coverage of sets and the rate of false alarms.

        Raises:
            RecipeError: The learner cannot promise what is asked.
        """
        return TaskJudge(self._certainty, len(self.classes), sum(self._counts) / len(self._counts), sure)

    @property
    def preprocess(self) -> Preprocess:
        """How items are read."""
        return self._preprocess

    def centres(self, most: int) -> tuple[np.ndarray, int]:
        """Return the mean features of the first support items of each class, of equally many for all classes.

        Args:
            most: Largest number of items per class.

        Returns:
            The means, float64 (N, D), in the order of `classes`, and the number of items per class.

        Raises:
            DataError: The features are not one vector of real numbers per item.
        """
        if not isinstance(self._support, torch.Tensor) or self._support.ndim != 2 or not self._support.is_floating_point():
            raise DataError("centres need one vector of real numbers per item, (M, D); this learner's features are none.")
        items = min(most, *self._counts)
        rows = [part[:items].double().mean(0) for part in torch.split(self._support, list(self._counts))]
        return torch.stack(rows).cpu().numpy(), items

    def answer_each(self, pictures: Iterable[Thing], sure: Asked = Asked()) -> Iterator[Prediction | DataError]:  # noqa: B008  # frozen
        """Label pictures one after another, each independently, and go on where one cannot be read.

        Pictures are read on all cores. They are taken as they are needed, and only some hundreds of them are in memory at any time.

        Args:
            pictures: Paths or Pillow images; rows for a learner of arrays. They may come from an endless stream.
            sure: The coverage of sets and the rate of false alarms.

        Yields:
            For each picture, in the same order, its prediction; or an error, not raised, that names it and says why it cannot be read.

        Raises:
            RecipeError: The learner cannot promise what is asked.
        """
        judge = self.judge(sure)
        batch: list[np.ndarray | DataError] = []
        for one in read_each(self._preprocess, pictures):
            batch.append(one)
            if len(batch) == _AT_ONCE:
                yield from self._answers(batch, judge)
                batch = []
        yield from self._answers(batch, judge)

    def _answers(self, batch: Sequence[np.ndarray | DataError], judge: TaskJudge) -> list[Prediction | DataError]:
        fitting = [self._fitting(one) for one in batch]
        kept = [one for one in fitting if not isinstance(one, DataError)]
        predictions = iter(self._predictions(self._encode(kept), judge) if kept else ())
        return [one if isinstance(one, DataError) else next(predictions) for one in fitting]

    def _predictions(self, features: Inputs, judge: TaskJudge) -> list[Prediction]:
        query = map_inputs(lambda value: value.unsqueeze(0), features)  # (1, Q, …)
        with torch.no_grad(), naming_items(features):
            logits = self.learner.predict(self.adapted, query)[0].double()  # (Q, N)
        log_probabilities = logits.log_softmax(-1).cpu().numpy()
        if np.isnan(log_probabilities).any():
            raise DataError(
                "the answers of this learner are not numbers: what it computes is too large for its type. Its parameters may be damaged, "
                "or its training may have diverged. Train it again, or use another learner."
            )
        return predictions_of(self.classes, log_probabilities, judge(logits.cpu().numpy()))

    def _features(self, support: Sequence[Thing]) -> Inputs:
        """Return the features (S, …) of the support items; all that cannot be read are named in one error."""
        with watched("support items read", len(support)) as done:
            kept, faults = [], []
            for number, one in enumerate(map(self._fitting, read_each(self._preprocess, support))):
                if isinstance(one, DataError):
                    faults.append(_named(number, support[number], one))
                else:
                    kept.append(one)
                done(1)
        if faults:
            raise unusable(faults, len(support), "support items")
        return concatenate([self._encode(kept[start : start + _AT_ONCE]) for start in range(0, len(kept), _AT_ONCE)])

    def _fitting(self, kept: np.ndarray | DataError) -> np.ndarray | DataError:
        """Return an item, or an error, not raised, if it has another shape than the first support item."""
        if isinstance(kept, DataError):
            return kept
        self._form = kept.shape if self._form is None else self._form
        if kept.shape == self._form:
            return kept
        return DataError(f"items must have one shape; found {self._form} and {kept.shape}. Bring them to one shape first.")

    def _encode(self, kept: Sequence[np.ndarray]) -> Inputs:
        """Return the features (m, …) of kept items."""
        with torch.no_grad():
            x = self._preprocess.to_input(torch.from_numpy(np.stack(kept)).to(self._device))  # kept: (m, C, H, W) uint8 for pictures
            with naming_items(x):
                return self.learner.encode(x)


def _named(number: int, thing: Thing, error: DataError) -> str:
    """Name an item that has no path by its number."""
    return str(error) if isinstance(thing, str | Path) else f"item {number}: {error}"


def _check_list(pictures: Sequence[Thing], what: str) -> None:
    if not hasattr(pictures, "__len__") or not hasattr(pictures, "__iter__"):
        raise DataError(f"{what} takes a list of pictures; found {type(pictures).__name__}.")
    if isinstance(pictures, (str, Path, Image.Image)):  # a text is also a sequence: of letters
        raise DataError(f"{what} takes a list of pictures; found one, {pictures!r}. Put it into a list.")
