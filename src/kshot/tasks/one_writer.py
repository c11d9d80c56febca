"""One command at a time makes or changes a model: two that ran together would each save what the other one had not seen.

In: the folder of a model, which need not exist yet. The locks lie in kshot's cache folder, so that a refused command leaves nothing behind.
Next: the commands that write models.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kshot.data.cache import cache_folder
from kshot.errors import SavedError, SetupError
from kshot.exclusive import HeldError, exclusive


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a model within the block. Where the cache folder cannot be written, there is none.

    Args:
        folder: The folder of the model, by any of its names.

    Raises:
        SavedError: Another command of this user is writing the model.
    """
    with ExitStack() as until_done:
        try:
            name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
            locks = cache_folder() / "writing"
            locks.mkdir(parents=True, exist_ok=True)
            until_done.enter_context(exclusive(locks / f"{name}.lock"))
        except HeldError as holder:
            raise SavedError(f"another command is writing {folder}: {holder}. Wait for its end, then give the command again.") from None
        except (OSError, ValueError, SetupError):  # ValueError: a name with NUL, which whoever writes refuses
            pass
        yield
