"""`make hostile-service`: the kills and the fuzzing in full; the counts are written to `counts.json` beside this file.

    python -m hostile_service [--kills N] [--writes N] [--postgres-kills N] [--seconds N] [--foreign N]

Exit code 1 if an answered write was lost, a task was half there, an answer was a 5xx or not as described, or a tenant got another's task.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pytest

from cases.postgres import postgres
from cases.served import serving
from hostile_service.foreign_ids import foreign_ids
from hostile_service.fuzz import fuzz
from hostile_service.killed_writes import Counts, killed_writes

COUNTS = Path(__file__).with_name("counts.json")


def main() -> int:
    """Run all; return the exit code."""
    parser = argparse.ArgumentParser()
    for name, usual in (("kills", 20), ("writes", 10_000), ("postgres-kills", 5), ("seconds", 600), ("foreign", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args()
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="kshot-hostile-") as name:
        folder = Path(name)
        sqlite = told("SQLite", killed_writes(_made(folder / "sqlite"), None, kills=asked.kills, writes=asked.writes, seen=progress))
        found["sqlite"] = sqlite.as_dict()
        bad = bool(sqlite.lost or sqlite.half)
        try:
            with postgres() as url:
                kills = killed_writes(
                    _made(folder / "postgres"), url, kills=asked.postgres_kills, writes=asked.writes * asked.postgres_kills // 20
                )
            found["postgresql"] = told("PostgreSQL", kills).as_dict()
            bad |= bool(kills.lost or kills.half)
        except pytest.skip.Exception as reason:
            print(f"PostgreSQL: left out, {reason}")
        answered = foreign_ids(_made(folder / "foreign"), requests=asked.foreign)
        print(f"requests with another tenant's ids: {asked.foreign:,}, answered: {answered}", flush=True)
        found["foreign"] = {"requests": asked.foreign, "answered": answered}
        with serving(_made(folder / "fuzz")) as server:
            fuzzed = fuzz(server.url, folder, seconds=asked.seconds)
            bugs = sum('"event": "bug"' in line for line in server.said)
        print(f"fuzzing: {fuzzed.requests:,} requests in {asked.seconds} s, {fuzzed.failures} failures, {bugs} bugs in the log", flush=True)
        found["fuzzing"] = {"seconds": asked.seconds, "requests": fuzzed.requests, "failures": fuzzed.failures, "bugs": bugs}
        bad |= bool(fuzzed.failures or bugs or answered)
        if fuzzed.failures:
            print(fuzzed.said)
    COUNTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return int(bad)


def progress(counts: Counts) -> None:
    """Print how far it is."""
    print(
        f"  after kill {counts.kills}: {counts.answered:,} writes answered, {counts.checked:,} tasks checked", file=sys.stderr, flush=True
    )


def told(name: str, counts: Counts) -> Counts:
    """Print counts, and what was lost."""
    print(f"{name}: {counts.as_dict()}", flush=True)
    for fault in (*counts.lost, *counts.half):
        print(f"  {fault}")
    return counts


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
