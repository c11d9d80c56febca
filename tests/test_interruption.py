"""Ctrl-C, closed pipes and full disks at any moment of the command: a plain end, and never a lost state."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kshot.errors
from cases.folders import fill
from kshot.interruption import caused_by

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes are those of POSIX")
RUN = [sys.executable, "-m", "kshot"]
WHEN_IMPORTED = """
import builtins, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal: what a shell starts in the background ignores Ctrl-C
was, watched = builtins.__import__, sys.argv[1]
sys.argv = ["kshot", *sys.argv[2:]]
def importing(name, *rest, **named):
    if name == watched:
        os.kill(os.getpid(), signal.SIGINT)
    return was(name, *rest, **named)
builtins.__import__ = importing
from kshot.__main__ import main
main()
"""


def test_causes_are_followed() -> None:
    interrupt, broken = KeyboardInterrupt(), ImportError("initialization failed")
    broken.__cause__ = interrupt
    later = SystemExit(1)
    later.__context__ = broken
    assert caused_by(interrupt, KeyboardInterrupt)
    assert caused_by(broken, KeyboardInterrupt)
    assert caused_by(later, KeyboardInterrupt)
    assert not caused_by(later, OSError)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("module", ["kshot.cli", "typer", "kshot.terminal", "kshot.workflows.recipe", "torch"])
def test_ctrl_c_during_an_import_is_no_traceback(module: str) -> None:
    words = ["evaluate", "nowhere"] if module == "torch" else ["recipes"]
    done = subprocess.run(
        [sys.executable, "-c", WHEN_IMPORTED, module, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def recipe_in(folder: Path, updates: int) -> Path:
    pets = fill(folder / "pets", [f"pet{number}" for number in range(8)], items=4)
    (folder / "mine.toml").write_text(
        f'[data]\nname = "{pets}"\nsplit = "fractions"\nsize = 16\nfractions = [0.5, 0.25, 0.25]\n[backbone]\nwidth = 3\n'
        f"[episodes]\nquery = 2\n[validation]\nquery = 2\nepisodes = 5\nevery = 2\n[training]\nupdates = {updates}\n"
    )
    return folder / "mine.toml"


@POSIX
@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once_and_says_no_more(tmp_path: Path) -> None:
    code = (
        "import time, sys\nfrom kshot.terminal import interrupts\n"
        "class Slow:\n    def __del__(self):\n        time.sleep(5)\n        print('end')\n"
        "with interrupts() as stop:\n    print('ready', flush=True)\n    while not stop():\n        time.sleep(0.01)\n"
        "    print('asked', flush=True)\n    slow = Slow()\n    del slow\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        one.send_signal(signal.SIGINT)
        assert one.stdout.readline() == "asked\n"
        time.sleep(0.4)  # within 0.2 s it would be the same Ctrl-C
        one.send_signal(signal.SIGINT)
        out, err = one.communicate(timeout=30)
    assert (one.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Stopped."
    assert len(err.splitlines()) == 2


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("stream", ["pipe", "full", "closed"])
def test_a_run_without_a_listener_is_saved(tmp_path: Path, stream: str) -> None:
    recipe, folder = recipe_in(tmp_path, 6), tmp_path / "run"
    words = [*RUN, "train", str(recipe), "--out", str(folder), "--device", "cpu"]
    if stream == "closed":
        done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *words], env=ENVIRONMENT, timeout=120)
        assert done.returncode == 0
    elif stream == "full":
        if not Path("/dev/full").exists():
            pytest.skip("this system has no full device")
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(words, env=ENVIRONMENT, stdout=full, stderr=full, timeout=120)
        assert done.returncode == 2
    else:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(words, env=ENVIRONMENT, stdout=writing, stderr=writing, timeout=120)
        os.close(writing)
        assert done.returncode == 141
    assert (folder / "learner" / "learner.json").exists()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 6


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("words", [["recipes"], ["recipes", "--json"], ["--help"], ["train", "--help"], ["bogus"]])
def test_a_reader_that_leaves_ends_the_command_quietly(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*RUN, *words], env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    if words == ["bogus"]:
        assert done.returncode == 2
        assert "No such command" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (141, "")


@POSIX
@pytest.mark.slow
def test_a_full_disk_under_the_output_is_an_error_in_words() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*RUN, "recipes"], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert f"{os.strerror(errno.ENOSPC)}" in done.stderr
    assert "Traceback" not in done.stderr


@POSIX
@pytest.mark.slow
def test_ctrl_c_after_the_last_word_changes_no_exit_code() -> None:
    code = (
        "import atexit, os, signal, sys\nsys.argv = ['kshot', '--version']\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\nfrom kshot.__main__ import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kshot ")
