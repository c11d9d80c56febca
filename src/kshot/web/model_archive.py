"""The folder of a fitted model as one zip: read safely, and written.

A zip that is sent may lie about its sizes, name paths outside its folder, or grow a thousandfold. Only the record and the arrays are read,
each no further than the limit, into a folder of its own. In: bytes. Out: a `Model`; and back. Next: `kshot.web.routes`.
"""

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from kshot.errors import KshotError
from kshot.tasks.model import Model
from kshot.tasks.model_folder import load_model, save_model
from kshot.tasks.model_record import RECORD
from kshot.web.limits import Limits
from kshot.web.problems import Problem, wrong

_MOST_FILES = 100
_GROWTH = 8
"""How many times the limit of a body the files may have, unpacked."""


def model_in(data: bytes, limits: Limits) -> Model:
    """Return the model in a zip.

    Args:
        data: The zip: the files of a folder that `kshot fit` has written, or that folder itself. An encoder in it is not read: the server
            has its own.
        limits: How large it may be.

    Raises:
        Problem: It is no such zip, or is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, TemporaryDirectory(prefix="kshot-model-") as folder:
            for name, entry in _wanted(archive).items():
                (Path(folder) / name).write_bytes(_unpacked(archive, entry, _GROWTH * limits.body_bytes))
            try:
                return load_model(folder)
            except KshotError as error:
                told = str(error).replace(folder, "the model")
                raise wrong("body", "the zip of a folder that kshot fit has written", told) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise wrong("body", "the zip of a folder that kshot fit has written", f"no zip that can be read ({error})") from error


def archive_of(model: Model) -> bytes:
    """Return the folder of a model as a zip."""
    buffer = io.BytesIO()
    with TemporaryDirectory(prefix="kshot-model-") as folder:
        save_model(Path(folder), model)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    return buffer.getvalue()


def _wanted(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > _MOST_FILES:
        raise wrong("body", f"a zip of at most {_MOST_FILES} files", f"{len(entries):,}")
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.rpartition("/")[2]  # the path says nothing about where it is written
        if name == RECORD or (name.startswith("arrays-") and name.endswith(".safetensors")):
            if name in found:
                raise wrong("body", "a zip of one model", f"{name[:80]!r} twice")
            found[name] = entry
    if RECORD not in found:
        raise wrong("body", f"the zip of a folder that kshot fit has written, with {RECORD}", "none")
    return found


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with archive.open(entry) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Problem(
            413,
            f"the files of a model may have {most:,} bytes, unpacked; {entry.filename[:80]!r} has more.",
            field="body",
            expected=f"at most {most:,} bytes",
            found="more",
        )
    return data
