"""Classes divided into parts that share none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.data.class_index import ClassIndex
from kshot.data.split import divide_by_file, divide_by_fraction, divide_by_names
from kshot.errors import DataError

INDEX = ClassIndex.build({name: [number] for number, name in enumerate("abcdefghij")})


def test_by_names() -> None:
    split = divide_by_names(INDEX, {"train": ["a", "c"], "val": ["b"], "test": ["d"]}, "mine")
    assert split.name == "mine"
    assert split.part("train").names == ("a", "c")
    assert split.part("trainval").names == ("a", "c", "b")
    assert split.as_names() == {"train": ["a", "c"], "val": ["b"], "test": ["d"]}
    with pytest.raises(DataError, match="the split 'mine' has no part 'exam'; it has train, val, test, trainval"):
        split.part("exam")


@given(st.integers(3, 40), st.integers(0, 2**32 - 1), st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)]))
def test_fractions_divide_every_class_once(classes: int, seed: int, fractions: tuple[float, float, float]) -> None:
    names = [f"class {number}" for number in range(classes)]
    index = ClassIndex.build({name: [number] for number, name in enumerate(names)})
    split = divide_by_fraction(index, fractions, seed)
    parts = [split.part(part).names for part in ("train", "val", "test")]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert all(parts)
    assert classes < 6 or (len(parts[1]) >= 2 and len(parts[2]) >= 2)  # one class alone cannot be told apart from anything
    backwards = ClassIndex.build({name: [number] for number, name in enumerate(reversed(names))})
    assert divide_by_fraction(backwards, fractions, seed).as_names() == split.as_names()


def test_another_seed_divides_otherwise() -> None:
    divisions = {json.dumps(divide_by_fraction(INDEX, (0.6, 0.2, 0.2), seed).as_names()) for seed in range(8)}
    assert len(divisions) > 4


def test_a_file_reads_back_what_a_split_writes(tmp_path: Path) -> None:
    split = divide_by_fraction(INDEX, (0.6, 0.2, 0.2), 0)
    file = tmp_path / "division.json"
    file.write_text(json.dumps(split.as_names()))
    assert divide_by_file(INDEX, file).as_names() == split.as_names()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": ["a"], "exam": ["b"]}, "a division has the parts train, val, test; found 'exam'"),
        ({"val": ["a"]}, "a division needs a part 'train'; found val"),
        ({"train": ["a"], "test": []}, "the part 'test' of the division has no classes"),
        ({"train": ["a", "b"], "test": ["b"]}, "class 'b' is in both 'train' and 'test'"),
        ({"train": ["a", "zebra"]}, "1 of 2 wanted classes are not in the data: 'zebra'"),
        ({"train": ["a", "a"]}, "each class may be named once; 'a'"),
    ],
)
def test_divisions_that_are_refused(parts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        divide_by_names(INDEX, parts)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (0.5, 0.5)])
def test_fractions_that_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="three positive shares that add up to 1"):
        divide_by_fraction(INDEX, fractions, 0)  # type: ignore[arg-type]


def test_too_few_classes_are_refused_by_name() -> None:
    two = ClassIndex.build({"fox": [0], "owl": [1]})
    with pytest.raises(DataError, match=r"needs at least 3 classes; found 2: fox, owl"):
        divide_by_fraction(two, (0.6, 0.2, 0.2), 0)


@pytest.mark.parametrize("content", ["[1, 2]", '{"train": "a"}', '{"train": [1]}'])
def test_files_of_another_form_are_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "division.json"
    file.write_text(content)
    with pytest.raises(DataError, match=r"must hold .*found another form"):
        divide_by_file(INDEX, file)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the division file .*missing.json"):
        divide_by_file(INDEX, tmp_path / "missing.json")
    (tmp_path / "cut.json").write_text('{"train": ["a"')
    with pytest.raises(DataError, match=r"cannot read the division file .*cut.json"):
        divide_by_file(INDEX, tmp_path / "cut.json")
