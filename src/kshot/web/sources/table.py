"""The sources that a server has, by name. Each is opened at its first use, once, whoever asks.

    learners   those named at the start; without any, the shipped ones
    encoders   those of `kshot.encoders.table`, `numbers`, and the learners whose features are one vector
    models     fitted models named at the start, with their encoders

A request can name nothing else: no path, and nothing that would have to be fetched. In: names. Out: `Source`s. Next: `kshot.web.changes`.
"""

import gc
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from kshot.encoders.table import ENCODERS
from kshot.errors import KshotError, RecipeError, known_ones
from kshot.regular_file import look
from kshot.tasks.encoder_by_name import open_by_name
from kshot.tasks.model import Model
from kshot.tasks.model_encoder import encoder_of
from kshot.tasks.model_folder import load_model
from kshot.tasks.model_record import is_model
from kshot.web.sources.encoder_source import NUMBERS, EncoderSource
from kshot.web.sources.source import Source

SHIPPED = ("omniglot-lake", "omniglot-maml", "omniglot-mann", "omniglot-protonet", "omniglot-snail", "tables-in-context")
"""The learners inside the package; a test compares. Listing them would import PyTorch, which a server of encoders alone never needs."""
_NO_ENCODERS = ("omniglot-lake", "omniglot-maml", "tables-in-context")
"""Those of them that compare no vectors of pictures, so that no head can be fitted on them; a test compares."""


class Sources:
    """What tasks can be made with.

    Args:
        saved: Saved learners and fitted models: folders, or names of shipped learners. None: all shipped learners.

    Raises:
        SavedError: There is no such learner or model.
        RecipeError: Two have one name.
    """

    def __init__(self, saved: Sequence[str] = ()) -> None:
        self._openers: dict[tuple[str, str], Callable[[], Source]] = {}
        self._opened: dict[tuple[str, str], Source] = {}
        self._models: dict[str, Model] = {}
        self._no_encoders = set(_NO_ENCODERS)
        self._locks: dict[tuple[str, str], threading.Lock] = {}  # one per source: a long opening holds up nobody who asks for another
        for one in saved or SHIPPED:
            self._add(one)
        for name in ENCODERS:
            self._openers["encoder", name] = lambda name=name: EncoderSource(name, open_by_name(name))  # type: ignore[misc]  # bound now
        self._openers["encoder", NUMBERS] = lambda: EncoderSource(NUMBERS, None)

    def __repr__(self) -> str:
        return f"Sources({', '.join(name for _, name in self._openers)})"

    def listed(self) -> list[dict[str, object]]:
        """Return name, kind, what it reads, and whether it is loaded.

        A learner is listed as an encoder, too, unless it is known to compare no vectors. Of a user's own, that is known once it was asked
        for.
        """
        found: list[dict[str, object]] = []
        for kind, name in self._openers:
            if kind == "encoder" and name in self._no_encoders:
                continue
            there = self._opened.get((kind, name))
            found.append({"name": name, "kind": kind, "reads": None if there is None else there.reads, "loaded": there is not None})
        found += [{"name": name, "kind": "model", "reads": model.encoder.reads, "loaded": True} for name, model in self._models.items()]
        return found

    def opened(self, kind: str, name: str) -> Source | None:
        """Return a source if it is open."""
        return self._opened.get((kind, name))

    def source(self, kind: str, name: str) -> Source:
        """Return a source, opened if it is not yet.

        Args:
            kind: `learner` or `encoder`.
            name: Its name.

        Raises:
            RecipeError: The server has none of this name.
            KshotError: It cannot be opened.
        """
        if (found := self._opened.get((kind, name))) is not None:
            return found
        if (opener := self._openers.get((kind, name))) is None:
            raise RecipeError(f"this server has no {kind} {name!r}.{known_ones(name, [one for k, one in self._openers if k == kind])}")
        with self._locks.setdefault((kind, name), threading.Lock()):
            if (kind, name) not in self._opened:
                try:
                    self._opened[kind, name] = opener()
                except RecipeError:
                    if kind == "encoder" and ("learner", name) in self._openers:
                        self._no_encoders.add(name)
                    raise
                gc.collect()
                gc.freeze()  # what was imported and loaded stays: to look through it again and again would hold up answers
            return self._opened[kind, name]

    def model(self, name: str) -> Model:
        """Return a fitted model.

        Raises:
            RecipeError: The server has none of this name.
        """
        if name not in self._models:
            raise RecipeError(
                f"this server has no model {name!r}.{known_ones(name, self._models)} Name its folder when you start kshot serve."
            )
        return self._models[name]

    def source_of(self, model: Model) -> Source:
        """Return the source whose tasks answer as a model does: that of its encoder.

        Raises:
            RecipeError: The server does not have this encoder, or has another version of it.
        """
        if model.numbers is not None:
            return self.source("encoder", NUMBERS)
        wanted = model.encoder
        for (kind, _), source in list(self._opened.items()):
            if kind == "encoder" and source.fingerprint == wanted.fingerprint:
                return source
        try:
            source = self.source("encoder", wanted.name)
        except RecipeError as error:
            raise RecipeError(f"the model reads with the encoder {wanted.name!r}, and {error}") from error
        if source.fingerprint != wanted.fingerprint:
            raise RecipeError(
                f"the model reads with the encoder {wanted.name!r} of the fingerprint {wanted.fingerprint}; this server has "
                f"{source.fingerprint}. A model that brings its own encoder is served by naming its folder: kshot serve FOLDER."
            )
        return source

    def _add(self, saved: str) -> None:
        name = Path(saved).resolve().name if look(saved) == "folder" else saved
        if name in self._models or ("learner", name) in self._openers:
            raise RecipeError(f"two of the saved learners and models are called {name!r}. Rename the folder of one of them.")
        if look(saved) == "folder" and is_model(saved):
            self._models[name] = model = load_model(saved)
            encoder = encoder_of(model)
            if model.numbers is None:
                known = encoder.name if encoder.name in ENCODERS and model.tuned is None else f"encoder of {name}"
                self._opened["encoder", known] = source = EncoderSource(known, encoder)
                self._openers["encoder", known] = lambda: source
            return
        _check_learner(saved)

        def learner() -> Source:
            from kshot.web.sources.learner_source import LearnerSource  # PyTorch

            return LearnerSource(name, saved)

        self._openers["learner", name] = learner
        self._openers["encoder", name] = lambda: EncoderSource(name, open_by_name(saved))


def _check_learner(saved: str) -> None:
    """Refuse at the start what cannot be opened later; a shipped learner is known to be there."""
    if saved in SHIPPED and look(saved) == "nothing":
        return
    from kshot.saved.record_file import read_record
    from kshot.saved.shipped import find

    try:
        read_record(find(saved))
    except KshotError as error:
        raise type(error)(f"{error} kshot serve takes saved learners and fitted models.") from error
