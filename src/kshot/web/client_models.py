"""A fitted model as the zip that a service takes and gives: its record and its arrays, without an encoder.

In: the folder of a model. Out: the bytes of a zip; and back, into a folder. Next: `kshot.web.client`.
"""

import io
import zipfile
from pathlib import Path

from kshot.atomic import write_bytes
from kshot.errors import SavedError, SetupError
from kshot.regular_file import names_in, read_bytes
from kshot.tasks.model_record import RECORD, read_content

_MOST = 2**31


def zipped(folder: Path) -> bytes:
    """Return the zip of a model.

    Raises:
        SavedError: The folder holds no model, or a file cannot be read.
    """
    read_content(folder)  # says what is wrong with it
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in filter(_of_model, names_in(folder, SavedError)):
                archive.writestr(name, read_bytes(folder / name, _MOST))
    except OSError as error:
        raise SavedError(f"cannot read the model {folder}: {error.strerror or error}. Copy it again.") from error
    return buffer.getvalue()


def unzip(data: bytes, folder: Path) -> None:
    """Write the model of a zip into a folder; its record last: where it lies, the others are whole.

    Raises:
        SetupError: It is no zip of a model, so that another program has answered.
        SavedError: The folder or the disk refused it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if _of_model(name)}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise SetupError(f"the answer is no zip of a model ({error}): this is no kshot service. Check the address.") from error
    if RECORD not in files:
        raise SetupError(f"the answer is a zip without {RECORD}: this is no kshot service. Check the address.")
    for name in sorted(files, key=lambda name: name == RECORD):
        write_bytes(folder / name, files[name])


def _of_model(name: str) -> bool:
    return name == RECORD or (Path(name).name == name and name.startswith("arrays-") and name.endswith(".safetensors"))
