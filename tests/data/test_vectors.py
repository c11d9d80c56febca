"""Files of vectors: what they hold, how they are divided, and which are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kshot
from kshot.data.as_is import AsIs
from kshot.data.table import divide, find_kind, source_of
from kshot.data.tables.table_file import open_table
from kshot.data.vectors import VECTORS, Embedded, Vectors
from kshot.errors import DataError
from kshot.workflows.experiment import prepare, run
from kshot.workflows.recipe import parse_recipe

ROWS = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
KINDS = np.array([f"{'fruit' if number % 2 else 'veg'}/{number % 12:02}" for number in range(60)])


def written(folder: Path, **arrays: Any) -> Path:
    file = folder / "things.npz"
    np.savez(file, **{"x": ROWS, "label": KINDS, **arrays})
    return file


def test_items_are_the_rows_and_groups_are_the_parents_of_the_classes(tmp_path: Path) -> None:
    vectors = Vectors(written(tmp_path, encoder=np.array("colours")))
    assert vectors.index.names == tuple(sorted(set(KINDS)))
    assert np.array_equal(vectors.gather(np.array([3, 1])).numpy(), ROWS[[3, 1]])
    assert vectors.index.groups == ("fruit",) * 6 + ("veg",) * 6
    assert vectors.preprocess == Embedded("colours")
    assert find_kind(str(tmp_path / "things.npz")) == "vectors"
    assert VECTORS.find_again(vectors) == {"name": str(tmp_path / "things.npz")}


def test_labels_may_be_numbers_and_the_encoder_unknown(tmp_path: Path) -> None:
    vectors = Vectors(written(tmp_path, label=np.arange(60) % 3))
    assert vectors.index.names == ("0", "1", "2")
    assert vectors.preprocess == Embedded("")


def test_the_same_file_is_a_table(tmp_path: Path) -> None:
    table = open_table(str(written(tmp_path, encoder=np.array("colours"))))
    first = next(table.rows())
    assert first["label"] == KINDS[0]
    assert first["x 1"] == pytest.approx(float(ROWS[0, 0]))


def test_a_learner_is_trained_on_it_and_reads_another_file(tmp_path: Path) -> None:
    parts = {
        "data": {"name": str(written(tmp_path, encoder=np.array("colours"))), "split": "fractions", "fractions": [0.34, 0.33, 0.33]},
        "learner": {"name": "ridge"},
        "backbone": {"name": "adapter"},
        "episodes": {"way": 2, "query": 2},
        "validation": {"way": 2, "query": 2, "episodes": 4},
        "training": {"updates": 2},
    }
    saved = run(prepare(parse_recipe(parts, "made"), tmp_path / "run", device="cpu"))
    assert saved is not None
    assert kshot.open_saved(tmp_path / "run").preprocess == Embedded("colours")
    other = tmp_path / "other"
    other.mkdir()
    again = source_of(str(written(other)), preprocess=Embedded("colours"), settings={}).open()
    assert again.preprocess == Embedded("colours")
    assert divide(again, parse_recipe(parts, "made").data.split, fractions=(0.34, 0.33, 0.33), seed=0).part("test").names


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(60)}, r"'x' must be numbers \(n, …\).*found float64 \(60,\)"),
        ({"x": np.full((60, 2), "a")}, "must be numbers"),
        ({"label": np.zeros(60)}, "texts or whole numbers"),
        ({"label": KINDS[:-1]}, "60 items in 'x' and 59 labels"),
        ({"x": np.full((60, 2), np.nan)}, "every number must be finite; item 0"),
    ],
)
def test_arrays_that_are_no_vectors_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        Vectors(written(tmp_path, **arrays))


def test_a_file_without_the_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "y.npz", y=ROWS)
    with pytest.raises(DataError, match=r"has no array 'x'; it has y.*kshot embed writes one"):
        Vectors(tmp_path / "y.npz")


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", x=np.array([{}], dtype=object), label=np.array(["a"]))
    with pytest.raises(DataError, match="opens no pickles"):
        Vectors(tmp_path / "p.npz")


def test_vectors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, encoder=np.array("colours"))
    with pytest.raises(DataError, match="holds vectors of the encoder colours, and those of lengths are wanted"):
        Vectors(file, Embedded("lengths"))
    assert Vectors(file, AsIs()).preprocess == AsIs()
