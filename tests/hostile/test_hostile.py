"""A seeded sample of the hostile cases, and the judge itself: each kind of fault is seen. `make hostile` tries many more."""

import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile import judge
from hostile.case import Case, Ending
from hostile.judge import try_case
from hostile.run import COUNTS, is_known, known, sample, spread
from hostile.stock import Stock
from hostile.table import all_cases
from kshot.errors import DataError

SAMPLE, SEED = 70, 0


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path)


def fault_of(act: Callable[[], Any], stock: Stock, ending: Ending = "any", **more: Any) -> str:
    return try_case(Case("judge/call/it", lambda _: act, ending, **more), stock).fault


def fault_of_command(act: Callable[[], int], stock: Stock, monkeypatch: pytest.MonkeyPatch, ending: Ending = "any", **more: Any) -> str:
    monkeypatch.setattr(judge, "run_command", lambda words: act())
    return try_case(Case("judge/command/it", lambda _: ["show", "--json"], ending, **more), stock).fault


def raised(error: BaseException) -> None:
    raise error


def told(text: str, code: int = 2) -> int:
    print(text, file=sys.stderr)
    return code


def shown(text: str, code: int = 0) -> int:
    print(text)
    return code


@pytest.mark.slow
def test_a_good_end_has_no_fault(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault_of(lambda: 1, stock) == ""
    assert fault_of(lambda: raised(DataError("the file x cannot be read: it is empty.")), stock, "refused") == ""
    assert fault_of_command(lambda: told("Error: the file x cannot be read."), stock, monkeypatch, mentions=("file x",)) == ""
    assert fault_of_command(lambda: shown('{"a": 1}'), stock, monkeypatch, "works") == ""


@pytest.mark.slow
def test_faults_of_calls_are_seen(stock: Stock) -> None:
    assert fault_of(lambda: raised(ValueError("no")), stock).startswith("ValueError from ?")
    assert "accepted" in fault_of(lambda: 1, stock, "refused")
    assert "says nothing" in fault_of(lambda: raised(DataError("no")), stock)
    assert "refused: " in fault_of(lambda: raised(DataError("the file x cannot be read.")), stock, "works")
    assert fault_of(lambda: 7, stock, answer=lambda value: f"found {value}") == "found 7"


@pytest.mark.slow
def test_faults_of_commands_are_seen(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking() -> int:
        warnings.warn("a leak", stacklevel=1)
        return 0

    def writing() -> int:
        Path("new").touch()
        return told("Error: the file x cannot be read.")

    good = "Error: the file x cannot be read."
    assert fault_of_command(lambda: raised(KeyError("k")), stock, monkeypatch).startswith("KeyError")  # type: ignore[arg-type,return-value]
    assert "exit code 1" in fault_of_command(lambda: told(good, 1), stock, monkeypatch)
    assert "JSON" in fault_of_command(lambda: shown('{"a": NaN}'), stock, monkeypatch)
    assert "JSON" in fault_of_command(lambda: shown(""), stock, monkeypatch)
    assert "raw control" in fault_of_command(lambda: shown('"\u202e"'), stock, monkeypatch)
    assert "leaked" in fault_of_command(leaking, stock, monkeypatch)
    assert "but wrote" in fault_of_command(writing, stock, monkeypatch)
    assert "beside the error" in fault_of_command(lambda: shown("half a table") + told(good), stock, monkeypatch)
    assert "more than one" in fault_of_command(lambda: told(f"{good}\n{good}"), stock, monkeypatch)
    assert "does not name" in fault_of_command(lambda: told(good), stock, monkeypatch, mentions=("training.lr", "rate"))
    assert "accepted" in fault_of_command(lambda: shown("{}"), stock, monkeypatch, "refused")
    assert "characters" in fault_of_command(lambda: told(good * 500), stock, monkeypatch)


@pytest.mark.slow
def test_what_takes_too_long_or_too_much_is_seen(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(judge, "SECONDS", 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0, 0))
    assert fault_of(lambda: time.sleep(30), stock) == "no end after 1 s"
    assert signal.getsignal(signal.SIGALRM) is earlier
    monkeypatch.setattr(judge, "SECONDS", 20)
    monkeypatch.setattr(judge, "_ROOM", 10**8)
    assert fault_of(lambda: bytearray(10**9), stock).startswith("MemoryError")
    if judge._peak():
        monkeypatch.setattr(judge, "BYTES", 1)
        assert "a peak of" in fault_of(lambda: 1, stock)


@pytest.mark.slow
def test_the_working_directory_and_the_folder_are_put_back(stock: Stock) -> None:
    here = Path.cwd()
    fault_of(lambda: Path("left").touch(), stock)
    assert Path.cwd() == here
    assert list(stock.folder.iterdir()) == []


@pytest.mark.slow
def test_there_are_enough_cases_and_their_names_are_distinct() -> None:
    cases = all_cases()
    assert len(cases) == len({case.name for case in cases}) >= 2000
    assert all(case.name.count("/") >= 2 for case in cases)


def test_the_recorded_counts_reach_the_mark() -> None:
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert counts["per_cent"] == round(100 * counts["handled"] / counts["tried"], 2) >= 99
    assert counts["hangs"] == 0
    assert counts["highest_peak_bytes"] <= judge.BYTES
    assert counts["tried"] == sum(family["tried"] for family in counts["families"].values()) >= 2000
    assert counts["handled"] == sum(family["handled"] for family in counts["families"].values())


@pytest.mark.slow
def test_known_kinds_have_reasons_and_cases() -> None:
    names = [case.name for case in all_cases()]
    for pattern, reason in known().items():
        assert len(reason) > 20, pattern
        assert any(is_known(name, [pattern]) for name in names), pattern


def test_cases_are_drawn_evenly_in_order_and_alike_for_a_seed() -> None:
    cases = [
        Case(f"{subject}/v{number}", lambda _: []) for subject, many in (("a/x", 100), ("a/y", 3), ("b/z", 10)) for number in range(many)
    ]
    drawn = [case.name for case in spread(cases, 15, 0)]
    subjects = [name.rpartition("/")[0] for name in drawn]
    assert (subjects.count("a/x"), subjects.count("a/y"), subjects.count("b/z")) == (6, 3, 6)
    assert drawn == [case.name for case in cases if case.name in drawn]
    assert drawn == [case.name for case in spread(cases, 15, 0)] != [case.name for case in spread(cases, 15, 1)]
    assert spread(cases, 1000, 0) == cases
    random = [Case(f"c/random/{number}", lambda _: []) for number in range(100)]
    assert sum(case.name.startswith("c/") for case in spread([*cases, *random], 26, 0)) == 20


def test_a_pattern_takes_brackets_as_they_are() -> None:
    assert is_known("run/name/[red]x", ["run/name/[red]*"])
    assert not is_known("run/name/r", ["run/name/[red]"])


@pytest.mark.slow
def test_a_sample_of_hostile_cases_ends_as_promised(tmp_path: Path) -> None:
    stock = Stock(tmp_path)
    outcomes = [try_case(case, stock) for case in sample(SAMPLE, SEED)]
    faults = [f"{outcome.name!a}: {outcome.fault!a}" for outcome in outcomes if outcome.fault]
    print(f"hostile cases: tried {len(outcomes)}, handled {len(outcomes) - len(faults)}")
    assert faults == []
