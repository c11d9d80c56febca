"""A user's labelled examples: what is found in folders and tables, what is left out, what is asked about."""

from pathlib import Path

import pytest

from cases.folders import fill
from kshot.errors import DataError
from kshot.tasks.examples import Asked, find_examples, of_one_class


def table(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", ["fruit/apple", "fruit/pear", "milk"], items=2)
    found = find_examples(root)
    assert found.reads == "photographs"
    assert found.counts == {"fruit/apple": 2, "fruit/pear": 2, "milk": 2}
    assert [Path(name).is_file() for name in found.names] == [True] * 6
    assert find_examples(root, Asked(depth=1)).counts == {"fruit": 4, "milk": 2}
    assert find_examples(root, Asked(depth=5)).counts == found.counts
    assert found.notes == ()


def test_a_table_of_texts(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", "text,intent", '"lost, my card",card', "where is it?,card", '"two\nlines",money', "more money,money")
    found = find_examples(source)
    assert (found.reads, list(found.things)) == ("texts", ["lost, my card", "where is it?", "two\nlines", "more money"])
    assert (list(found.labels), list(found.names)) == (["card", "card", "money", "money"], ["1", "2", "3", "4"])
    assert found.columns == {"things": ["text"], "label": "intent"}


def test_a_table_of_paths_relative_to_the_table(tmp_path: Path) -> None:
    fill(tmp_path / "p", ["fox", "owl"], items=1)
    found = find_examples(table(tmp_path / "t.csv", "path,label", "p/fox/0.png,fox", f"{tmp_path}/p/owl/0.png,owl"))
    assert found.reads == "photographs"
    assert list(found.things) == [tmp_path / "p/fox/0.png", tmp_path / "p/owl/0.png"]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    source = table(
        tmp_path / "t.tsv", "text\tlabel", "hello\tgreeting", " \tgreeting", "bye\t", "bye\tparting", "hello\tgreeting", "bye\tgreeting",
        "thanks\tParting", "x\t",
    )  # fmt: skip
    found = find_examples(source)
    assert list(found.names) == ["1", "4", "6", "7"]
    assert found.notes == (
        "1 row is left out, with an empty text: row 2.",
        "2 rows are left out, with no label: rows 3, 8.",
        "the labels 'parting' and 'Parting' differ by case or spaces only, and are taken as 2 classes. If they are one class, write them "
        "alike.",
        "1 text is left out: a copy of another one of its class, word for word, such as row 5 and row 1.",
        "1 text is in more than one class, word for word, such as row 4 in 'parting' and row 6 in 'greeting'. Correct the labels.",
    )


def test_pictures_that_are_copies_are_left_out(tmp_path: Path) -> None:
    root = fill(tmp_path / "p", ["fox", "owl"], items=2)
    (root / "fox" / "9.png").write_bytes((root / "fox" / "0.png").read_bytes())
    (root / "owl" / "9.png").write_bytes((root / "fox" / "1.png").read_bytes())
    found = find_examples(root)
    assert found.counts == {"fox": 2, "owl": 3}
    copied, torn = found.notes
    assert (
        copied
        == f"1 picture is left out: a copy of another one of its class, byte for byte, such as {root}/fox/9.png and {root}/fox/0.png."
    )
    assert f"such as {root}/fox/1.png in 'fox' and {root}/owl/9.png in 'owl'. Correct the labels." in torn


def test_numbers_as_labels_are_classes_if_few_and_asked_about_if_many(tmp_path: Path) -> None:
    few = table(tmp_path / "few.csv", "a,b,label", "1,2,0", "2,,1", "x,3,0", "4,4,1")
    found = find_examples(few)
    assert (found.reads, list(found.labels), found.things[1]) == ("numbers", ["0", "1", "0", "1"], {"a": 2.0, "b": None})
    assert found.notes == ("'label' holds 2 different whole numbers, taken as classes; --regression makes them a quantity.",)
    many = table(tmp_path / "many.csv", "a,price", *(f"{k},{k}" for k in range(30)))
    with pytest.raises(DataError, match=r"holds 30 different numbers in 30 rows. If each number names a class, add --classes"):
        find_examples(many, Asked(label="price"))
    assert len(find_examples(many, Asked(label="price", classes=True)).counts) == 30


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(label="x"), "--label names a column of a table, and .* is a folder of class folders"),
        (Asked(depth=0), "--depth must be 1 to 1000, the number of folders that name a class; found 0"),
    ],
)
def test_flags_that_do_not_go_with_a_folder(tmp_path: Path, asked: Asked, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_examples(fill(tmp_path / "p", ["fox", "owl"]), asked)


def test_what_holds_no_examples_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no table at .*nothing"):
        find_examples(tmp_path / "nothing")
    with pytest.raises(DataError, match="no column 'kind'"):
        find_examples(table(tmp_path / "t.csv", "text,label", "a b,c"), Asked(label="kind"))
    with pytest.raises(DataError, match=r"--depth says how many folders name a class, and .* is a table"):
        find_examples(tmp_path / "t.csv", Asked(depth=1))
    with pytest.raises(DataError, match="has no row with a label in 'label' and something to read"):
        find_examples(table(tmp_path / "u.csv", "text,label", "a b,", ",c"))
    (tmp_path / "latin.csv").write_bytes("text,label\nä b,c\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        find_examples(tmp_path / "latin.csv")


def test_parts_of_a_division_are_refused_with_the_part_to_give(tmp_path: Path) -> None:
    root = fill(tmp_path / "p", ["train/fox", "train/owl", "test/fox", "test/owl"])
    with pytest.raises(DataError, match=rf"is divided into 'test' and 'train'.* such as {root}/train"):
        find_examples(root)


def test_a_label_is_no_long_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"text,label\na,x\nb,{'y' * 1001}\n")
    with pytest.raises(DataError, match=r"row 2: 'label' holds a label of 1,001 characters"):
        find_examples(path)


def test_a_link_to_a_folder_above_has_no_end(tmp_path: Path) -> None:
    root = fill(tmp_path / "p", ["g/fox", "g/owl"])
    (root / "g" / "again").symlink_to(root)
    with pytest.raises(DataError, match="is a link to a folder above it"):
        find_examples(root)


def test_examples_of_one_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "p", ["fox", "owl"], items=2)
    found = of_one_class("cat", [str(root / "fox"), str(root / "owl" / "0.png")], "photographs", {})
    assert (set(found.labels), len(found)) == ({"cat"}, 3)
    texts = table(tmp_path / "t.txt", "one two", "three four")
    found = of_one_class("cat", [texts, "five six"], "texts", {"things": ["utterance"], "label": "intent"})
    assert list(found.things) == ["one two", "three four", "five six"]
    with pytest.raises(DataError, match="an example of 'cat' cannot be read: no file fits the pattern"):
        of_one_class("cat", [str(tmp_path / "*.gif")], "photographs", {})
