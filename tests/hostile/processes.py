"""What needs a process of its own: Ctrl-C at any moment, streams that are closed or full, a working directory or a home that is gone.

Each call starts a command, judges its end, and returns a fault in words or an empty text. Not promised: what Python itself prints when
Ctrl-C comes before the first line of kshot's `main`, about a tenth of a second after the start: Python starts, and imports the package.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hostile.case import Call, Case, Cases
from hostile.judge import patience
from hostile.stock import FEW, QUICK, Stock

_MOMENTS = {"help": (0.02, 0.1), "train": (0.05, 0.3, 1.0, 2.0, 4.0), "evaluate": (0.1, 1.0, 2.0)}
"""Seconds after the start of a command."""
_PATIENCE = 50
"""Seconds that a process may take, with the start of Python and PyTorch (`judge.patience`)."""


def cases() -> Cases:
    """All cases of this family."""
    for name, moments in _MOMENTS.items():
        for moment in moments:
            yield Case(f"process/ctrl-c {name}/{moment}", _interrupted(name, moment), process=True)
    for moment in (0.1, 1.5, 3.0):
        yield Case(f"process/ctrl-c twice/{moment}", _interrupted("train", moment, times=2), process=True)
    for moment in (0.5, 3.0):
        yield Case(f"process/terminated/{moment}", _interrupted("train", moment, signal.SIGTERM), process=True)
    for name, ends in _STREAMS.items():
        for command in ("recipes", "train"):
            yield Case(f"process/streams {name}/{command}", _streamed(command, ends), process=True)
    for name, settings in {
        "encoding": {"PYTHONIOENCODING": "ascii"}, "latin": {"LC_ALL": "C", "PYTHONUTF8": "0"}, "backend": {"MPLBACKEND": "nope"},
        "columns": {"COLUMNS": "x"}, "narrow": {"COLUMNS": "1"}, "none": {"COLUMNS": "0"},
        "huge": {"COLUMNS": "999999999"}, "home": {"HOME": "/nowhere"}, "cache-file": {"KSHOT_CACHE": "/etc/hostname"},
        "cache-null": {"KSHOT_CACHE": "/dev/null"}, "cache-empty": {"KSHOT_CACHE": ""},
        "cache-long": {"KSHOT_CACHE": "x" * 300}, "threads": {"OMP_NUM_THREADS": "-1"}, "terminal": {"TERM": "nope", "FORCE_COLOR": "1"},
        "tmp": {"TMPDIR": "/nowhere"},
    }.items():  # fmt: skip
        command = "plot" if name == "backend" else "evaluate"
        yield Case(f"process/environment {name}/{command}", _in_environment(command, settings), process=True)
    for command in ("recipes", "evaluate", "train"):
        yield Case(f"process/no working directory/{command}", _without_a_place(command), process=True)


def _words(name: str, stock: Stock) -> list[str]:
    train = ["train", "protonet", "--data", stock.pets, "--out", "run", *QUICK]
    words: dict[str, Sequence[str | Path]] = {
        "help": ["--help"],
        "recipes": ["recipes"],
        "train": train,
        "evaluate": ["evaluate", stock.finished, *FEW],
        "plot": ["evaluate", stock.finished, *FEW, "--plot", "scores.png"],
    }
    return [sys.executable, "-m", "kshot", *map(str, words[name])]


def _source() -> Path:
    import kshot.errors

    return Path(kshot.errors.__file__).resolve().parents[1]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_source()), "OMP_NUM_THREADS": "1", "COLUMNS": "100", **more}


def _judged(code: int, told: str, good: Sequence[int]) -> str:
    package = _source() / "kshot"
    ours = {Path(file) for file in re.findall(r'File "([^"]*)"', told) if package in Path(file).parents}
    last = told.rstrip().rpartition("\n")[2]
    early = last == "KeyboardInterrupt" or (code == -signal.SIGINT and last in ("", "Stopped."))
    if code in (1, -signal.SIGINT) and early and ours <= {package / "__init__.py"}:
        return ""  # Ctrl-C came while Python started or imported the package, before the first line of `kshot.__main__.main`
    if "Traceback (most recent" in told or "Exception ignored" in told:
        lines = told.strip().splitlines()
        return f"a traceback, exit code {code}: {lines[-1][:120]}"
    return "" if code in good else f"exit code {code}: {' '.join(told.split())[:120]}"


def _interrupted(name: str, moment: float, number: signal.Signals = signal.SIGINT, times: int = 1) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        words = _words(name, stock)
        if name == "train":
            words += ["--set", "training.updates=2000", "--set", "training.save_every=20"]

        def call() -> str:
            process = subprocess.Popen(words, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                for _ in range(times):
                    time.sleep(moment)  # the moment is what is tried
                    if process.poll() is None:
                        process.send_signal(number)
                _, told = process.communicate(timeout=patience(_PATIENCE))
            finally:
                process.kill()
            good = [0, 130, 128 + number, -number] if number != signal.SIGINT else [0, 130]
            return _judged(process.returncode, told, good)

        return call

    return prepare


_STREAMS = {
    "stdout-closed": ">&-", "stderr-closed": "2>&-", "both-closed": ">&- 2>&-", "stdin-closed": "<&-", "all-closed": "<&- >&- 2>&-",
    "stdout-full": "> /dev/full", "stderr-full": "2> /dev/full",
    "both-full": "> /dev/full 2> /dev/full", "head": "| head -c 1 > /dev/null", "nobody": "2>&1 | true",
    "stderr-nobody": "2> >(true) > /dev/null",
}  # fmt: skip


def _streamed(command: str, ends: str) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import shlex

        script = f"{shlex.join(_words(command, stock))} {ends}; exit ${{PIPESTATUS[0]}}"

        def call() -> str:
            done = subprocess.run(["bash", "-c", script], env=_environment(), capture_output=True, text=True, timeout=patience(_PATIENCE))
            if command == "train" and not Path("run/state.safetensors").exists():
                return f"the state of the run is lost, exit code {done.returncode}"
            return _judged(done.returncode, done.stderr, (0, 1, 2, 141, 120))

        return call

    return prepare


def _in_environment(command: str, settings: dict[str, str]) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        words = _words(command, stock)

        def call() -> str:
            done = subprocess.run(words, env=_environment(**settings), capture_output=True, text=True, timeout=patience(_PATIENCE))
            return _judged(done.returncode, done.stderr, (0, 2))

        return call

    return prepare


def _without_a_place(command: str) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        import shlex

        Path("gone").mkdir()
        script = f"cd gone && rmdir ../gone && {shlex.join(_words(command, stock))}"

        def call() -> str:
            done = subprocess.run(["bash", "-c", script], env=_environment(), capture_output=True, text=True, timeout=patience(_PATIENCE))
            return _judged(done.returncode, done.stderr, (0, 2))

        return call

    return prepare
