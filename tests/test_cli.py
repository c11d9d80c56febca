"""The command: exit codes, what goes to which stream, JSON, help."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import kshot.allocator
import kshot.errors
import kshot.workflows.recipe_results
from cases.folders import fill
from kshot import cli, terminal, train_commands
from kshot.exit_code import exit_code_of
from kshot.workflows.recipe import recipe_names

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
COMMANDS = (
    *("fit", "predict", "add", "remove", "rename", "estimate", "suggest", "doubt", "export"),
    *("demo", "train", "evaluate", "compare", "inspect", "show", "recipes"),
)
QUICK = [
    "--set", "data.size=16", "--set", "backbone.width=3", "--set", "episodes.query=2", "--set", "validation.query=2",
    "--set", "validation.episodes=5", "--set", "training.updates=2", "--set", "data.fractions=[0.5,0.25,0.25]", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("data") / "tiere 🐾", [f"tier {number}" for number in range(8)], items=4)


def kshot_(*words: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The command in this process."""
    monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
    monkeypatch.setattr(kshot.allocator, "keep_freed_memory", lambda: False)  # a setting of the whole process
    monkeypatch.setenv("COLUMNS", "120")
    return exit_code_of(cli.app)


def in_its_own_process(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run([sys.executable, "-m", "kshot", *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def trained(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert kshot_("train", "protonet", "--data", pets, "--out", folder, *QUICK, monkeypatch=patch) == 0
    return folder


def test_help_is_quick_and_names_every_command() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = in_its_own_process("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # A quarter of a second on an idle machine. Processor time, not wall time: a busy machine is no fault of ours.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
    assert done.returncode == 0
    assert done.stderr == ""
    for command in COMMANDS:
        assert command in done.stdout
    assert "models that learn a new task from a few examples" in done.stdout


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """What `--help` of each command prints: all in one process, in which no torch is loaded."""
    code = (
        "import contextlib, io, json, sys\nfrom kshot import cli\nfrom kshot.exit_code import exit_code_of\nprinted = {}\n"
        "for command in sys.argv[1:]:\n    sys.argv = ['kshot', command, '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n        assert exit_code_of(cli.app) == 0, command\n"
        "    printed[command] = out.getvalue()\n    assert 'torch' not in sys.modules, command\nprint(json.dumps(printed))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_loading_torch(command: str, helps: dict[str, str]) -> None:
    assert "--help" in helps[command]
    text = " ".join(helps[command].replace("│", " ").split())
    flags = {
        "demo": ["--out"],
        "train": ["--data", "--set", "--out", "--resume", "--device", "--seed", "KEY=VALUE"],
        "show": ["--json", "--plot"],
        "evaluate": [
            "--data",
            "--split",
            "--way",
            "--shot",
            "--query",
            "--episodes",
            "--seed",
            "--transductive",
            "--refine",
            "--json",
            "--report",
        ],
        "inspect": ["--data", "--split", "--way", "--shot", "--query", "--episodes", "--seed", "--nearness", "--json", "--plot"],
        "compare": ["--data", "--split", "--way", "--shots", "--query", "--episodes", "--transductive", "--json", "--plot", "--out"],
        "fit": [
            "--out",
            "-o",
            "--with",
            "--encoder",
            "--label",
            "--depth",
            "--classes",
            "--regression",
            "--report",
            "--overwrite",
            "--json",
        ],
        "predict": ["--support", "--json", "--out", "--probabilities", "--strict"],
        "add": ["--strict", "--json"],
        "remove": ["--json"],
        "rename": ["--json"],
        "suggest": ["--count", "--json", "--out", "--strict"],
        "doubt": ["--count", "--json", "--out"],
        "export": ["--onnx", "--out", "--support", "--overwrite", "--json"],
        "estimate": ["--label", "--report", "--json"],
        "recipes": ["--json"],
    }[command]
    for flag in flags:
        assert flag in text, flag


@pytest.mark.slow
def test_recipes_as_json_and_as_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal.out, "width", 80)
    assert kshot_("recipes", "--json", monkeypatch=monkeypatch) == 0
    rows = json.loads(capsys.readouterr().out)["recipes"]
    assert [row["name"] for row in rows if row["train"]] == recipe_names()
    assert kshot_("recipes", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    assert all(row["name"] in shown.out for row in rows)
    assert shown.out.count("\n") == len(rows) + 2  # one line per recipe, and how to see more
    assert max(map(len, shown.out.splitlines())) <= 80
    assert shown.err == ""
    assert kshot_("recipes", "omniglot-protonet", monkeypatch=monkeypatch) == 0
    assert kshot_("recipes", "sinusoid-joint", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    assert "98.81 ± 0.15 % here, 98.8 (Snell et al. 2017) published, chance 20 %" in shown.out
    assert "  published: Snell et al. 2017, Table 1, page 5\n" in shown.out
    assert "median 1.581 here, 2.41 (Finn et al. 2017) published" in shown.out  # an error is not in per cent
    assert shown.err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"],
        ["nope"],
        ["train"],
        ["train", "protonet", "--nope"],
        ["train", "protonet", "--seed", "one"],
        ["train", "protonet", "--seed"],
        ["train", "protonet", "omniglot-demo"],
        ["evaluate", "x", "--way", "two"],
        ["predict", "x", "--support", "y"],
        ["predict", "x", "y.png"],
        [],
    ],
)
def test_wrong_use_ends_with_2_and_no_traceback(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    if words:
        assert said.out == ""
        assert "Error" in said.err


def test_train_evaluate_predict_on_ones_own_folder(
    trained: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert json.loads((trained / "recipe.json").read_text(encoding="utf-8"))["data"]["name"] == str(pets)
    monkeypatch.chdir(tmp_path)  # from anywhere
    words = ("evaluate", trained, "--way", "2", "--query", "3", "--episodes", "20", "--device", "cpu")
    assert kshot_(*words, "--json", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert {
        "accuracy",
        "interval",
        "episodes",
        "episodes_hash",
        "way",
        "shot",
        "query",
        "split",
        "seed",
        "mode",
        "seconds",
    } <= answer.keys()
    assert 0 <= answer["accuracy"] <= 1
    assert 0 <= answer["interval"] <= 1
    assert (answer["episodes"], answer["way"], answer["shot"], answer["query"], answer["seed"]) == (20, 2, 1, 3, 0)
    assert (answer["split"], answer["mode"]) == ("division/test", "inductive")
    assert len(answer["episodes_hash"]) == 64
    assert answer["seconds"] > 0
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    assert f"{100 * answer['accuracy']:.2f} ±" in capsys.readouterr().out
    assert kshot_(*words, "--seed", "1", "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["episodes_hash"] != answer["episodes_hash"]

    query = pets / "tier 1" / "3.png"
    assert kshot_("predict", trained, "--support", pets, query, query, "--json", "--device", "cpu", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for answer in map(json.loads, lines):
        assert set(answer) == {"input", "label", "probability", "second", "unknown"}
        assert answer["input"] == str(query)
        assert answer["label"] != answer["second"]
        assert {answer["label"], answer["second"]} <= {f"tier {number}" for number in range(8)}
        assert answer["unknown"] is False
    assert kshot_("predict", trained, "--support", pets, query, "--device", "cpu", monkeypatch=monkeypatch) == 0
    assert "tier" in capsys.readouterr().out


@pytest.mark.slow
def test_a_refined_answer_says_so_in_the_record_in_the_report_and_aloud(
    trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", trained, "--way", "2", "--query", "3", "--episodes", "6", "--device", "cpu")
    assert kshot_(*words, "--refine", "soft_k_means:iterations=1", "--json", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    content = json.loads(said.out)
    assert (content["mode"], content["refinement"]) == ("transductive", "soft_k_means:iterations=1,scale=1.0")
    assert "assumes" not in said.err
    report = tmp_path / "report"
    assert kshot_(*words, "--refine", "optimal_transport", "--report", report, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    told = "transductive, refined by optimal_transport:steps=20,rate=0.2,scale=1.0,balanced=true"
    assert told in said.out
    assert "Note: optimal_transport assumes equally many queries of each class" in said.err
    assert told in (report / "report.html").read_text(encoding="utf-8")
    assert json.loads((report / "results.json").read_text(encoding="utf-8"))["refinement"].startswith("optimal_transport")


@pytest.mark.slow
def test_inspect_shows_tasks_and_prints_one_object(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("inspect", trained, "--way", "2", "--query", "3", "--episodes", "20", "--device", "cpu")
    assert kshot_(*words, "--json", "--plot", tmp_path / "tasks.png", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["episodes"], found["split"], found["nearness"]) == (20, "division/test", "any")
    assert {"classes", "confused", "difficulty", "shift", "notes", "accuracy", "episodes_hash"} <= found.keys()
    assert set(found["shift"]) == {"features", "pixels"}
    assert set(found["shift"]["features"]["nearest"]) == {"train", "val", "test"}
    assert f"The picture is {tmp_path / 'tasks.png'}" in said.err
    with Image.open(tmp_path / "tasks.png") as image:
        assert image.size[0] > 1000
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    for heading in ("Classes", "Most confused pairs", "Difficulty of the episodes", "Distance from the training classes"):
        assert heading in said.out.splitlines()
    assert found["episodes_hash"] in said.out
    assert kshot_("evaluate", *words[1:], "--json", monkeypatch=monkeypatch) == 0
    assert {**json.loads(capsys.readouterr().out), "seconds": 0}.items() <= {**found, "seconds": 0}.items()


def test_near_and_far_episodes_are_other_ones(
    trained: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {}
    for nearness in ("any", "near", "far"):
        words = ("evaluate", trained, "--split", "train", "--way", "2", "--query", "3", "--episodes", "20", "--nearness", nearness)
        assert kshot_(*words, "--json", "--device", "cpu", monkeypatch=monkeypatch) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["nearness"] == nearness
        hashes[nearness] = answer["episodes_hash"]
    assert len(set(hashes.values())) == 3


@pytest.mark.slow
def test_compare_prints_a_table_or_one_object_and_draws(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("compare", trained, "nearest", "--way", "2", "--query", "2", "--shots", "2,1", "--episodes", "30", "--device", "cpu")
    assert kshot_(*words, "--json", "--plot", tmp_path / "c.png", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    plain = json.loads(said.out)
    assert [(one["shot"], one["episodes"]) for one in plain["rounds"]] == [(1, 30), (2, 30)]
    assert all({learner["name"] for learner in one["learners"]} == {str(trained), "nearest"} for one in plain["rounds"])
    assert f"The picture is {tmp_path / 'c.png'}" in said.err
    with Image.open(tmp_path / "c.png") as image:
        assert image.format == "PNG"
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for one in plain["rounds"]:
        assert f"{one['shot']}-shot, 2 queries per class, chance 50 %, 30 episodes of" in said.out
        assert said.out.count(one["episodes_hash"]) == 1
    assert plain["sentence"] in " ".join(said.out.split())  # which wraps it
    assert said.out.count("training seeds") + said.out.count("other seeds") == 1
    assert kshot_("evaluate", trained, *words[3:7], "--shot", "2", *words[9:], "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["episodes_hash"] == plain["rounds"][1]["episodes_hash"]  # the same test


@pytest.mark.slow
def test_compare_trains_a_recipe_first_and_only_once(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    record = json.loads((trained / "recipe.json").read_text(encoding="utf-8"))
    lines = ["[data]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in record["data"].items())]
    lines += ["[learner]", 'name = "ridge"', "[backbone]", "width = 3", "[episodes]", "query = 2", "[validation]", "query = 2"]
    (tmp_path / "mine.toml").write_text("\n".join([*lines, "episodes = 5", "[training]", "updates = 2"]), encoding="utf-8")
    words = ("compare", "mine.toml", trained, "--way", "2", "--query", "2", "--episodes", "20", "--device", "cpu", "--json")
    assert kshot_(*words, "--shot", "9", monkeypatch=monkeypatch) == 2  # found out before anything is trained
    assert not (tmp_path / "runs").exists()
    capsys.readouterr()
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert "The recipe mine.toml is not trained yet; it is trained first, in runs/mine." in said.err
    (one,) = json.loads(said.out)["rounds"]
    before = files(tmp_path / "runs")
    assert "mine/learner/learner.json" in before
    assert kshot_(*words, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert said.err == ""
    (again,) = json.loads(said.out)["rounds"]
    scores = [{learner["name"]: learner["accuracy"] for learner in both["learners"]} for both in (one, again)]
    assert scores[0] == scores[1]
    assert files(tmp_path / "runs") == before


def test_what_needs_no_training_is_evaluated_by_name(
    pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "nearest", "--way", "2", "--query", "2", "--episodes", "10", "--json", "--device", "cpu")
    assert kshot_(*words, "--data", pets, monkeypatch=monkeypatch) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["split"], answer["statistics"]) == ("all", "none")
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    assert "names no data; give --data omniglot or a folder" in capsys.readouterr().err


def test_a_folder_called_omniglot_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "omniglot").mkdir()
    (tmp_path / "omniglot" / "1.png").touch()
    assert kshot_("train", "protonet", "--data", "omniglot", "--out", tmp_path / "run", monkeypatch=monkeypatch) == 2
    assert f"{tmp_path / 'omniglot'} holds 1 pictures but no class folders" in capsys.readouterr().err


def test_the_next_command_is_one_that_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/kshot")
    assert train_commands._typed() == "kshot"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/kshot", "demo"])
    assert train_commands._typed() == ".venv/bin/kshot"
    monkeypatch.setattr(sys, "argv", ["/somewhere/kshot/__main__.py", "demo"])
    assert train_commands._typed() == f"{sys.executable} -m kshot"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "protonot"], "there is no recipe 'protonot'. Did you mean 'protonet'? The built-in ones are"),
        (["train", "none.toml"], "cannot read the recipe none.toml"),
        (["train", "protonet", "--data", "nowhere"], "found nothing there"),
        (["train", "protonet", "--set", "data.name=omniglott"], "Did you mean 'omniglot'? Expected one of: the word 'omniglot'"),
        (
            ["train", "protonet", "--set", "data.kind=omniglott"],
            "no kind of data 'omniglott'. Did you mean 'omniglot'? The known ones are auto, omniglot, sinusoids, tables, vectors, pictures",
        ),
        (["train", "protonet", "--data", "{pets}", "--set", "data.kind=omniglot"], "needs the word 'omniglot' as data.name"),
        (["train", "protonet"], "no data are named. Give --data and a folder with one folder of pictures per class"),
        (["train", "protonet", "--data", "nowhere", "--out", "{run}"], "found nothing there"),
        (["train", "omniglot-demo", "--set", "data.preprocess=inc"], "it takes no preprocessing 'inc'. Did you mean 'ink'?"),
        (["train", "protonet", "--set", "data.arguments=3"], "[data.arguments] must be a table of settings"),
        (["evaluate", "{run}", "--data", "omniglott"], "Did you mean 'omniglot'?"),
        (
            ["train", "protonet", "--data", "{pets}", "--set", "training.lrr=1"],
            "there is no setting 'training.lrr'. Did you mean 'training.lr'? The known ones are",
        ),
        (["train", "protonet", "--data", "{pets}", "--set", "training.updates=0"], "training.updates must be at least 1; found 0"),
        (["train", "protonet", "--data", "{pets}", "--set", "training.lr"], "--set needs key=value"),
        (["train", "protonet", "--data", "{pets}", "--seed", "-1"], "seed must be at least 0; found -1"),
        (["train", "protonet", "--data", "{pets}", "--device", "gpu"], "there is no device 'gpu' here"),
        (["train", "protonet", "--data", "{pets}", "--out", "{run}"], "is not empty. Continue its run with --resume"),
        (["train", "protonet", "--data", "{pets}", "--out", "{run}", "--resume"], "another recipe: "),
        (["train", "protonet", "--data", "{pets}", "--out", "new", "--resume"], "has no run to resume"),
        (["evaluate", "nowhere"], "there is no learner 'nowhere'"),
        (["evaluate", "protonet"], "protonet is a recipe without a shipped learner. Train it first: kshot train protonet"),
        (["evaluate", "omniglot-lake", "--protocol", "lake", "--way", "5", "--seed", "1"], "--way, --seed would change nothing"),
        (["evaluate", "{run}", "--way", "1"], "way must be at least 2; found 1"),
        (["evaluate", "{run}", "--way", "50"], "way=50 needs at least 50 classes; found 2"),
        (["evaluate", "{run}", "--way", "2", "--shot", "99"], "needs 114"),
        (["evaluate", "{run}", "--way", "2", "--query", "1", "--episodes", "0"], "episodes must be 1 or more; found 0"),
        (["evaluate", "{run}", "--way", "2", "--query", "1", "--transductive"], "transductive was asked for"),
        (
            ["evaluate", "{run}", "--way", "2", "--query", "1", "--refine", "k_means"],
            "there is no refinement 'k_means'. Did you mean 'soft_k_means'? The known ones are soft_k_means",
        ),
        (["evaluate", "{run}", "--refine", "soft_k_means:iterations=-1"], "iterations of a refinement must be 0 or more; found -1"),
        (["evaluate", "{run}", "--way", "2", "--query", "1", "--split", "all"], "were seen in training"),
        (["evaluate", "{run}", "--way", "2", "--query", "1", "--nearness", "hard"], "nearness must be one of any, near, far; found 'hard'"),
        (
            ["evaluate", "{run}", "--way", "2", "--query", "1", "--nearness", "near"],
            "way=2 nearness='near' needs at least 4 classes; found 2",
        ),
        (["inspect", "nowhere"], "nowhere"),
        (["inspect", "{run}", "--way", "50"], "way=50 needs at least 50 classes; found 2"),
        (["inspect", "{run}", "--way", "2", "--query", "1", "--transductive"], "transductive was asked for"),
        (["inspect", "{run}", "--plot", "tasks.jpg"], "--plot must name a PNG file to write, for example tasks.png; found tasks.jpg"),
        (["evaluate", "{run}", "--report", "{run}/recipe.json"], "is a file, but a report needs a folder"),
        (["compare", "{run}"], "at least two learners; found"),
        (["compare", "{run}", "{run}"], "are the same learner"),
        (["compare", "{run}", "nowhere"], "there is no learner 'nowhere'"),
        (["compare", "{run}", "omniglot-protonet"], "cannot take the same test"),
        (["compare", "{run}", "nearest", "--way", "5"], "way=5 needs at least 5 classes; found 2"),
        (["compare", "{run}", "nearest", "--way", "2", "--query", "1", "--shots", "1,9"], "needs 10"),
        (["compare", "{run}", "nearest", "--shots", "1;2"], "--shots must be whole numbers separated by commas"),
        (["compare", "{run}", "nearest", "--shots", "1,2", "--shot", "5"], "--shot 5 and --shots 1,2 contradict each other"),
        (["compare", "{run}", "nearest", "--shots", "0", "--way", "2"], "shot must be at least 1; found 0"),
        (["compare", "{run}", "nearest", "--way", "2", "--split", "train"], "was trained on 4 of the 4 classes of division/train"),
        (["compare", "{run}", "nearest", "--transductive"], "offers inductive prediction; transductive was asked for"),
        (["compare", "{run}", "nearest", "--plot", "picture.jpg"], "--plot must name a PNG file"),
        (["compare", "{run}", "nearest", "--plot", "{run}"], "--plot must name a PNG file"),
        (["compare", "nearest", "hausdorff"], "names the data it is for. Give --data"),
        (["predict", "{run}", "--support", "nowhere", "x.png"], "found nothing there"),
        (["predict", "{run}", "--support", "{pets}", "x.png", "--out", "x.txt"], "--out must name a .csv or .jsonl file to write"),
        (["predict", "{run}", "--support", "{pets}", "x.png", "--out", "no/x.csv"], "there is no folder no. Make it"),
        (["recipes", "protonot"], "there is no built-in recipe 'protonot'. Did you mean 'protonet'?"),
        (["--quiet", "--verbose", "recipes"], "--quiet and --verbose contradict each other"),
        (["evaluate", "{run}", "--shots", "1;2"], "--shots must be whole numbers separated by commas"),
        (["evaluate", "{run}", "--shots", "1,2", "--shot", "5"], "--shot 5 and --shots 1,2 contradict each other"),
        (["evaluate", "{run}", "--way", "2", "--shots", "1,2", "--report", "r"], "--report would change nothing"),
        (["evaluate", "nowhere_at_all:learner"], "cannot import the module nowhere_at_all: ModuleNotFoundError"),
        (["compare", "{run}", "json:nothing"], "the module json has no 'nothing'"),
        (["compare", "{run}", "json:dumps"], "json:dumps() failed: TypeError"),
        (["compare", "{run}", "json:JSONDecoder"], "or a function without arguments that returns one of these; found JSONDecoder"),
    ],
)
def test_bad_input_ends_with_2_one_message_and_nothing_written(
    words: list[str],
    message: str,
    trained: Path,
    pets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(trained)
    assert kshot_(*[word.format(pets=pets, run=trained) for word in words], monkeypatch=monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert message in said.err
    assert "Traceback" not in said.err
    assert files(trained) == before
    assert files(tmp_path) == {}


def test_a_loss_that_is_not_a_number_ends_with_2(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "train",
        "protonet",
        "--data",
        pets,
        "--out",
        tmp_path / "run",
        *QUICK,
        "--set",
        "training.updates=50",
        "--set",
        "training.lr=1e30",
    )
    assert kshot_(*words, monkeypatch=monkeypatch) == 2
    assert "last good state is kept" in capsys.readouterr().err
    assert (tmp_path / "run" / "state.safetensors").exists()


def test_ctrl_c_outside_of_training_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kshot.workflows.recipe_results, "recipe_rows", interrupt)
    assert kshot_("recipes", monkeypatch=monkeypatch) == 130
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_fault_of_ours_ends_with_1_and_its_traceback(tmp_path: Path) -> None:
    code = (
        "import kshot.workflows.recipe_results as results, sys\nresults.recipe_rows = lambda: 1 / 0\nsys.argv = ['kshot', 'recipes']\n"
        "from kshot.cli import main\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_a_reader_that_stops_reading_is_no_fault() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        [sys.executable, "-m", "kshot", "recipes"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


OPTIMIZER = [
    "--set", "optimizer.functions={quadratics=2}", "--set", "optimizer.horizon=20", "--set", "optimizer.truncation=10",
    "--set", "optimizer.hidden=3", "--set", "training.updates=2", "--set", "validation.episodes=2",
]  # fmt: skip


@pytest.mark.slow
def test_a_learned_optimiser_from_training_to_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert kshot_("train", "learned-optimizer", "--out", run, *OPTIMIZER, monkeypatch=monkeypatch) == 0
    assert "set it against hand-made ones" in " ".join(capsys.readouterr().err.split())
    assert kshot_("train", "learned-optimizer", "--out", run, "--resume", *OPTIMIZER, monkeypatch=monkeypatch) == 0
    capsys.readouterr()
    assert kshot_("show", run, "--json", "--plot", tmp_path / "training.png", monkeypatch=monkeypatch) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["horizon"], len(shown["validation"])) == ("optimizer", "20 steps", 1)
    with Image.open(tmp_path / "training.png") as picture:
        assert picture.size[0] > 300
    assert (
        kshot_("evaluate", run, "--steps", "20", "--seed", "5", "--json", "--plot", tmp_path / "curves.png", monkeypatch=monkeypatch) == 0
    )
    curves = json.loads(capsys.readouterr().out)
    assert curves["seeds"] == list(range(5, 15))
    assert set(curves["kinds"]["quadratics"]["optimizers"]) == {"learned", "sgd", "momentum", "rmsprop", "adam", "adamw"}
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > 300
    for words, part in (
        (("evaluate", run, "--way", "5"), "sees no episodes: --way would change nothing"),
        (("evaluate", run, "--data", "cubics"), "no kind of objective 'cubics'"),
        (("predict", run, tmp_path / "x.png"), "is a learned optimiser, not a learner"),
        (("predict", run, "--support", tmp_path, tmp_path / "x.png"), "is a learned optimiser, not a learner"),
        (("compare", run, "nearest"), "is a learned optimiser, not a learner"),
        (("inspect", run), "is a learned optimiser, not a learner"),
    ):
        assert kshot_(*words, monkeypatch=monkeypatch) == 2
        assert part in " ".join(capsys.readouterr().err.split())
