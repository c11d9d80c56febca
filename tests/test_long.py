"""`make long`: the list names real recipes and scripts; a run is stopped, resumed, recorded, and then done."""

import json
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from kshot.workflows.recipe import read_recipe
from test_scripts import script

ROOT = Path(__file__).parents[1]


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, working in a folder of its own."""
    module = script("long")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RUNS", tmp_path / "runs")
    return module


def test_the_list_names_recipes_settings_and_scripts_that_are_there() -> None:
    runs = script("long").read_list(ROOT / "runs" / "long.toml")
    assert len({run.name for run in runs}) == len(runs) > 0
    for run in runs:
        read_recipe(run.recipe or run.name, list(run.set))
        program, path, *_ = shlex.split(run.record)
        assert (program, path) == ("kshot", "evaluate") or (program == "python" and (ROOT / path).is_file())


def test_a_run_goes_from_not_begun_to_done(long: ModuleType) -> None:
    run = long.LongRun("tiny", "python -c 'print(\"of {saved}\")'", "omniglot-demo")
    assert run.progress() == "not begun"
    assert "--resume" not in run.train_command()
    run.folder.mkdir(parents=True)
    (run.folder / "recipe.json").write_text(json.dumps({"training": {"updates": 2000}}))
    (run.folder / "metrics.jsonl").write_text('{"update": 1}\n{"update": 1234}\n')
    (run.folder / "state.safetensors").touch()
    assert run.progress() == "update 1,234 of 2,000"
    assert run.train_command()[-1] == "--resume"
    assert run.saved is None
    (run.folder / "learner").mkdir()
    (run.folder / "learner" / "learner.json").touch()
    assert long.finish(run) == 0
    assert run.done
    assert sorted(path.name for path in run.folder.rglob("*") if path.is_file()) == ["done.json", "learner.json"]
    assert json.loads((run.folder / "done.json").read_text())["printed"] == ["of runs/tiny/learner"]


def test_a_record_command_that_fails_keeps_the_state(long: ModuleType) -> None:
    run = long.LongRun("tiny", "python -c 'raise SystemExit(3)'", "omniglot-demo")
    (run.folder / "learner").mkdir(parents=True)
    (run.folder / "learner" / "learner.json").touch()
    (run.folder / "state.safetensors").touch()
    assert long.finish(run) == 3
    assert not run.done
    assert (run.folder / "state.safetensors").is_file()
