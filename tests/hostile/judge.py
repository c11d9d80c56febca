"""Tries one case and says how it ended: as promised, or with which fault.

Promised is: a command ends with exit code 0 or 2. With 2 it prints one message in plain words that names what is wrong, no new file is
there, and no file has changed. No traceback, no Python warning and no raw control character reaches the streams; JSON is strict. A call
returns, or raises one error of kshot. Nothing takes longer than `SECONDS` or more memory than `BYTES`; where other programs keep the cores
busy, as many times longer as the load is above the number of cores, at most `BUSIEST` times.

`predict` alone prints beside an error: one row per query, with the reason in the rows that have no label.
"""

import contextlib
import gc
import io
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import kshot
from hostile.case import Case, Words
from hostile.stock import Stock, run_command
from kshot.printable import printable

PACKAGE = Path(kshot.__file__).parent
SECONDS = 20
BYTES = 1_500_000_000
BUSIEST = 6
_ROOM = 5 * 1024**3
"""Address space that a case may add to the process: what needs more fails with a MemoryError instead of taking the machine's memory."""
_MUCH = 700_000_000
"""Resident memory that a case does not begin with."""
_LONGEST_MESSAGE = 12_000
"""Characters, besides the words of the command, which a message may repeat."""
Files = dict[bytes, tuple[int, ...]]
_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


class OverdueError(BaseException):
    """The case took too long. Not an Exception, so that nothing under test catches it."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        name: Of the case.
        fault: What was not as promised, on one line; empty if all was.
        seconds: Wall time of the command or call.
        peak: The highest resident memory of the process meanwhile, in bytes; 0 where the system does not tell.
    """

    name: str
    fault: str
    seconds: float
    peak: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def try_case(case: Case, stock: Stock) -> Outcome:
    """Prepare a case in a new folder, try it, and judge the end."""
    place = Path(tempfile.mkdtemp(prefix="case-", dir=stock.folder))
    began, before = time.monotonic(), Path.cwd()
    try:
        os.chdir(place)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tried = case.prepare(stock)
        except Exception as error:  # a fault of the suite, which must not end it
            return Outcome(case.name, f"cannot be prepared: {type(error).__name__}: {_one_line(str(error))}", 0.0, 0)
        files = _files(place)
        _reset_peak()
        began, most = time.monotonic(), _seconds(case)
        with _limits(place, most):
            fault = _fault_of(case, tried, place, files)
    except OverdueError:
        fault = f"no end after {most} s"
    finally:
        os.chdir(before)
        _make_removable(place)
        shutil.rmtree(place, ignore_errors=True)
    seconds, peak = time.monotonic() - began, _peak()
    if not fault and seconds > most:
        fault = f"no end after {most} s"
    if not fault and peak > BYTES:
        fault = f"a peak of {peak / 1e9:.1f} GB"
    return Outcome(case.name, fault, round(seconds, 3), peak)


def _fault_of(case: Case, tried: Any, place: Path, files: Files) -> str:
    if not callable(tried):
        return _of_command(case, tried, place, files)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = tried()
    except Exception as error:  # judged, not swallowed: every end is reported
        return _of_error(case, error)
    if case.process:
        return str(result)
    if case.ending == "refused":
        return f"accepted: returned {type(result).__name__}"
    return case.answer(result) if case.answer is not None else ""


def _of_error(case: Case, error: Exception) -> str:
    from kshot.errors import KshotError

    if case.loose and isinstance(error, TypeError):
        return ""
    if not isinstance(error, KshotError):
        return f"{type(error).__name__} from {_place(error)}: {_one_line(str(error))}"
    if case.ending == "works":
        return f"refused: {_one_line(str(error))}"
    return _of_message(case, str(error))


def _of_command(case: Case, words: Words, place: Path, files: Files) -> str:
    out, err = io.StringIO(), io.StringIO()
    try:
        with warnings.catch_warnings(record=True) as leaked, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            warnings.simplefilter("default")
            code = run_command(words)
    except Exception as error:  # a traceback for the user
        return f"{type(error).__name__} from {_place(error)}: {_one_line(str(error))}"
    except SystemExit as error:
        return f"SystemExit({error.code!r})"
    shown, told = out.getvalue(), err.getvalue()
    if code not in (0, 2):
        return f"exit code {code}: {_one_line(told)}"
    if leaked:
        return f"a leaked warning: {_one_line(str(leaked[0].message))}"
    if "Traceback (most recent" in told + shown:
        return "a traceback in the output"
    if raw := next((sign for sign in shown + told if _is_raw(sign)), None):
        return f"a raw control character: {raw!r}"
    if code == 0:
        if case.ending == "refused":
            return "accepted with exit code 0"
        if re.search(r"^Error: ", told, re.MULTILINE):
            return f"exit code 0 with an error: {_one_line(told)}"
        return _of_output(words, shown, 0) if "--json" in words else ""
    if case.ending == "works":
        return f"refused: {_one_line(told)}"
    if shown and (words[0] != "predict" or (fault := _of_output(words, shown, 2))):
        return f"output beside the error: {_one_line(shown)}" if words[0] != "predict" else fault
    if new := sorted(path for path, form in _files(place).items() if files.get(path) != form):
        return f"refused, but wrote {os.path.relpath(new[0], os.fsencode(place))!r} and {len(new) - 1} more"
    if gone := sorted(files.keys() - _files(place)):
        return f"refused, but removed {os.path.relpath(gone[0], os.fsencode(place))!r} and {len(gone) - 1} more"
    rows = " ".join(printable(" ".join(map(str, json.loads(line).values()))) for line in shown.splitlines()) if "--json" in words else shown
    return _of_message(case, told, beside=rows, repeated=2 * sum(len(str(word)) for word in words))


def _of_output(words: Words, shown: str, code: int) -> str:
    """Judge standard output: one strict JSON object, or of `predict` one per query, of which at least one has no label if `code` is 2."""
    if "--json" not in words:
        return ""
    lines = shown.splitlines()
    if words[0] != "predict" and len(lines) != 1:
        return f"{len(lines)} lines of JSON: {_one_line(shown)}"
    try:
        values = [json.loads(line, parse_constant=_refuse) for line in lines]
    except ValueError as error:
        return f"JSON that is not strict: {_one_line(str(error))}"
    if not all(isinstance(value, dict) for value in values):
        return f"JSON that is no object: {_one_line(shown)}"
    answers = [value.get("label", value.get("value")) for value in values]
    if words[0] == "predict" and any((one is None) != bool(value.get("error")) for one, value in zip(answers, values, strict=True)):
        return f"a row with neither label nor error, or with both: {_one_line(shown)}"
    if words[0] == "predict" and any(one is None for one in answers) != (code == 2):
        return f"exit code {code} with these rows: {_one_line(shown)}"
    return ""


def _refuse(word: str) -> None:
    raise ValueError(word)


def _of_message(case: Case, message: str, *, beside: str = "", repeated: int = 0) -> str:
    """Judge a message. What it names may also stand in the rows that `predict` prints beside it."""
    words = message.strip()
    if len(words) < 20:
        return f"a message that says nothing: {words!r}"
    if len(words) > _LONGEST_MESSAGE + repeated:
        return f"a message of {len(words):,} characters: {_one_line(words)}"
    if raw := next((sign for sign in words if _is_raw(sign)), None):
        return f"a raw control character: {raw!r}"
    if len(re.findall(r"^Error: ", words, re.MULTILINE)) > 1:
        return f"more than one message: {_one_line(words)}"
    if case.mentions and not any(_bare(word) in _bare(words + beside) for word in case.mentions):
        return f"the message does not name {' or '.join(map(ascii, case.mentions))}: {_one_line(words)}"
    return ""


def _is_raw(sign: str) -> bool:
    return sign in _BIDI or (unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t")


def _bare(text: str) -> str:
    return re.sub(r"[\s│]+", "", text)


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 160 else flat[:157] + "…"


def _place(error: BaseException) -> str:
    """The innermost function of kshot in a traceback."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file = Path(code.co_filename)
        if file.is_relative_to(PACKAGE):
            found = f"{file.relative_to(PACKAGE).as_posix()}:{code.co_name}"
        trace = trace.tb_next
    return found


def patience(seconds: int) -> int:
    """How long something may take that takes so many seconds at most where the cores are free."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 1
    return round(seconds * min(max(load, 1), BUSIEST))


def _seconds(case: Case) -> int:
    """A process starts Python and PyTorch first."""
    return patience(3 * SECONDS if case.process else SECONDS)


@contextlib.contextmanager
def _limits(place: Path, seconds: int) -> Iterator[None]:
    def overdue(signum: int, frame: FrameType | None) -> None:
        _release_readers(place)
        raise OverdueError

    earlier = signal.signal(signal.SIGALRM, overdue)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE") if sys.platform == "linux" else 0
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM, hard))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _release_readers(place: Path) -> None:
    """Open and close every FIFO, so that a thread that waits to read one goes on."""
    for path in _paths(place):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.lstat(path).st_mode):
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def _files(place: Path) -> Files:
    """Every path below a folder, and of a regular file its size, time and number."""
    found: Files = {}
    for path in _paths(place):
        try:
            kept = os.lstat(path)
        except OSError:  # deeper than the system's paths reach
            continue
        found[path] = (kept.st_size, kept.st_mtime_ns, kept.st_ino) if stat.S_ISREG(kept.st_mode) else ()
    return found


def _paths(place: Path) -> set[bytes]:
    return {os.path.join(root, name) for root, folders, names in os.walk(os.fsencode(place)) for name in (*folders, *names)}


def _make_removable(place: Path) -> None:
    for root, folders, _ in os.walk(os.fsencode(place)):
        for name in folders:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):  # deeper than the system's paths reach
                    os.chmod(path, 0o700)


def _reset_peak() -> None:
    """Let the system begin a new peak. What an earlier case has left behind in cycles, such as a large network, is not of this one."""
    if _status("VmRSS") > _MUCH:
        gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(text.partition(f"{key}:")[2].split()[0]) * 1024
