"""A saved learner as an encoder: the features that it compares. PyTorch is imported with this module.

In: the name or folder of a saved learner whose features are one vector per picture, such as `omniglot-protonet`; or of one that was trained
on the vectors of a frozen encoder (`kshot embed`), which then reads what that encoder reads. Out: an `Encoder`. Next:
`kshot.tasks.encoder_by_name`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.preprocess import Preprocess
from kshot.data.vectors import Embedded
from kshot.device import pick_device
from kshot.encoders.encoder import Encoder, Provenance, Reads, fingerprint_of
from kshot.encoders.table import open_encoder
from kshot.errors import RecipeError
from kshot.regular_file import read_bytes
from kshot.saved.folder import load_folder
from kshot.saved.record_file import RECORD
from kshot.saved.shipped import find, shipped
from kshot.short_repr import short_repr

_MOST_RECORD = 2**26
_SIDE = 105


class LearnerEncoder:
    """The features of a saved learner.

    Args:
        name: The name of a shipped learner, the folder of one, or that of a run.
        device: Where the network computes.

    Attributes:
        reads: What it reads: photographs, or what the frozen encoder under it reads.
        reads_ink: Whether the learner reads ink on paper, and not photographs.
        under: The frozen encoder whose vectors the learner reads; None for a learner that reads pictures itself.
        learner: The learner, in evaluation mode.
        preprocess: How it reads pictures.

    Raises:
        RecipeError: Its features are not one vector per picture, or it reads no pictures.
        SavedError: It cannot be found or read.
        SetupError: There is no such device here.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        folder = find(name)
        saved = load_folder(folder)
        self.reads: Reads = "photographs"
        self.under: Encoder | None = None
        if isinstance(saved.preprocess, Embedded) and saved.preprocess.encoder:
            self.under = open_encoder(saved.preprocess.encoder, device=device)
            self.reads = self.under.reads
        elif saved.preprocess is None or isinstance(saved.preprocess, AsIs):
            what = "nothing from files" if saved.preprocess is None else "arrays"
            raise RecipeError(f"the learner {name!r} reads {what}, and an encoder reads pictures. Choose another --encoder.")
        self.name = name
        self.preprocess: Preprocess = saved.preprocess
        self.reads_ink = isinstance(saved.preprocess, Ink)
        self._device = pick_device(device)
        self.learner = saved.learner.to(self._device).eval()
        found = self._features([self.read("a text" if self.reads == "texts" else stroke())])
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or not found.is_floating_point():
            shape = f"of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"of the type {type(found).__name__}"
            raise RecipeError(
                f"the learner {name!r} cannot be an encoder, which gives one vector per picture: its features are {shape}. "
                "A learner that compares features can, such as omniglot-protonet; this one answers by itself: kshot predict "
                f"{name} --support FOLDER PICTURE…"
            )
        self.features = int(found.shape[1])
        parts: list[str | bytes] = ["learner", read_bytes(folder / RECORD, _MOST_RECORD)]
        if self.under is not None:
            parts.append(self.under.fingerprint)
        self.fingerprint = fingerprint_of(*parts)  # it names the tensors by their hash
        own = name in shipped()
        under = "" if self.under is None else f", on vectors of {self.under.name} ({self.under.provenance.licence})"
        self.provenance = Provenance("MIT" if own else "unknown", f"the saved learner {name}{under}", "kshot" if own else "")

    def __repr__(self) -> str:
        """Return the name, what it reads, and the number of features."""
        return short_repr("LearnerEncoder", [repr(self.name), repr(self.preprocess), f"features={self.features}"])

    def read(self, thing: object) -> Any:
        """Return a thing as the learner, or the encoder under it, keeps it. Errors are those of its preprocessing."""
        return self.preprocess.read(thing) if self.under is None else self.under.read(thing)

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return the features of M kept pictures, float32 (M, D)."""
        if not len(items):
            return np.empty((0, self.features), np.float32)
        vectors: np.ndarray = self._features(items).float().cpu().numpy()
        return vectors

    def _features(self, items: Sequence[Any]) -> Any:
        kept = np.stack(items) if self.under is None else self.under.encode(items)
        with torch.no_grad():
            return self.learner.encode(self.preprocess.to_input(torch.from_numpy(kept).to(self._device)))


def stroke(bend: int = 0) -> Image.Image:
    """Draw a picture that every preprocessing of pictures reads: a line, bent by some pixels."""
    image = Image.new("RGB", (_SIDE, _SIDE), "white")
    ImageDraw.Draw(image).line((25, 25, 52 + bend, 52 - bend, 80, 80), fill="black", width=5)
    return image
