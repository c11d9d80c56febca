"""Encoders by name, saved learners among them; and whether pictures are what an encoder is for.

    open_by_name     a name of `kshot.encoders.table`, or that of a saved learner, its folder, or the folder of a run
    check_fit        photographs for an encoder of ink, and ink for one of photographs
    unfit_for_ink    the former alone

`kshot.encoders` knows nothing of learners, so it is asked here first whether a name is that of one. PyTorch is imported only then. In: a
name. Out: an `Encoder`. Next: `kshot.tasks.fit`, `kshot.tasks.model_encoder`.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from kshot.data.pictures.first_look import first_look, looks_like_ink
from kshot.data.pictures.ink import Ink
from kshot.encoders.encoder import Encoder
from kshot.encoders.table import ENCODERS, default_encoder, open_encoder
from kshot.errors import DataError
from kshot.regular_file import look

_RECORD = "learner.json"
FOR_INK = "omniglot-protonet"


def open_by_name(name: str, *, device: str = "cpu") -> Encoder:
    """Open an encoder, or a saved learner as one.

    Args:
        name: As `kshot.encoders.table.open_encoder` takes it; or a shipped learner, the folder of a saved one, or of a run.
        device: Where the network computes: `cpu`, or `cuda` for a GPU.

    Raises:
        RecipeError: There is no such encoder, or the learner gives no vectors.
        SavedError: A file or a folder is damaged.
        SetupError: It needs a package, a device or a network that is not here.
    """
    if name not in ENCODERS and _is_learner(name):
        from kshot.tasks.learner_encoder import LearnerEncoder

        return LearnerEncoder(name, device)
    return open_encoder(name, device=device)


def check_fit(encoder: Encoder, things: Sequence[object]) -> tuple[str, ...]:
    """Look at some pictures before all are read: are they what the encoder is for?

    Args:
        encoder: An encoder of pictures; of others, nothing is looked at.
        things: Their paths.

    Returns:
        A note, if photographs are expected and these look like ink.

    Raises:
        DataError: Ink is expected, and these look like photographs.
    """
    if unfit := unfit_for_ink(encoder, things):
        raise DataError(unfit)
    paths = _paths(things)
    if encoder.reads == "photographs" and paths and not _reads_ink(encoder) and looks_like_ink(paths):
        return (f"these look like ink on paper, and {encoder.name} reads photographs. For ink: --encoder {FOR_INK}",)
    return ()


def unfit_for_ink(encoder: Encoder, things: Sequence[object]) -> str:
    """Say so if an encoder of ink gets what looks like photographs; return the empty text otherwise. Arguments are those of `check_fit`."""
    paths = _paths(things)
    if not _reads_ink(encoder) or not paths or not first_look(paths, Ink()).photographs:
        return ""
    return (
        f"these look like photographs, and {encoder.name} reads ink on paper. For photographs: --encoder {default_encoder('photographs')}"
    )


def _reads_ink(encoder: Encoder) -> bool:
    return bool(getattr(encoder, "reads_ink", False))


def _paths(things: Sequence[object]) -> list[str | Path]:
    return [thing for thing in things if isinstance(thing, str | Path)]


def _is_learner(name: str) -> bool:
    """Whether a name is that of a saved learner."""
    if (found := look(name)) == "folder":
        folder = Path(name)
        return any(look(one / _RECORD) == "file" for one in (folder, folder / "learner"))
    shelf = Path(str(resources.files("kshot.saved"))) / "shipped"
    return found == "nothing" and Path(name).name == name and look(shelf / name / _RECORD) == "file"
