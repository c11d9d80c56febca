"""Regression of tables of numbers: hand-worked cases, slow refits, scikit-learn, the folder, and what is refused."""

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kshot.errors
from kshot.errors import DataError, RecipeError, SavedError
from kshot.tasks.examples import Asked, Examples, find_examples
from kshot.tasks.model_folder import load_model
from kshot.tasks.queries import Query
from kshot.tasks.regression.answers import value_each
from kshot.tasks.regression.choose import REGRESSORS, choose_regressor
from kshot.tasks.regression.estimate import error_estimate_from_dict, estimate_errors, means_left_out, student
from kshot.tasks.regression.fit import FittedQuantity, fit_quantity, score_quantity
from kshot.tasks.regression.model import is_quantity_model, load_quantity_model, save_quantity_model
from kshot.tasks.regression.nearest import Nearest
from kshot.tasks.regression.regressor import neighbour_means, values
from kshot.tasks.regression.ridge import STRENGTHS, Ridge
from kshot.workflows.quantity_report import MOST_POINTS, rows_of_quantity, write_quantity_report

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]


def drawn(n: int, D: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)).astype(np.float32)
    return x, 5 + x @ rng.normal(size=D) + 0.5 * rng.normal(size=n)


def table(file: Path, header: str, *rows: str) -> Path:
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def rows_of(x: np.ndarray, y: np.ndarray) -> Examples:
    things = [{f"c{place}": float(value) for place, value in enumerate(row)} for row in x]
    names = [str(number) for number in range(1, len(y) + 1)]
    return Examples("numbers", things, [str(float(value)) for value in y], names, {"things": list(things[0]), "label": "y"})


@pytest.fixture(scope="module")
def fitted() -> FittedQuantity:
    pytest.importorskip("sklearn")
    return fit_quantity(rows_of(*drawn(40, 3)))


# Ridge.


def test_ridge_by_hand() -> None:
    """x = -1, 0, 1 and y = 1, 2, 6: the slope is Σxy / (Σx² + λ) = 5 / (2 + λ), with λ = 3 · strength, and the intercept 3."""
    x, y = np.array([[-1], [0], [1]], np.float32), np.array([1.0, 2.0, 6.0])
    one = Ridge().fit(x, y, {"strength": 1.0})
    assert values(one, np.array([[0], [1]], np.float32)) == pytest.approx([3, 4])
    # Without the last row: mean x -1/2, mean y 3/2, slope (1/4 + 1/4) / (1/2 + 3) = 1/7; at x = 1: 3/2 + 3/2 · 1/7.
    left_out = Ridge().left_out(x, y)
    assert left_out.values[2, STRENGTHS.index(1.0)] == pytest.approx(1.5 + 1.5 / 7)


@pytest.mark.parametrize(("n", "D"), [(3, 1), (12, 3), (8, 8), (9, 8), (6, 20)])
def test_left_out_ridge_is_a_refit(n: int, D: int) -> None:
    """By the normal equations of the other rows, with the same λ; a column that is twice another, and a row twice, too."""
    x, y = drawn(n, D)
    x[:, -1] = x[:, 0]
    x[1] = x[0]
    found = Ridge().left_out(x, y)
    wide = x.astype(np.float64)
    for place, settings in enumerate(found.settings):
        for row in range(n):
            others = np.arange(n) != row
            mean, centre = wide[others].mean(0), y[others].mean()
            inside = wide[others] - mean
            gram = inside.T @ inside + settings["strength"] * n * np.eye(D)
            weights = np.linalg.solve(gram, inside.T @ (y[others] - centre))
            assert found.values[row, place] == pytest.approx(centre + (wide[row] - mean) @ weights, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("n", "D"), [(12, 3), (6, 20)])
def test_ridge_solves_the_normal_equations(n: int, D: int) -> None:
    x, y = drawn(n, D)
    one = Ridge().fit(x, y, {"strength": 0.1})
    weights, residual = one.arrays["weights"], y - values(one, x)
    assert residual.sum() == pytest.approx(0, abs=1e-9)
    assert x.astype(np.float64).T @ residual == pytest.approx(0.1 * n * weights, abs=1e-8)


# Nearest neighbours.


def test_neighbours_by_hand() -> None:
    """At 0, 1, 3, 6 with targets 1, 2, 4, 8."""
    x, y = np.array([[0], [1], [3], [6]], np.float32), np.array([1.0, 2.0, 4.0, 8.0])
    assert neighbour_means(np.array([[2.5]], np.float32), x, y, [1, 2, 4]).tolist() == [[4, 3, 3.75]]
    left_out = Nearest().left_out(x, y)
    assert [one["k"] for one in left_out.settings] == [1, 2, 3]
    assert left_out.values[:, 0].tolist() == [2, 1, 2, 4]
    assert left_out.values[:, 2] == pytest.approx([14 / 3, 13 / 3, 11 / 3, 7 / 3])


def test_of_equal_distances_the_earlier_example_counts() -> None:
    x, y = np.array([[1], [1], [-1], [1]], np.float32), np.array([1.0, 2.0, 4.0, 8.0])
    found = neighbour_means(np.array([[0], [1]], np.float32), x, y, [1, 2, 3])
    assert found == pytest.approx(np.array([[1, 1.5, 7 / 3], [1, 1.5, 11 / 3]]))


def test_neighbours_are_those_of_a_slow_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.tasks.regression.regressor._BLOCK", 70)  # several blocks
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, (23, 2)).astype(np.float32), rng.normal(size=23)  # many ties
    found = Nearest().left_out(x, y)
    for row, (place, settings) in itertools.product(range(23), enumerate(found.settings)):
        near = sorted((one for one in range(23) if one != row), key=lambda one: (float(((x[one] - x[row]) ** 2).sum()), one))
        assert found.values[row, place] == pytest.approx(y[near[: int(settings["k"])]].mean())


# The choice, and the estimate.


def test_the_smaller_error_wins() -> None:
    x, y = drawn(60, 3)
    choice = choose_regressor(x, y)
    assert choice.name == "ridge"
    assert choice.standings[0].behind.mean == 0
    assert choice.standings[1].behind.differs
    assert str(choice).startswith("ridge (strength ")
    assert "a real difference" in str(choice)
    step = np.where(np.abs(x[:, 0]) > 0.7, 10.0, 0.0)
    assert choose_regressor(x[:, :1], step).name == "nearest"
    squares = np.square(y - choice.left_out)
    assert choice.standings[0].rmse == pytest.approx(math.sqrt(squares.mean()))


def test_a_difference_by_chance_is_not_real() -> None:
    x, _ = drawn(30, 2)
    noise = np.random.default_rng(1).normal(size=30)
    choice = choose_regressor(x, noise)
    assert "no real difference" in str(choice)
    assert choice.optimism > 0


def test_many_rows_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.tasks.regression.choose.MOST", 10)
    monkeypatch.setattr("kshot.tasks.regression.ridge._AT_ONCE", 7)  # several blocks
    x, y = drawn(31, 2)
    found = choose_regressor(x, y, [REGRESSORS["ridge"]])
    assert (len(found.sample), len(set(found.sample.tolist())), found.total, len(found.left_out)) == (10, 10, 31, 10)
    assert str(found).endswith("It was chosen on 10 of 31 rows, and learned from all of them.")
    strength = STRENGTHS.index(found.fitted.settings["strength"])
    monkeypatch.undo()
    np.testing.assert_allclose(found.left_out, Ridge().left_out(x, y).values[found.sample, strength])  # of all others, not of nine
    whole = Ridge().fit(x, y, found.fitted.settings)
    np.testing.assert_allclose(found.fitted.arrays["weights"], whole.arrays["weights"])
    monkeypatch.setattr("kshot.tasks.regression.choose.MOST", 10)
    near = choose_regressor(x, y, [REGRESSORS["nearest"]])
    assert str(near).endswith("chosen on 10 of 31 rows, and holds these alone.")
    np.testing.assert_array_equal(near.fitted.arrays["examples"], x[near.sample])
    assert {one.name for one in choose_regressor(x, y).standings} == {"ridge", "nearest"}


def test_the_estimate_by_hand() -> None:
    """Errors 1, 1, 4: MAE 2, RMSE √6; of the mean, errors 3, 0, 3: R² = 1 - 6 / 6."""
    y, answers = np.array([1.0, 4.0, 7.0]), np.array([2.0, 3.0, 3.0])
    found = estimate_errors("labelled data", y, answers, np.full(3, 4.0))
    assert (found.mae, found.rmse, found.mae_of_mean) == (2, pytest.approx(math.sqrt(6)), 2)
    assert found.r2 == pytest.approx(0)
    half = 4.303 * math.sqrt(3) / math.sqrt(3)  # Student's t of 2 degrees; the deviation of 1, 1, 4 is √3
    assert found.mae_interval == (0, pytest.approx(2 + half, abs=1e-2))
    assert found.rmse_interval[1] == pytest.approx(math.sqrt(6 + 4.303 * math.sqrt(75) / math.sqrt(3)), abs=1e-2)
    assert error_estimate_from_dict(json.loads(json.dumps(found.as_dict()))) == found  # type: ignore[arg-type]
    assert means_left_out(y).tolist() == [5.5, 4, 2.5]


def test_no_scale_no_r2() -> None:
    found = estimate_errors("labelled data", np.ones(1), np.zeros(1), np.ones(1))
    assert math.isnan(found.r2)
    assert "R²" not in str(found)
    assert found.rmse_interval == (0, math.inf)


@pytest.mark.parametrize(("degrees", "point"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (30, 2.0423), (1000, 1.9623)])
def test_student_as_in_tables(degrees: int, point: float) -> None:
    assert student(degrees) == pytest.approx(point, abs=2e-4)


def test_the_interval_covers() -> None:
    """Of 400 samples of 12 errors |N(0, 1)|, whose mean is √(2/π), about 95 % of the intervals hold the mean; 5 σ is 5.5 %."""
    rng = np.random.default_rng(0)
    inside = 0
    for errors in rng.normal(size=(400, 12)):
        low, high = estimate_errors("labelled data", errors, np.zeros(12), np.zeros(12)).mae_interval
        inside += low <= math.sqrt(2 / math.pi) <= high
    assert 0.895 <= inside / 400 <= 1


# Against scikit-learn, on its diabetes data.


def test_as_scikit_learn_on_diabetes() -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor

    x, y = load_diabetes(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    choice = choose_regressor(x, y)
    theirs = RidgeCV(alphas=[len(x) * strength for strength in STRENGTHS], store_cv_results=True).fit(x.astype(np.float64), y)
    ours = next(one for one in choice.standings if one.name == "ridge")
    assert theirs.alpha_ == pytest.approx(len(x) * ours.settings["strength"])
    assert ours.rmse == pytest.approx(math.sqrt(-theirs.best_score_), rel=1e-6)
    fit = Ridge().fit(x, y, ours.settings)
    assert values(fit, x) == pytest.approx(theirs.predict(x.astype(np.float64)), rel=1e-6)
    near = next(one for one in choice.standings if one.name == "nearest")
    k = int(near.settings["k"])
    assert values(Nearest().fit(x, y, near.settings), x[:50] + 0.01) == pytest.approx(
        KNeighborsRegressor(k).fit(x, y).predict(x[:50] + 0.01), rel=1e-9
    )


# From a table to a model, and its folder.


def test_a_model_and_its_folder(fitted: FittedQuantity, tmp_path: Path) -> None:
    model = fitted.model
    save_quantity_model(tmp_path / "m", model)
    again = load_quantity_model(tmp_path / "m")
    rows = [{f"c{place}": value for place in range(3)} for value in (0.1, -2.0)]
    queries = [Query(1, thing=rows[0]), Query(2, thing={"c0": "word", "c1": 1, "c2": 1}), Query(3, "gone"), Query(4, thing=rows[1])]
    answers = [one.as_dict() for one in value_each(again, queries)]
    assert [one["input"] for one in answers] == [1, 2, 3, 4]
    assert answers[0].keys() == {"input", "value"}
    assert answers[1] == {
        "input": 2, "value": None, "error": "column 'c0': expected a number; found 'word'. Repair it, or leave it empty.",
    }  # fmt: skip
    assert answers[2]["error"] == "gone"
    assert answers == [one.as_dict() for one in value_each(model, queries)]
    assert is_quantity_model(tmp_path / "m")
    assert (again.target, again.findings) == ("y", model.findings)
    assert "regressor='ridge'" in repr(again)


def test_a_nearest_model_keeps_its_rows(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    x, y = drawn(12, 2)
    save_quantity_model(tmp_path / "m", fit_quantity(rows_of(x, y), regressor="nearest").model)
    scored = score_quantity(load_quantity_model(tmp_path / "m"), rows_of(x, y))
    assert scored.notes == ("12 of the 12 rows are examples of the model, which flatters the score.",)
    record = json.loads((tmp_path / "m" / "model.json").read_text())
    record["regressor"]["settings"]["k"] = 13
    (tmp_path / "m" / "model.json").write_text(json.dumps(record))
    with pytest.raises(SavedError, match="damaged: k is a whole number from 1 to 12; found 13"):
        load_quantity_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3, "kshot": "9.0"}, "pip install 'kshot>=9.0'"),
        ({"target": 3}, "is damaged: target must be text"),
        ({"examples": ["1"]}, r"vectors must be float32 \(1, 3\); found float32 \(40, 3\)"),
        ({"kind": "other"}, "is a model of classes, not of a quantity"),
    ],
)
def test_a_damaged_model_is_told(fitted: FittedQuantity, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_quantity_model(tmp_path / "m", fitted.model)
    file = tmp_path / "m" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SavedError, match=message):
        load_quantity_model(tmp_path / "m")


def test_a_quantity_has_no_classes(fitted: FittedQuantity, tmp_path: Path) -> None:
    save_quantity_model(tmp_path / "m", fitted.model)
    with pytest.raises(SavedError, match="a model of a quantity, which has no classes to add, remove or rename"):
        load_model(tmp_path / "m")


@pytest.mark.slow
def test_answering_imports_little(fitted: FittedQuantity, tmp_path: Path) -> None:
    save_quantity_model(tmp_path / "m", fitted.model)
    code = (
        "import sys; from kshot.tasks.regression.model import load_quantity_model; from kshot.tasks.regression.answers import value_each; "
        "from kshot.tasks.queries import Query; m = load_quantity_model(sys.argv[1]); "
        "assert len(list(value_each(m, [Query(1, thing={'c0': 1, 'c1': 2, 'c2': 3})]))) == 1; "
        "print(sorted({'torch', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code, str(tmp_path / "m")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_report(fitted: FittedQuantity, tmp_path: Path) -> None:
    y = fitted.model.targets
    rows = [*rows_of_quantity(fitted.model), ("<name>", "&")]
    write_quantity_report(tmp_path / "r.html", fitted.model, fitted.examples, y, fitted.left_out, score=None, rows=rows)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    worst = str(int(np.abs(y - fitted.left_out).argmax()) + 1)
    assert page.count("<circle") == 40
    assert page.index(f'<th scope="row">{worst}</th>') == page.index('<th scope="row">')
    assert "&lt;name&gt;" in page
    assert "http" not in page
    many = np.linspace(0, 1, MOST_POINTS + 5)
    examples = rows_of(many[:, None], many)
    write_quantity_report(tmp_path / "r.html", fitted.model, examples, many, many, score=None, rows=rows)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("<circle") == MOST_POINTS


# What is found in a table, and what is refused.


def test_rows_without_a_value_are_left_out(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", "a,y", "1,0.5", "2,", "3,NaN", "4,1.5", "5,2e0")
    found = find_examples(file, Asked(regression=True))
    assert (found.labels, found.names) == (["0.5", "1.5", "2e0"], ["1", "4", "5"])
    assert found.notes[0] == "2 rows are left out, with no label: rows 2, 3."


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,0.5", "2,", "3,high", "4,2"], "row 3, column 'y': regression needs a number; found 'high'"),
        (["1,0.5", "2,inf", "3,1", "4,2"], "row 2, column 'y': expected a finite number that float32 holds; found inf"),
        (["1,0.5", "2,1e99", "3,1"], "row 2, column 'y': expected a finite number"),
        (["1,2024-01-01", "2,1"], "row 1, column 'y': dates and times are not understood"),
        (["1,3", "2,3", "3,3.0"], "'y' is 3 in all 3 rows, so there is nothing to learn"),
        (["1,3", "2,4"], "regression needs 3 rows or more, so that it can be tested; found 2 rows with a number in 'y'"),
        (["1,3"], "found 1 row with a number"),
        (["7,3", "7,4", "7,5"], "no column of the table tells rows apart"),
    ],
)
def test_bad_targets(tmp_path: Path, rows: Sequence[str], message: str) -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match=message):
        fit_quantity(find_examples(table(tmp_path / "t.csv", "a,y", *rows), Asked(regression=True)))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(regression=True, classes=True), "--classes takes numbers as names of classes, and --regression as a quantity"),
        (Asked(regression=True, text="a"), "--text names things of another kind"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path: Path, asked: Asked, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        find_examples(table(tmp_path / "t.csv", "a,y", "1,2"), asked)


def test_a_folder_holds_no_quantity(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"is a folder\. Leave --regression out"):
        find_examples(tmp_path, Asked(regression=True))


def test_an_unknown_regressor(fitted: FittedQuantity) -> None:
    with pytest.raises(RecipeError, match=r"there is no regressor 'ridg'\. Did you mean 'ridge'"):
        fit_quantity(fitted.examples, regressor="ridg")
