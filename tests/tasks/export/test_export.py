"""Exported tasks: thirty lines of numpy and ONNX Runtime answer as kshot does, for every rule, head and learner; the others are refused."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from PIL import Image
from torch import nn

import kshot.encoders.onnx_export as onnx_export
import kshot.tasks.export.exported_folder as exported_folder
from cases.drawings import drawings as fill_drawings
from cases.folders import fill
from cases.onnx_graphs import FLOAT, save, save_means
from cases.sentences import word_means
from kshot import cli
from kshot.encoders.encoder import Provenance
from kshot.encoders.onnx_export import exported
from kshot.encoders.table import open_encoder, read_encoder
from kshot.errors import ContractError, RecipeError, SavedError
from kshot.exit_code import exit_code_of
from kshot.learners.base_learners import SINGLE
from kshot.learners.learner import Learner
from kshot.tasks.answers import judge_of, predict_vectors
from kshot.tasks.certainty.asked import Asked as Sure
from kshot.tasks.classifier import Classifier
from kshot.tasks.examples import Asked, Examples, find_examples
from kshot.tasks.export.example import example_of
from kshot.tasks.export.export import task_of_model
from kshot.tasks.export.exported_folder import Task, check_place, write_task
from kshot.tasks.export.learner_rules import _RULES, rule_of_learner, rule_without_classes
from kshot.tasks.export.number_network import number_inputs
from kshot.tasks.export.rule import Rule, rule_of_head
from kshot.tasks.fit import fit
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.feature_map import FEATURE_MAPS, fit_map
from kshot.tasks.heads.head import FittedHead, Form
from kshot.tasks.model_folder import load_model, save_model

D, N = 6, 3
LINES = 30


def identity(folder: Path) -> bytes:
    """A network that gives its items back, (M, D)."""
    node = helper.make_node("Identity", ["items"], ["vectors"])
    return save(folder / "identity.onnx", [node], [("items", FLOAT, ("M", D))], [("vectors", FLOAT, ("M", D))]).read_bytes()


def task(folder: Path, rule: Rule, items: np.ndarray, probabilities: np.ndarray) -> Task:
    return Task(
        "by hand", ("a", "b", "c"), rule, identity(folder), {"items": "numbers"}, {"items": items}, probabilities, Provenance("MIT", "here")
    )


def run_program(folder: Path, *words: str) -> list[dict[str, Any]]:
    """The program as a user starts it, apart from this package."""
    done = subprocess.run([sys.executable, "-I", "-W", "error", folder / "predict.py", *words], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def code_lines(text: str) -> int:
    body = ast.parse(text).body
    starts = body[1].lineno  # after the docstring
    return sum(bool(line.strip()) for line in text.splitlines()[starts - 1 :])


@pytest.mark.slow
def test_nearest_by_hand(tmp_path: Path) -> None:
    """The squared distances of (0, 0) are 1 and 4: probabilities 1 / (1 + e⁻³) and the rest."""
    items = np.zeros((1, D), np.float32)
    examples = np.zeros((2, D), np.float32)
    examples[0, 0], examples[1, 1] = 1, 2
    rule = Rule("nearest", {"examples": examples, "labels": np.array([0, 1])})
    expected = np.array([[1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3))]])
    write_task(tmp_path / "out", Task("x", ("a", "b"), rule, identity(tmp_path), {}, {"items": items}, expected, Provenance("MIT", "here")))
    assert run_program(tmp_path / "out") == [{"label": "a", "probability": round(float(expected[0, 0]), 6)}]
    content = json.loads((tmp_path / "out/task.json").read_text())
    assert (content["classes"], content["calibration"]["temperature"], content["rule"]["form"]) == (["a", "b"], 1.0, "nearest")
    assert content["rule"]["arrays"]["examples"][1] == [0, 2, 0, 0, 0, 0]


def head(form: Form, feature_map: str, x: np.ndarray, rng: np.random.Generator) -> FittedHead:
    mapping = fit_map(feature_map, x)
    examples = mapping(x)
    affine = {"weights": rng.normal(size=(D, N)), "bias": rng.normal(size=N)}
    arrays: dict[str, dict[str, np.ndarray]] = {
        "affine": affine,
        "kernel": {**affine, "examples": examples, "coefficients": rng.normal(size=(len(x), N)), "precision": np.array([0.7])},
        "nearest": {"examples": examples, "labels": np.sort(np.arange(len(x)) % N)},
    }
    narrow = {name: array if name == "labels" else array.astype(np.float32) for name, array in arrays[form].items()}
    return FittedHead(form, feature_map, {**narrow, **mapping.arrays}, 0.37, {})


@pytest.mark.parametrize("feature_map", FEATURE_MAPS)
@pytest.mark.parametrize("form", ["affine", "kernel", "nearest"])
def test_every_head_of_a_model(form: Form, feature_map: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.random((9, D)).astype(np.float32)
    fitted = head(form, feature_map, x, rng)
    items = rng.random((5, D)).astype(np.float32)
    items[4] = 0  # a vector of length 0 stays 0
    rule = rule_of_head(fitted)
    write_task(tmp_path / "out", task(tmp_path, rule, items, np.exp(log_probabilities(fitted, items))))
    assert code_lines((tmp_path / "out/predict.py").read_text()) <= LINES
    with pytest.raises(ContractError, match=r"differ from kshot's by .*at most 0\.0001"):
        write_task(tmp_path / "other", task(tmp_path, rule, items, np.exp(log_probabilities(fitted, items[::-1]))))
    assert not (tmp_path / "other").exists()


def learner_of(kind: type[Learner]) -> Learner:
    torch.manual_seed(0)
    name = next(name for name, made in SINGLE.items() if made is kind)
    more: dict[str, Any] = {"features": D} if name in ("feat", "simple_shot") else {}
    learner = SINGLE[name](nn.Identity(), **more).eval()
    with torch.no_grad():
        for value in [*learner.parameters(), *learner.buffers()]:
            if value.is_floating_point():
                value.add_(0.1 * torch.randn(value.shape))
    return learner


@pytest.mark.parametrize("kind", sorted(_RULES, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_learner_that_compares(kind: type[Learner], tmp_path: Path) -> None:
    learner = learner_of(kind)
    support, query = torch.randn(1, 7, D), torch.randn(1, 5, D)
    adapted = learner.adapt(support, torch.tensor([[0, 0, 1, 1, 1, 2, 2]]), way=N)
    expected = learner.predict(adapted, query)[0].double().softmax(-1).detach().numpy()
    write_task(tmp_path / "out", task(tmp_path, rule_of_learner(learner, adapted), query[0].numpy(), expected))
    assert code_lines((tmp_path / "out/predict.py").read_text()) <= LINES


def test_the_program_imports_numpy_and_onnxruntime_alone() -> None:
    rules = [Rule(form, {}, root=True, unit=True) for form in ("affine", "kernel", "attention", "nearest")]
    for rule in rules:
        tree = ast.parse(example_of(rule))
        named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        from_ = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert named | from_ == {"json", "sys", "pathlib", "numpy", "onnxruntime"}
        assert code_lines(example_of(rule)) <= LINES + 5 * ("learn" in example_of(rule))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("maml", "it answers with a network that gradient steps change for every task"),
        ("reptile", "it answers with a network that gradient steps change for every task"),
        ("mann", "it reads the examples as a sequence"),
        ("relation", "a network looks at items and examples together"),
    ],
)
def test_a_learner_that_compares_nothing_is_refused_with_the_reason(name: str, reason: str) -> None:
    learner = SINGLE[name](nn.Identity(), features=D)
    with pytest.raises(RecipeError, match=rf"{reason}.*ProtoNet.*kshot predict SAVED --support"):
        rule_without_classes(learner)


def test_what_more_than_means_must_learn_asks_for_examples() -> None:
    with pytest.raises(RecipeError, match=r"RidgeNet learns from examples is more than a mean per class.*--support FOLDER"):
        rule_without_classes(SINGLE["ridge"](nn.Identity()))


def fitted_photographs(folder: Path) -> Any:
    encoder = open_encoder(str(save_means(folder / "pixels.onnx", ("M", 8, 8, 3))))
    return fit(find_examples(fill(folder / "photos", ["fox", "owl"], items=3)), encoder, head="class_means").model


@pytest.mark.slow
def test_a_model_of_photographs_with_anybody_s_onnx_file(tmp_path: Path) -> None:
    model = fitted_photographs(tmp_path)
    save_model(tmp_path / "model", model)
    write_task(tmp_path / "out", task_of_model(load_model(tmp_path / "model"), "model"))
    assert (tmp_path / "out/network.onnx").read_bytes() == (tmp_path / "pixels.onnx").read_bytes()
    takes = json.loads((tmp_path / "out/task.json").read_text())["network"]["takes"]
    assert takes["pixels"].startswith("uint8 (M, 8, 8, 3): the middle square of the upright photograph, 0.875 of its shorter side")
    colour = np.full((1, 8, 8, 3), 200, np.uint8)
    np.savez(tmp_path / "mine.npz", pixels=colour)
    (row,) = run_program(tmp_path / "out", str(tmp_path / "mine.npz"))
    expected = np.exp(log_probabilities(model.head, np.full((1, 3), 200.0, np.float32)))[0]
    assert row == {"label": model.classes[int(expected.argmax())], "probability": pytest.approx(expected.max(), abs=1e-5)}


@pytest.mark.slow
def test_a_model_of_texts_brings_its_tokenizer(tmp_path: Path) -> None:
    encoder = read_encoder(word_means(tmp_path / "words"))
    found = find_examples(_table(tmp_path / "texts.csv"), Asked())
    model = fit(found, encoder, head="class_means").model
    save_model(tmp_path / "model", model, encoder)  # type: ignore[arg-type]  # it can be written
    task = task_of_model(load_model(tmp_path / "model"), "model")
    write_task(tmp_path / "out", task)
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (tmp_path / "words/encoder.tokenizer.json").read_bytes()
    assert {row["label"] for row in run_program(tmp_path / "out")} <= {"card", "my"}
    assert set(task.takes) >= {"input_ids", "prompt"}


def _table(path: Path) -> str:
    path.write_text("text,kind\nlost card,card\ncard,card\nmy my,my\nmy,my\n")
    return str(path)


def test_the_sets_are_those_of_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = rng.normal([[60], [110], [160]] * 12, 30, (36, 3)).clip(0, 255).astype(np.uint8)
    encoder = open_encoder(str(save_means(tmp_path / "pixels.onnx", ("M", 8, 8, 3))))
    things = [Image.new("RGB", (8, 8), tuple(colour.tolist())) for colour in colours]
    examples = Examples("photographs", things, ["dark", "grey", "light"] * 12, [str(number) for number in range(36)])
    model = fit(examples, encoder, head="class_means").model
    task = task_of_model(model, "m")
    asked = rng.integers(0, 256, (40, 1)).repeat(3, 1).astype(np.float32)
    answers = log_probabilities(model.head, asked)
    assert {"0.8", "0.9"} <= task.sets.keys() <= {"0.5", "0.8", "0.9", "0.95"}  # 36 examples cannot promise 0.99
    sizes = set()
    for coverage, least in task.sets.items():
        told = predict_vectors(model, asked, judge_of(model, Sure(float(coverage))))
        best = answers.argmax(1)
        sets = [{model.classes[k] for k in range(3) if row[k] >= least or k == top} for row, top in zip(answers, best, strict=True)]
        assert sets == [set(one.set or ()) for one in told]
        sizes |= {len(one) for one in sets}
    assert sizes >= {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("number", "missing", "word"), ("number",), ("word",)])
def test_a_model_of_numbers(kinds: tuple[str, ...], tmp_path: Path) -> None:
    from kshot.tasks.numbers.columns import fit_columns
    from kshot.tasks.numbers.number_encoder import NumberEncoder

    made: dict[str, Callable[[int], object]] = {
        "number": lambda n: 1e6 + n,
        "missing": lambda n: None if n % 3 == 0 else float(n % 5),
        "word": lambda n: ["red", "green", None][n % 3],
    }
    rows = [{kind: made[kind](n) for kind in kinds} for n in range(12)]
    encoder = NumberEncoder(fit_columns(rows, kinds))
    examples = Examples("numbers", rows, [str(n // 6) for n in range(12)], [str(n) for n in range(12)])
    model = fit(examples, encoder, head="class_means").model
    write_task(tmp_path / "out", task_of_model(model, "m"))
    assert len(run_program(tmp_path / "out")) == 4
    asked = [{"number": 1e6 + 7.25, "missing": None, "word": "blue"}, {"number": 0.0, "missing": 3.5, "word": ""}]
    np.savez(tmp_path / "mine.npz", **number_inputs(encoder.columns, asked))  # type: ignore[arg-type]
    expected = np.exp(log_probabilities(model.head, encoder.encode([encoder.read(row) for row in asked])))
    found = run_program(tmp_path / "out", str(tmp_path / "mine.npz"))
    assert [row["probability"] for row in found] == pytest.approx(expected.max(1), abs=1e-5)
    takes = json.loads((tmp_path / "out/task.json").read_text())["network"]["takes"]
    assert ("words" in takes, takes.get("places")) == ("word" in kinds, {"word": ["", "green", "red"]} if "word" in kinds else None)


def test_joined_encoders_are_refused(tmp_path: Path) -> None:
    save_means(tmp_path / "a.onnx", ("M", 8, 8, 3))
    save_means(tmp_path / "b.onnx", ("M", 3, 8, 8), FLOAT)
    joined = open_encoder(f"{tmp_path / 'a.onnx'}+{tmp_path / 'b.onnx'}")
    model = fit(find_examples(fill(tmp_path / "photos", ["fox", "owl"], items=3)), joined, head="class_means").model
    with pytest.raises(RecipeError, match=r"is not one network, and one network is exported. Fit a model with a single encoder"):
        task_of_model(model, "m")


def test_a_place_that_holds_something_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(SavedError, match="is a file; a task is exported as a folder"):
        check_place(file, overwrite=True)
    with pytest.raises(SavedError, match="holds other files, such as file"):
        check_place(tmp_path, overwrite=True)
    (tmp_path / "task.json").write_text("{}")
    with pytest.raises(SavedError, match=r"holds an exported task\. Replace it with --overwrite"):
        check_place(tmp_path, overwrite=False)
    check_place(tmp_path, overwrite=True)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kshot", *map(str, words)])
        code = exit_code_of(cli.app)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.mark.slow
def test_the_shipped_learner_with_a_support_set_and_without(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: dict[str, Any] = {}

    def once(*arguments: Any, name: str, extra: str) -> Any:  # it takes seconds, and the graph is the same each time
        if name not in graphs:
            graphs[name] = exported(*arguments, name=name, extra=extra)
        return graphs[name]

    monkeypatch.setattr(onnx_export, "exported", once)
    root = fill_drawings(tmp_path / "drawings")
    code, out, err = run("export", "omniglot-protonet", "--onnx", "-o", "task", "--support", root, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["classes"] == ["circle", "cross"]
    assert [row["label"] for row in run_program(Path("task"))] == ["circle", "cross"]
    sets = json.loads(Path("task/task.json").read_text())["calibration"]["sets"]
    told = Classifier("omniglot-protonet", root).predict([root / "circle" / "0.png"], coverage=0.9)[0]
    assert {name for name, p in told.probabilities.items() if np.log(p) >= sets["0.9"]} <= set(told.set or ())
    assert list(sets) == sorted(sets)
    code, out, err = run("export", "omniglot-protonet", "--onnx", "-o", "bare")
    assert (code, out) == (0, "")
    assert "The task is in bare: network.onnx, task.json, and predict.py" in err
    assert [row["label"] for row in run_program(Path("bare"))] == ["line", "bend", "line"]
    given = np.load("task/inputs.npz")["items"]
    np.savez("mine.npz", items=given, labels=["o", "x"])
    assert [row["label"] for row in run_program(Path("bare"), "task/inputs.npz", "mine.npz")] == ["o", "x"]
    model = fit(find_examples(str(root)), task_encoder("omniglot-protonet"), head="class_means").model
    write_task(tmp_path / "fitted", task_of_model(model, "m"))
    assert len(run_program(tmp_path / "fitted")) == 3


def task_encoder(name: str) -> Any:
    from kshot.tasks.encoder_by_name import open_by_name

    return open_by_name(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"), [("omniglot-maml", "gradient steps"), ("omniglot-mann", "as a sequence"), ("omniglot-lake", "together")]
)
def test_shipped_learners_that_cannot_be_exported(run: Run, name: str, words: str) -> None:
    code, out, err = run("export", name, "--onnx", "-o", "task")
    assert (code, out, Path("task").exists()) == (2, "", False)
    assert words in err
    assert "kshot serve" in err


@pytest.mark.slow
def test_what_the_command_refuses(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Add --onnx" in run("export", "omniglot-protonet", "-o", "task")[2]
    save_model(tmp_path / "model", fitted_photographs(tmp_path))
    code, _, err = run("export", "model", "--onnx", "-o", "task", "--support", "photos")
    assert (code, "which has its classes already" in err) == (2, True)
    assert run("export", "model", "--onnx", "-o", "task")[0] == 0
    Path("prices.csv").write_text("size,price\n" + "".join(f"{n},{2.5 * n}\n" for n in range(12)))
    assert run("fit", "prices.csv", "-o", "prices", "--regression", "--label", "price")[0] == 0
    assert "prices is a model of a quantity, and models of classes are exported" in run("export", "prices", "--onnx", "-o", "x")[2]
    before = Path("task/task.json").read_bytes()
    assert "Replace it with --overwrite" in run("export", "model", "--onnx", "-o", "task")[2]
    monkeypatch.setattr(exported_folder, "example_of", lambda rule: example_of(rule).replace("/ TASK[", "* 3 / TASK["))
    code, _, err = run("export", "model", "--onnx", "-o", "task", "--overwrite")
    assert (code, "differ from kshot's by" in err, Path("task/task.json").read_bytes() == before) == (2, True, True)


def test_a_learner_that_is_not_there(run: Run) -> None:
    code, _, err = run("export", "omniglot-protonets", "--onnx", "-o", "task")
    assert (code, "there is no saved learner 'omniglot-protonets'" in err) == (2, True)
