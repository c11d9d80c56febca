"""Runs the suite: counts what was tried and what ended as promised, and records the counts.

    python -m hostile                  the cases that `make hostile` tries: writes counts.json
    python -m hostile PATTERN…         the cases of these names, such as 'saved/learner.json/*': writes nothing
    python -m hostile --cases 500      another number of cases, drawn evenly from all kinds: writes nothing
    python -m hostile --every          every case that the generators make: writes nothing

The cases are shared out to two processes, and each process tries its cases one after the other. If a process dies, or a case holds it for
longer than `DEAD` seconds, the case is a fault, and a new process goes on with the next case. `known.json` lists the cases that do not end
as promised yet, by reason. They are counted as not handled; any other case that fails ends the run with exit code 1.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hostile.case import Case
from hostile.judge import BUSIEST, SECONDS, Outcome, try_case
from hostile.stock import Stock
from hostile.table import all_cases

HERE = Path(__file__).parent
COUNTS, KNOWN = HERE / "counts.json", HERE / "known.json"
CASES, SEED = 4000, 0
"""How many cases `make hostile` tries, and the seed of their draw."""
DEAD = 3 * SECONDS * BUSIEST + 10
"""After so many seconds without a new outcome, the process is stuck where no signal reaches it."""


def known() -> dict[str, str]:
    """The reasons why cases do not end as promised yet, by the name or pattern of the cases."""
    content: dict[str, list[str]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return {name: reason for reason, names in content.items() for name in names}


def is_known(name: str, patterns: Iterable[str]) -> bool:
    """Whether a case is of a known kind. A pattern's brackets are plain signs."""
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def spread(cases: Sequence[Case], size: int, seed: int) -> list[Case]:
    """Draw cases evenly: from each subject the same number, or all that it has; in their own order.

    A subject is a name without its last part. Where the last part is the seed of a random case, there are ten subjects, by its last digit:
    a list of values is soon tried out, and random cases are not.
    """
    draw, subjects = random.Random(seed), dict[str, list[int]]()
    for number, case in enumerate(cases):
        subject, _, last = case.name.rpartition("/")
        subjects.setdefault(subject + last[-1:] if last.isdecimal() else subject, []).append(number)
    for numbers in subjects.values():
        draw.shuffle(numbers)
    order = list(subjects.values())
    draw.shuffle(order)  # when the last round is cut short, the subjects that it leaves out are any
    rounds = (numbers[turn] for turn in range(max(map(len, order), default=0)) for numbers in order if turn < len(numbers))
    return [cases[number] for number in sorted(number for number, _ in zip(rounds, range(size), strict=False))]


def sample(size: int, seed: int) -> list[Case]:
    """Draw cases for a quick test, evenly from the families; none that needs a process, and none of a known kind, since some hang."""
    reasons = known()
    cases = [case for case in all_cases() if not case.process and not is_known(case.name, reasons)]
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(_family(case.name), []).append(case)
    return [case for family in families.values() for case in spread(family, size // len(families), seed)]


def main(words: Sequence[str]) -> int:
    """Run the suite; return the exit code."""
    if words and words[0] == "--work":
        return _work(json.loads(Path(words[1]).read_text(encoding="utf-8")), Path(words[2]))
    parser = argparse.ArgumentParser(prog="python -m hostile", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("patterns", nargs="*", help="names or patterns of cases")
    parser.add_argument("--cases", type=int, default=CASES, help=f"how many cases to draw evenly from all kinds (default {CASES})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"the seed of the draw (default {SEED})")
    parser.add_argument("--every", action="store_true", help="try every case")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the cases (default 2)")
    asked = parser.parse_args(words)
    cases: Sequence[Case] = all_cases()
    if asked.patterns:
        cases = [case for case in cases if case.name in asked.patterns or is_known(case.name, asked.patterns)]
    elif not asked.every:
        cases = spread(cases, asked.cases, asked.seed)
    began = time.monotonic()
    outcomes = _run_all([case.name for case in cases], asked.processes)
    return _report(outcomes, time.monotonic() - began, record=list(words) in ([], ["--processes", "1"]))


def _work(names: Sequence[str], file: Path) -> int:
    """In the process that tries: write one line before and one after each case."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes its background jobs, and what they start, deaf to Ctrl-C
    cases = {case.name: case for case in all_cases()}
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, file.open("a", encoding="utf-8") as lines:
        os.environ.setdefault("KSHOT_CACHE", str(Path(folder) / "cache"))
        stock = ready_stock(Path(folder))
        for name in names:
            print(json.dumps({"begins": name}), file=lines, flush=True)
            print(json.dumps(try_case(cases[name], stock).as_dict()), file=lines, flush=True)
    return 0


def ready_stock(folder: Path) -> Stock:
    """Make what all cases share before the first one is timed."""
    stock = Stock(folder)
    for made in (stock.finished, stock.maml, stock.stopped, stock.optimised, *stock.models.values()):
        assert made.is_dir()
    return stock


def _run_all(names: Sequence[str], processes: int) -> list[Outcome]:
    with ThreadPoolExecutor(processes) as pool:
        shares = pool.map(_run_share, [names[number::processes] for number in range(processes)])
        outcomes = {outcome.name: outcome for share in shares for outcome in share}
    return [outcomes[name] for name in names]


def _run_share(names: Sequence[str]) -> list[Outcome]:
    """Try cases in a process of their own, and in another one from where it died."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="hostile-counts-") as folder:
        while len(outcomes) < len(names):
            left, file, log = (Path(folder) / f"{len(outcomes)}.{part}" for part in ("json", "jsonl", "log"))
            left.write_text(json.dumps(names[len(outcomes) :]), encoding="utf-8")
            file.touch()
            with log.open("w") as stream:
                process = subprocess.Popen([sys.executable, "-m", "hostile", "--work", str(left), str(file)], stdout=stream, stderr=stream)
                stuck = _watch(process, file)
            lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            outcomes += [Outcome(**line) for line in lines if "begins" not in line]
            if lines and "begins" in lines[-1]:
                how = f"no end after {DEAD} s, beyond the reach of signals" if stuck else f"the process ended with {process.returncode}"
                outcomes.append(Outcome(lines[-1]["begins"], how, float(DEAD if stuck else 0), 0))
            elif not lines:
                raise SystemExit(f"the suite cannot start:\n{log.read_text()}")
    return outcomes


def _watch(process: "subprocess.Popen[bytes]", file: Path) -> bool:
    """Wait for the process; end it if it writes nothing for too long. Return whether it was ended."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        threading.Event().wait(0.5)
        if (now := file.stat().st_size) != size:
            size, since = now, time.monotonic()
        elif size > 0 and time.monotonic() - since > DEAD:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
    return False


def _report(outcomes: Sequence[Outcome], seconds: float, *, record: bool) -> int:
    reasons = known()
    failed = [outcome for outcome in outcomes if outcome.fault]
    unknown = [outcome for outcome in failed if not is_known(outcome.name, reasons)]
    for outcome in failed:
        print(f"{'known  ' if is_known(outcome.name, reasons) else 'UNKNOWN'} {outcome.name!a}  {outcome.fault!a}")
    counts = counts_of(outcomes, seconds)
    for family, count in counts["families"].items():
        print(f"{family:<12} tried {count['tried']:>5}  handled {count['handled']:>5}")
    print(f"{'all':<12} tried {counts['tried']:>5}  handled {counts['handled']:>5}  {counts['per_cent']:.2f} %  in {seconds:.0f} s")
    print(f"hangs {counts['hangs']}; longest {counts['longest_seconds']} s; highest peak {counts['highest_peak_bytes'] / 1e9:.2f} GB")
    if record:
        COUNTS.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
        for pattern in reasons:
            if any(is_known(outcome.name, [pattern]) for outcome in outcomes) and not any(is_known(bad.name, [pattern]) for bad in failed):
                print(f"mended: {pattern!a} ends as promised now; take it out of {KNOWN.name}")
    for outcome in unknown[:20]:
        print(f"not as promised: {outcome.name!a}: {outcome.fault!a}", file=sys.stderr)
    return 1 if unknown else 0


def counts_of(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return what `counts.json` records."""
    tried = Counter(_family(outcome.name) for outcome in outcomes)
    faults = Counter(_family(outcome.name) for outcome in outcomes if outcome.fault)
    handled = len(outcomes) - sum(faults.values())
    return {
        "seed": SEED,
        "tried": len(outcomes),
        "handled": handled,
        "per_cent": round(100 * handled / max(1, len(outcomes)), 2),
        "hangs": sum("no end after" in outcome.fault for outcome in outcomes),
        "longest_seconds": max((outcome.seconds for outcome in outcomes), default=0),
        "highest_peak_bytes": max((outcome.peak for outcome in outcomes), default=0),
        "seconds": round(seconds),
        "families": {family: {"tried": count, "handled": count - faults[family]} for family, count in tried.items()},
    }


def _family(name: str) -> str:
    return name.partition("/")[0]
