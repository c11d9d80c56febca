"""Go on with the next unfinished training of `runs/long.toml`: one thread, lowest priority, stopped and resumed at any time.

    make long                         # the next unfinished run, then the one after it
    make long ARGS="--status"         # how far each run is
    make long ARGS="--only NAME"

Ctrl-C and `kill` save the state, which `git add -f` then takes: the last line printed is that command. When a run has done its updates,
its `record` command measures it, its state is removed, and `runs/NAME/done.json` says when it ended and what `record` printed.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs"
STATE_LIMIT = 8 * 2**20
"""Bytes of a state that may be committed."""


@dataclass(frozen=True)
class LongRun:
    """One entry of the list: see `runs/long.toml`."""

    name: str
    record: str
    recipe: str = ""
    set: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return RUNS / self.name

    @property
    def saved(self) -> Path | None:
        """Folder of what was trained, a learner or an optimiser, or None if the run is not finished."""
        folders = (self.folder / name for name in ("learner", "optimizer"))
        return next((folder for folder in folders if folder.is_dir() and any(folder.iterdir())), None)

    @property
    def done(self) -> bool:
        """Whether its rows are recorded."""
        return (self.folder / "done.json").is_file()

    def train_command(self) -> list[str]:
        """Return the command that starts the run, or resumes it if it has a state."""
        settings = [word for one in self.set for word in ("--set", one)]
        resume = ["--resume"] if (self.folder / "state.safetensors").is_file() else []
        return ["kshot", "train", self.recipe or self.name, "--out", f"runs/{self.name}", *settings, *resume]

    def progress(self) -> str:
        """Return one line on how far the run is."""
        if self.done:
            return f"done on {json.loads((self.folder / 'done.json').read_text())['ended']}"
        metrics, recipe = self.folder / "metrics.jsonl", self.folder / "recipe.json"
        if not recipe.is_file():
            return "not begun"
        whole = json.loads(recipe.read_text())["training"]["updates"]
        lines = metrics.read_text().splitlines() if metrics.is_file() else []
        return f"update {json.loads(lines[-1])['update'] if lines else 0:,} of {whole:,}"


def read_list(path: Path) -> list[LongRun]:
    """Read the list of runs."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["run"]
    return [LongRun(**{**entry, "set": tuple(entry.get("set", ()))}) for entry in entries]


def work(command: list[str], output: Path | None = None) -> int:
    """Run a command on one thread; hand it the signals that stop this script. Returns its exit code.

    Args:
        command: The words of the command.
        output: A file for its standard output; None leaves it to the terminal.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with nullcontext() if output is None else output.open("w", encoding="utf-8") as stdout:
        child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **threads, "PATH": path}, stdout=stdout)

    def hand_on(number: int, _: FrameType | None) -> None:
        child.send_signal(signal.SIGINT if number == signal.SIGTERM else number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(run: LongRun) -> int:
    """Measure a finished run, keep what the record command prints, and remove the run's state. Returns that command's exit code."""
    saved = run.saved
    assert saved is not None
    printed = run.folder / "printed"
    code = work(shlex.split(run.record.format(saved=saved.relative_to(ROOT))), printed)
    if code == 0:
        told = printed.read_text(encoding="utf-8").splitlines()
        for path in run.folder.iterdir():
            if path.is_file():
                path.unlink()
        command = shlex.join(word for word in run.train_command() if word != "--resume")
        done = {"ended": time.strftime("%Y-%m-%d"), "command": command, "record": run.record, "printed": told}
        (run.folder / "done.json").write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    return code


def main() -> int:
    """Work on the list until it is done or a run stops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--status", action="store_true", help="Say how far each run is, and do nothing.")
    parser.add_argument("--only", metavar="NAME", help="Work on this run alone.")
    options = parser.parse_args()
    runs = read_list(RUNS / "long.toml")
    if options.only is not None and options.only not in [run.name for run in runs]:
        parser.error(f"runs/long.toml has no run {options.only!r}; it has {', '.join(run.name for run in runs)}")
    if hasattr(os, "nice") and not options.status:
        os.nice(19)
    for run in runs:
        if options.status:
            print(f"{run.name:28} {run.progress()}")
            continue
        if run.done or options.only not in (None, run.name):
            continue
        if run.saved is None:
            print(f"{run.name}: {run.progress()}", flush=True)
            code = work(run.train_command())
            state = run.folder / "state.safetensors"
            if state.is_file() and state.stat().st_size > STATE_LIMIT:
                print(f"{state.relative_to(ROOT)} has {state.stat().st_size / 2**20:.1f} MB; at most 8 may be committed.")
            if run.saved is None:
                print(f"{run.name}: {run.progress()}. To keep its state: git add -f runs/{run.name}")
                return code
        if code := finish(run):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
