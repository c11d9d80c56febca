"""Columns of a table: by hand, equal to scikit-learn's, kept as JSON, and refused in words."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kshot.errors import DataError, SavedError
from kshot.tasks.numbers.columns import NumberColumn, columns_from_dict, fit_columns
from kshot.tasks.numbers.label_kind import find_label_kind
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.numbers.values import plain_value

SOURCE = Path(__file__).resolve().parents[3] / "src"
ROWS = [
    {"age": "1", "colour": "red", "same": "7"},
    {"age": "3", "colour": "blue", "same": "7"},
    {"age": "", "colour": "red", "same": "7"},
    {"age": "5", "colour": "", "same": "7"},
]


def test_columns_by_hand() -> None:
    # age: median 3, so 1, 3, 3, 5 with mean 3 and deviation √2; then the mark. colour: "", blue, red.
    columns = fit_columns(ROWS, ["age", "colour", "same"])
    expected = [[-(2**0.5), 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 1, 0, 0, 1], [2**0.5, 0, 1, 0, 0]]
    np.testing.assert_allclose(np.stack([columns.vector(row) for row in ROWS]), expected, rtol=1e-6)
    assert columns.features == 5
    assert columns.findings == (
        "Column 'age' lacks 1 of 4 numbers; they count as its median, and are marked.",
        "Column 'colour' is a category of 2 words; a missing one, as in 1 of 4 rows, counts as a word of its own.",
        "Column 'same' has the value 7.0 everywhere and was left out.",
    )


def test_a_far_value_counts_as_the_farthest_seen_and_an_unseen_category_as_none() -> None:
    columns = fit_columns(ROWS, ["age", "colour"])
    np.testing.assert_allclose(columns.vector({"age": 1e9, "colour": "green", "more": 1}), [2**0.5, 0, 0, 0, 0], rtol=1e-6)


def test_columns_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(3, 5, (30, 2))
    numbers[rng.random((30, 2)) < 0.2] = np.nan
    words = rng.choice(["a", "b", "c"], 30)
    rows = [{"p": p, "q": q, "w": w} for (p, q), w in zip(numbers, words, strict=True)]
    encoder = NumberEncoder(fit_columns(rows, ["p", "q", "w"]))
    theirs = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
            ("words", OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    expected = theirs.fit_transform(np.concatenate([numbers.astype(object), words[:, None]], axis=1)).astype(np.float32)
    found = encoder.encode([encoder.read(row) for row in rows])
    np.testing.assert_allclose(found[:, [0, 2, 4, 5, 6]], expected, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, [1, 3]], np.isnan(numbers))


def test_a_record_gives_the_columns_back() -> None:
    columns = fit_columns(ROWS, ["colour", "age"])
    again = columns_from_dict(json.loads(json.dumps(columns.as_dict(), allow_nan=False)))
    assert again == columns
    assert NumberEncoder(again).fingerprint == NumberEncoder(columns).fingerprint
    assert NumberEncoder(fit_columns(ROWS, ["age"])).fingerprint != NumberEncoder(columns).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": 3}, "columns.numbers must be a list"),
        ({"numbers": [{"name": "age"}]}, "place is missing"),
        ({"categories": [{"name": "c", "words": ["a"], "place": 0}]}, "two of them have one place"),
        ({"scale": 0.0}, "a scale is not above 0"),
    ],
)
def test_a_broken_record_is_refused(change: dict[str, object], message: str) -> None:
    record = fit_columns(ROWS, ["age", "colour"]).as_dict()
    if "scale" in change:
        record["numbers"][0].update(change)
    else:
        record.update(change)
    with pytest.raises(SavedError, match=message):
        columns_from_dict(record)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.5", 1.5),
        (" 2e3 ", 2000.0),
        (np.int64(3), 3.0),
        (True, 1.0),
        ("No", 0.0),
        ("", None),
        ("N/A", None),
        ("nan", None),
        (float("nan"), None),
        (None, None),
        ("red", "red"),
    ],
)
def test_values(value: object, expected: object) -> None:
    assert plain_value(value, "c") == expected


def test_a_whole_number_of_hundreds_of_digits_is_not_finite() -> None:
    for number in (10**400, -(10**400)):
        with pytest.raises(DataError, match="column 'c': expected a finite number"):
            plain_value(number, "c")


@pytest.mark.parametrize(
    "value", ["2024-05-01", "2024-05-01T10:00:00", "1.5.2024", "10:30", datetime.date(2024, 5, 1), np.datetime64("2024-05-01")]
)
def test_dates_are_refused_in_words(value: object) -> None:
    with pytest.raises(DataError, match="row 1, column 'day': dates and times are not understood"):
        fit_columns([{"day": value}, {"day": "1"}], ["day"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"c": "inf"}, {"c": "1"}], "row 1, column 'c': expected a finite number"),
        (
            [{"c": str(n)} for n in range(9)] + [{"c": "oops"}],
            r"row 10, column 'c': expected a number, as in most rows; found 'oops' \(1 such",
        ),
        ([{"c": f"name {n}"} for n in range(30)], "column 'c' has 30 different texts in 30 rows"),
        ([{"c": "1"}, {"c": "1"}], "no column of the table tells rows apart: Column 'c' has the value 1.0 everywhere"),
        ([{"c": ""}, {"c": None}], "Column 'c' is empty and was left out"),
        ([{"c": [1, 2]}, {"c": 1}], r"expected a number or a text; found \[1, 2\]"),
    ],
)
def test_columns_that_cannot_be_used(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_columns(rows, ["c"])


def test_rows_that_cannot_be_read() -> None:
    encoder = NumberEncoder(fit_columns(ROWS, ["age", "colour"]))
    with pytest.raises(DataError, match="column 'colour' is missing; found 'age'"):
        encoder.read({"age": 1})
    with pytest.raises(DataError, match="column 'age': expected a number; found 'old'"):
        encoder.read({"age": "old", "colour": "red"})
    with pytest.raises(DataError, match="column 'age': expected a finite number"):
        encoder.read({"age": float("inf"), "colour": "red"})
    with pytest.raises(DataError, match="expected a row"):
        encoder.read("a text")
    assert encoder.encode([]).shape == (0, 5)


@pytest.mark.parametrize("numbers", [[1.0, 2.0], [1e12, 1e12 + 64, 1e12 - 1], [1e-300, 2e-300, 5e-300], [3.0, np.nan, -7.5, np.nan, 1e30]])
def test_a_column_is_fitted_as_scikit_learn_fits_it(numbers: list[float]) -> None:
    """Large, tiny and missing numbers; what may be rounding alone is not made large."""
    table = np.array(numbers)[:, None]
    theirs = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(table)
    (column,) = fit_columns([{"c": number} for number in numbers], ["c"]).columns
    assert isinstance(column, NumberColumn)
    assert column.fill == theirs[0].statistics_[0]
    assert (column.mean, column.scale) == pytest.approx((theirs[1].mean_[0], theirs[1].scale_[0]), rel=1e-9, abs=0)


# Labels.


@pytest.mark.parametrize(
    ("labels", "kind", "finding"),
    [
        (["fox", "owl", "fox"], "classes", ""),
        (
            ["0", "1", "0", "1"],
            "classes",
            "'y' holds 2 different whole numbers, taken as classes; --regression makes them a quantity.",
        ),
        (
            [3, 4, 3, 4, 5, 5],
            "classes",
            "'y' holds 3 different whole numbers, taken as classes; --regression makes them a quantity.",
        ),
        (["2024-01-01", "2024-01-02"], "classes", ""),
        (["1", "owl"], "classes", ""),
    ],
)
def test_what_labels_are(labels: list[object], kind: str, finding: str) -> None:
    assert find_label_kind(labels, "y") == (kind, finding)


@pytest.mark.parametrize("labels", [[0.5, 1.5, 2.5, 0.5, 1.5, 2.5], list(range(50)), list(range(30)) * 4])
def test_many_numbers_are_asked_about(labels: list[float]) -> None:
    with pytest.raises(DataError, match=r"'y' holds \d+ different numbers in \d+ rows. .* add --classes. .* add --regression"):
        find_label_kind(labels, "y")
    assert find_label_kind(labels, "y", "classes").kind == "classes"
    assert find_label_kind(labels, "y", "regression").kind == "regression"


def test_regression_needs_numbers() -> None:
    with pytest.raises(DataError, match="row 2, column 'y': regression needs a number; found 'high'"):
        find_label_kind(["1", "high"], "y", "regression")
    with pytest.raises(DataError, match="row 7, column 'y': expected a finite number that float32 holds; found inf"):
        find_label_kind(["1", "inf"], "y", "regression", ["5", "7"])


# Applying needs numpy alone.


def test_rows_are_read_with_numpy_alone() -> None:
    columns = fit_columns(ROWS, ["age", "colour"])
    code = """
import json, sys
from kshot.tasks.numbers.columns import columns_from_dict
from kshot.tasks.numbers.number_encoder import NumberEncoder
encoder = NumberEncoder(columns_from_dict(json.loads(sys.argv[1])))
vector = encoder.read({"age": "3", "colour": "blue"}).tolist()
print(json.dumps([vector, sorted({"torch", "sklearn", "pandas", "scipy"} & set(sys.modules))]))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code, json.dumps(columns.as_dict())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0.0, 0.0, 0.0, 1.0, 0.0], []]
