"""The head `in_context`: equal to the learner whose network it is, left out as if refitted, within its bounds, and without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import kshot
from kshot.errors import RecipeError, SavedError
from kshot.learners.learner import Learner
from kshot.tasks.examples import Examples
from kshot.tasks.export.rule import rule_of_head
from kshot.tasks.fit import fit
from kshot.tasks.heads import in_context_network
from kshot.tasks.heads.answer import log_probabilities, log_softmax, logits
from kshot.tasks.heads.choose import DEFAULT_HEADS, choose, heads_of_rows
from kshot.tasks.heads.feature_map import AS_THEY_ARE
from kshot.tasks.heads.folds import stratified_folds
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.heads.in_context import InContext
from kshot.tasks.heads.in_context_network import ask, forms, network, read
from kshot.tasks.heads.weighted import weighted_head
from kshot.tasks.model_folder import load_model, save_model
from kshot.tasks.numbers.columns import fit_columns
from kshot.tasks.numbers.number_encoder import NumberEncoder

SOURCE = Path(__file__).resolve().parents[3] / "src"


@pytest.fixture(scope="module")
def learner() -> Learner:
    found = kshot.load("tables-in-context")
    assert isinstance(found, Learner)
    return found.eval()


def table(counts: list[int], D: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap, in a random order of rows."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return (rng.normal(size=(len(counts), D))[y] + rng.normal(size=(len(y), D))).astype(np.float32), y


def asked(learner: Learner, x: np.ndarray, y: np.ndarray, queries: np.ndarray, way: int) -> np.ndarray:
    with torch.no_grad():
        support, query = (learner.encode(torch.from_numpy(one))[None] for one in (x, queries))  # type: ignore[index]
        return learner.predict(learner.adapt(support, torch.from_numpy(y)[None], way=way), query)[0].numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("counts", "D"), [([1, 1], 1), ([3, 2, 5], 4), ([2] * 10, 32), ([60, 40], 13)])
def test_it_answers_as_the_learner(learner: Learner, counts: list[int], D: int) -> None:
    x, y = table(counts, D)
    x[:, D - 1] = 0.1 if D > 1 else x[:, 0]  # a column that does not vary
    queries = 4 * table([20], D, seed=1)[0]
    arrays = read(network(), x, y, len(counts))
    assert {name: (str(one.dtype), one.shape) for name, one in arrays.items() if name != "centre"} == forms(len(y), D, len(counts))
    found, expected = ask(queries - arrays["centre"], arrays), asked(learner, x, y, queries, len(counts))
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_examples_in_blocks_are_answered_by_the_learner_without_their_block(learner: Learner) -> None:
    x, y = table([4, 4, 4], 5)
    given = Given(x, y, 3)
    settled = InContext().settle(given)
    T, found = settled.fit().temperature, settled.left_out
    (group,) = given.blocks().groups
    assert (found.how, group.shape) == ("leaving out one example of every class at a time", (4, 3))
    for block in group:
        rest = np.setdiff1d(np.arange(12), block)
        expected = log_softmax(asked(learner, x[rest], y[rest], x[block], 3) / T)
        np.testing.assert_allclose(found.log_probabilities[block], expected, atol=1e-3)


def test_more_than_ten_blocks_become_folds() -> None:
    x, y = table([30, 1, 4], 3)
    settled = InContext().settle(Given(x, y, 3))
    found, T = settled.left_out, settled.fit().temperature
    assert (found.how, settled.again) == ("10 stratified folds", None)
    np.testing.assert_array_equal(found.scored, y != 1)
    fold = stratified_folds(y, 10, 0)
    for number in (0, 9):
        arrays = read(network(), x[fold != number], y[fold != number], 3)
        rows = np.flatnonzero(fold == number)
        expected = log_softmax(ask(x[rows] - arrays["centre"], arrays) / T)
        np.testing.assert_allclose(found.log_probabilities[rows], expected, atol=1e-5)


def test_with_one_example_per_class_its_own_probabilities_stand(learner: Learner) -> None:
    x, y = table([1, 1, 1], 4)
    fitted = InContext().fit(x, y, 3)
    assert fitted.temperature == 1
    np.testing.assert_allclose(log_probabilities(fitted, x), log_softmax(asked(learner, x, y, x, 3)), atol=1e-4)


def test_queries_are_answered_in_chunks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = table([5, 5], 6)
    fitted = InContext().fit(x, y, 2)
    at_once = logits(fitted, x)
    monkeypatch.setattr("kshot.tasks.heads.answer._CHUNK", 3 * in_context_network.numbers_per_query(fitted.arrays))
    np.testing.assert_allclose(logits(fitted, x), at_once, atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "D", "found"), [([2] * 11, 3, "11, 3 and 22"), ([2, 2], 33, "2, 33 and 4"), ([129, 128], 1, "2, 1 and 257")]
)
def test_a_table_that_is_too_large_is_refused(counts: list[int], D: int, found: str) -> None:
    x, y = table(counts, D)
    assert heads_of_rows(*x.shape, len(counts)) == DEFAULT_HEADS
    with pytest.raises(RecipeError, match=f"at most 10 classes, 32 features and 256 examples, .* found {found}. Choose another"):
        choose(x, y, len(counts), [InContext()])


def test_descriptions_are_refused() -> None:
    x, y = table([2, 2], 3)
    with pytest.raises(RecipeError, match="no descriptions of classes"):
        InContext().settle(Given(x, y, 2, anchors=2))


def test_a_missing_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_context_network, "_FOLDER", tmp_path)
    network.cache_clear()
    with pytest.raises(SavedError, match=r"the network of the head in_context cannot be read: .* Install kshot again"):
        network()
    monkeypatch.undo()
    network.cache_clear()


def test_weights_of_classes_multiply_its_probabilities() -> None:
    x, y = table([4, 4, 4], 5)
    fitted, weights = InContext().fit(x, y, 3), np.log([0.2, 1.0, 3.0])
    expected = log_softmax(log_probabilities(fitted, x) + weights)
    np.testing.assert_allclose(log_probabilities(weighted_head(fitted, weights), x), expected, atol=1e-5)


def test_it_is_not_exported() -> None:
    fitted = FittedHead("in_context", AS_THEY_ARE, {}, 1.0, {})
    with pytest.raises(RecipeError, match=r"cannot be exported\. Fit the model again with another head"):
        rule_of_head(fitted)


def rows_of(counts: list[int]) -> tuple[Examples, NumberEncoder]:
    x, y = table(counts, 3)
    rows = [dict(zip("abc", row, strict=True)) for row in x.tolist()]
    examples = Examples("numbers", rows, [f"class {label}" for label in y], [f"{number + 1}" for number in range(len(y))])
    return examples, NumberEncoder(fit_columns(rows, list("abc")))


def test_rows_of_numbers_are_fitted_with_it_and_saved(tmp_path: Path) -> None:
    examples, encoder = rows_of([4, 4])
    tried = fit(examples, encoder).model.findings["choice"]["standings"]
    assert {one["name"] for one in tried} == {head.name for head in heads_of_rows(8, 3, 2)}
    model = fit(examples, encoder, head="in_context").model
    save_model(tmp_path / "m", model)
    found = load_model(tmp_path / "m")
    assert (found.head.form, found.head_name) == ("in_context", "in_context")
    np.testing.assert_array_equal(logits(found.head, model.vectors), logits(model.head, model.vectors))


@pytest.mark.slow
def test_fitting_needs_neither_pytorch_nor_onnx_runtime() -> None:
    code = """
import json, sys, numpy as np
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.in_context import InContext
choice = choose(np.arange(8.0)[:, None], np.arange(8) // 4, 2, [InContext()])
print(json.dumps([choice.name, sorted({"torch", "onnxruntime", "scipy", "sklearn"} & set(sys.modules))]))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["in_context", []]
