"""One run per folder, whatever happens to its process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kshot.errors
from kshot.errors import SavedError
from kshot.workflows.run_lock import HOLDER, LOCK, locked, refuse_locked

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
HOLD = """
import sys
from pathlib import Path
from kshot.workflows.run_lock import locked
with locked(Path(sys.argv[1]), 0, {}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run"
    refuse_locked(folder)
    assert not folder.exists()
    with locked(folder, 0, {}):
        message = rf"a run is writing into {folder}: process {os.getpid()} on .*, started 20\d\d-.*\. Wait for its end, stop it, or choose"
        with pytest.raises(SavedError, match=message):
            refuse_locked(folder)
        with pytest.raises(SavedError, match=message), locked(folder, 0, {}):
            pass
    assert [path.name for path in folder.iterdir()] == [LOCK]
    refuse_locked(folder)
    with locked(folder, 0, {}):
        assert json.loads((folder / HOLDER).read_text())["process"] == os.getpid()


def test_an_error_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, 0, {}):
        raise ZeroDivisionError
    refuse_locked(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a thing of POSIX")
def test_a_crash_frees_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SavedError, match=rf"process {holder.pid} on"):
            refuse_locked(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
    refuse_locked(tmp_path)
    with locked(tmp_path, 0, {}):  # whose holder's note is still there
        assert json.loads((tmp_path / HOLDER).read_text())["process"] == os.getpid()


def test_a_folder_that_cannot_be_made_is_an_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SavedError, match=r"cannot (lock|reach) .*file/run"), locked(tmp_path / "file" / "run", 0, {}):
        pass
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / HOLDER).write_text("[1]")
    with locked(tmp_path / "odd", 0, {}):
        (tmp_path / "odd" / HOLDER).write_text("[1]")
        with pytest.raises(SavedError, match="another process"):
            refuse_locked(tmp_path / "odd")
