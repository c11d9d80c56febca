"""Paths, numbers and streams that a command cannot use: exit code 2, the path or the flag in the message, nothing written."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kshot.allocator
from cases.folders import fill
from kshot import cli
from kshot.errors import RecipeError
from kshot.exit_code import exit_code_of
from kshot.terminal import print_json
from kshot.workflows.experiment import prepare, run
from kshot.workflows.recipe import parse_recipe, read_recipe
from kshot.workflows.run_folder import goes_on

QUICK = [
    "data.size=16", "backbone.width=3", "episodes.query=2", "validation.query=2", "validation.episodes=5", "training.updates=2",
    "data.fractions=[0.5,0.25,0.25]", "data.split=fractions",
]  # fmt: skip
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="names of files are bytes in POSIX")


def kshot_(*words: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
    monkeypatch.setattr(kshot.allocator, "keep_freed_memory", lambda: False)
    return exit_code_of(cli.app)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("data") / "pets", [f"pet{number}" for number in range(8)], items=4)


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["train", LONG + ".toml"],
        ["train", "protonet", "--data", LONG],
        ["train", "omniglot-demo", "--out", LONG],
        ["train", "omniglot-demo", "--out", LONG, "--resume"],
        ["train", "omniglot-demo", "--set", f"data.split={LONG}.json", "--set", f"data.name={LONG}"],
        ["evaluate", LONG],
        ["evaluate", "omniglot-protonet", "--data", LONG],
        ["evaluate", "omniglot-protonet", "--episodes", "2", "--report", LONG],
        ["compare", LONG, "nearest"],
        ["compare", "nearest", "omniglot-protonet", "--plot", f"{LONG}.png", "--episodes", "2"],
        ["inspect", LONG],
        ["predict", LONG, "--support", ".", "x.png"],
        ["predict", "omniglot-protonet", "--support", LONG, "x.png"],
        ["demo", "--out", LONG],
    ],
)
def test_a_name_that_no_file_has_ends_with_2_and_names_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert LONG[:200] in said.err.replace("\n", "")
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_entered_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.stat

    def refuse(path: Any, *rest: Any, **more: Any) -> Any:  # as mode 000 does, which stops everyone but root
        if "locked" in os.fspath(path) if isinstance(path, str | os.PathLike) else False:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "stat", refuse)
    for words in (
        ["evaluate", "locked/run"],
        ["train", "locked/mine.toml"],
        ["train", "omniglot-demo", "--out", "locked/run"],
        ["train", "protonet", "--data", "locked/pets"],
        ["demo", "--out", "locked/demo"],
        ["compare", "locked/a", "locked/b"],
    ):
        assert kshot_(*words, monkeypatch=monkeypatch) == 2
        said = capsys.readouterr().err
        assert "locked/" in said
        assert "Permission denied" in said


def test_a_deleted_working_directory_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert kshot_("train", "protonet", "--data", "pets", monkeypatch=monkeypatch) == 2
    assert "the working directory does not exist any more. Change to another folder." in capsys.readouterr().err
    monkeypatch.chdir("/")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.lr=1e400", r"training\.lr must be a number; found inf"),
        (f"training.updates={10**18}", r"training\.updates must be at most 1,000,000,000; found"),
        (f"training.updates={'9' * 400}", r"training\.updates must be a whole number; found 99999"),
        (f"training.updates={'9' * 5000}", r"training\.updates must be a whole number; found '9999"),
        (f"seed={2**63}", r"seed must be a whole number; found 9223372036854775808"),
        ("episodes.tasks=1000000", r"episodes\.tasks must be at most 10,000"),
        ("items.batch=10000000", r"items\.batch must be at most 1,000,000"),
        ("training.lr=" + "[" * 5000, r"the value is nested too deep"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe("omniglot-demo", [setting])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.lr=1e39"], r"lr must be .*1e\+39"),
        (["data.size=20000"], "size of 'picture' must be at most 1,024 pixels; found 20000"),
        (["backbone.width=1000000"], "'conv4' would hold"),
        ([f"backbone.width={10**400}"], "width must be a whole number; found 1000"),
        (["episodes.way=2", "episodes.shot=400000", "episodes.query=400000", "episodes.replacement=true"], "an episode has at most"),
        (["validation.episodes=1000000000"], "all episodes together have at most 50,000,000 items"),
        (["episodes.tasks=10000", "episodes.shot=1000", "episodes.query=1000", "episodes.replacement=true"], "one update would read"),
        (["learner.name=maml", "learner.inner_steps=1000000"], "must be 10,000 or less"),
    ],
)  # fmt: skip
def test_a_run_that_no_machine_holds_is_refused_and_nothing_is_written(
    pets: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(kshot.errors.KshotError, match=message):
        prepare(read_recipe("protonet", [f'data.name="{pets}"', *QUICK, *settings]), tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # opens the embedded Omniglot
@pytest.mark.parametrize(
    "flags",
    [["--episodes", "1000000000"], ["--way", "1000000000"], ["--shot", "9" * 400], ["--query", "1" + "0" * 18]],
)
def test_a_flag_out_of_range_ends_with_2(flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert kshot_("evaluate", "nearest", "--data", "omniglot", *flags, monkeypatch=monkeypatch) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.slow
@POSIX
def test_names_that_are_not_utf_8_are_trained_on_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [os.fsdecode(f"caf{number}".encode() + b"\xe9") for number in range(8)]
    root = tmp_path / os.fsdecode(b"lat\xe9")
    for number, name in enumerate(names):
        fill(tmp_path / "made", [f"pet{number}"], items=4)
        root.mkdir(exist_ok=True)
        (tmp_path / "made" / f"pet{number}").rename(root / name)
    table = read_recipe("protonet", QUICK).as_dict()
    table["data"]["name"] = str(root)
    recipe = parse_recipe(table, "made")
    folder = tmp_path / os.fsdecode(b"run\xe9")
    saved = run(prepare(recipe, folder, device="cpu"), command=f"kshot train {root}")
    assert saved is not None
    back = kshot.open_saved(folder)
    seen = {name for members in back.record["classes_seen"].values() for name in members}
    assert seen < set(names)
    assert back.record["recipe"]["data"]["name"] == str(root)
    parts = json.loads((folder / "division.json").read_text(encoding="utf-8"))
    assert {name for members in parts.values() for name in members} == set(names)
    assert run(prepare(recipe, folder, resume=True, device="cpu")) is not None


def test_a_recipe_and_a_division_may_start_with_a_byte_order_mark(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfseed = 7\n")
    assert read_recipe(tmp_path / "mine.toml").seed == 7
    parts = {"train": ["pet0", "pet1", "pet2"], "val": ["pet3", "pet4"], "test": ["pet5", "pet6"]}
    (tmp_path / "parts.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(parts).encode())
    settings = [f'data.name="{pets}"', *QUICK, f'data.split="{tmp_path / "parts.json"}"']
    assert prepare(read_recipe("protonet", settings), tmp_path / "run", device="cpu").split.as_names() == parts


@POSIX
def test_a_recipe_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(RecipeError, match=rf"cannot read the recipe .*{name}\.toml: .*not a regular file"):
            read_recipe(tmp_path / f"{name}.toml")


@pytest.mark.slow
def test_the_default_folder_holds_the_seed_that_was_given(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for setting in QUICK for word in ("--set", setting)]
    for more in ([], ["--seed", "3"], ["--set", "seed=4"]):
        assert kshot_("train", "protonet", "--data", pets, *words, *more, monkeypatch=monkeypatch) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["protonet", "protonet-seed3", "protonet-seed4"]


@pytest.mark.slow
def test_two_runs_in_one_folder(pets: Path, tmp_path: Path) -> None:
    recipe = read_recipe("protonet", [f'data.name="{pets}"', *QUICK])
    first = prepare(recipe, tmp_path / "run", device="cpu")
    late = prepare(read_recipe("protonet", [f'data.name="{pets}"', *QUICK, "seed=1"]), tmp_path / "run", device="cpu")
    refused = []

    def second(*_: object) -> None:
        for start in (lambda: prepare(recipe, tmp_path / "run", resume=True, device="cpu"), lambda: run(late)):
            with pytest.raises(kshot.errors.SavedError, match=rf"a run is writing into .*run: process {os.getpid()} on"):
                start()
            refused.append(start)

    assert run(first, on_step=second) is not None
    assert len(refused) == 4
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock", "division.json", "learner", "metrics.jsonl", "recipe.json", "state.safetensors",
    ]  # fmt: skip
    with pytest.raises(kshot.errors.SavedError, match="another run has written into"):
        run(late)
    assert goes_on(tmp_path / "run", recipe, True)
    assert kshot.open_saved(tmp_path / "run").record["seed"] == 0


def test_results_are_strict_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"mean": float("nan"), "scores": [1.0, float("inf"), np.float64("-inf")], "name": "é\udce9"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out, parse_constant=pytest.fail) == {"mean": None, "scores": [1.0, None, None], "name": "é\udce9"}


def test_long_runs_are_no_fault(pets: Path, tmp_path: Path) -> None:
    long = ["training.updates=1000000", "training.halve_every=200000", "training.warmup=20000", "validation.every=50000"]
    ready = prepare(read_recipe("protonet", [f'data.name="{pets}"', *QUICK, *long]), tmp_path / "run", device="cpu")
    assert (ready.plan.updates, ready.plan.optimization.halve_every) == (1_000_000, 200_000)
