"""Descriptions of classes: read, embedded, and blended with examples."""

from pathlib import Path

import numpy as np
import pytest

from cases.encoders import Lengths
from kshot.errors import DataError
from kshot.tasks.descriptions import Described, description_vectors, head_of_descriptions, read_descriptions
from kshot.tasks.heads.answer import log_probabilities, logits
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.kernel_ridge import KernelRidge
from kshot.tasks.heads.ridge import Ridge


def test_a_file_of_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('\ufeff# a comment\nlost = "I lost my card."\n"card.arrival?" = ["Where is it?", "It is late."]\n', encoding="utf-8")
    assert read_descriptions(path) == {"lost": ("I lost my card.",), "card.arrival?": ("Where is it?", "It is late.")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lost = I lost it", "is no TOML: .*Write one line per class"),
        (b"lost = 'caf\xe9'", "is no TOML"),
        (b"lost = ''", "class 'lost' needs a sentence"),
        (b"lost = []", "class 'lost' needs a sentence"),
        (b"lost = ['a', 3]", "class 'lost' needs a sentence"),
        (b"card.lost = 'a'", "class 'card' needs a sentence.*put it in quotes too"),
        (b"# nothing", "describes no class"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "is no TOML"),
        (None, "cannot read .*No such file"),
    ],
)
def test_a_file_that_describes_nothing(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "classes.toml").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_descriptions(tmp_path / "classes.toml")


def test_a_description_is_the_mean_of_name_and_sentences_at_unit_length() -> None:
    # "a_b" is read as "a b": 3 characters, 1 space. A sentence of 4 and 3: (0.8, 0.6).
    found = description_vectors(Lengths(), ["a_b", "c"], {"a_b": ["x   "]})
    mean = (np.array([3, 1]) / np.sqrt(10) + [0.8, 0.6]) / 2
    assert found == pytest.approx(np.array([mean / np.linalg.norm(mean), [1, 0]]), abs=1e-6)
    assert found.dtype == np.float32
    by_function = description_vectors(lambda texts: Lengths().encode(texts), ["a_b", "c"], {"a_b": ["x   "]})
    assert by_function == pytest.approx(found)


def test_what_cannot_be_described() -> None:
    with pytest.raises(DataError, match=r"'card' is described, and no example is of this class. Did you mean 'cards'"):
        description_vectors(Lengths(), ["cards", "x"], {"card": ["a"]})
    with pytest.raises(DataError, match="the description '' cannot be used: the text is empty"):
        description_vectors(Lengths(), ["y", "x"], {"x": [""]})


D = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def test_with_no_examples_the_nearest_description_answers() -> None:
    fitted = head_of_descriptions(D)
    assert logits(fitted, np.array([[5, 1, 0], [0, 2, 3]], np.float32)).argmax(1).tolist() == [0, 2]
    described = Described(ClassMeans(), D)
    nothing = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    assert logits(described.fit(*nothing, 3), D).argmax(1).tolist() == [0, 1, 2]
    assert described.left_out(*nothing, 3).log_probabilities.shape == (0, 3)
    with pytest.raises(DataError, match="class 1 has none"):
        Described(ClassMeans(), np.array([[1, 0, 0], [np.nan] * 3, [0, 0, 1]], np.float32)).fit(*nothing, 3)


def test_a_description_is_one_more_example() -> None:
    x = np.array([[0.8, 0.6, 0], [0, 1, 0], [0, 0.6, 0.8]], np.float32)
    fitted = Described(ClassMeans(feature_maps=("unit length",)), D).fit(x, np.arange(3), 3)
    centres = (x + D) / 2
    expected = -np.square(x[:, None] - centres).sum(2)
    found = logits(fitted, x) * fitted.temperature
    assert found - found.mean(1, keepdims=True) == pytest.approx(expected - expected.mean(1, keepdims=True), abs=1e-5)
    assert fitted.settings["descriptions"] == 1


def drawn(shots: int, seed: int, description_noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw examples, labels, descriptions, queries and their labels, of 12 classes in 16 dimensions."""
    generator = np.random.default_rng(seed)

    def unit(x: np.ndarray) -> np.ndarray:
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    centres = generator.normal(size=(12, 16))
    y, query_y = np.repeat(np.arange(12), shots), np.repeat(np.arange(12), 40)
    x, query = (unit(centres[labels] + 1.5 * generator.normal(size=(len(labels), 16))) for labels in (y, query_y))
    return x, y, unit(centres + description_noise * generator.normal(size=centres.shape)), query, query_y


@pytest.mark.slow
@pytest.mark.parametrize("head", [ClassMeans(), Ridge(), KernelRidge()], ids=lambda head: head.name)
def test_good_descriptions_help_and_bad_ones_are_left_out(head: Head) -> None:
    gains, losses, used = [], [], []
    for seed in range(4):
        for shots in (2, 4):
            x, y, good, query, query_y = drawn(shots, seed, 0.5)
            bad = good[::-1].copy()
            plain, helped, harmed = (
                float((logits(one.fit(x, y, 12), query).argmax(1) == query_y).mean())
                for one in (head, Described(head, good), Described(head, bad))
            )
            gains.append(helped - plain)
            losses.append(plain - harmed)
            used.append(Described(head, bad).fit(x, y, 12).settings["descriptions"])
    assert np.mean(gains) > 0.02
    assert np.mean(losses) < 0.01
    assert np.mean(used) < 0.2


def test_left_out_answers_leave_out_the_example_alone() -> None:
    x, y, d, _, _ = drawn(1, 0, 0.5)
    head = Described(ClassMeans(feature_maps=("unit length",)), d)
    found = head.left_out(x, y, 12)
    assert found.scored.all(), "its description is left of a class whose only example is left out"
    temperature = head.fit(x, y, 12).temperature
    for row in range(12):
        others = np.arange(12) != row
        centres = d.copy()
        centres[others] = (x[others] + d[others]) / 2
        expected = -np.square(x[row] - centres).sum(1) / temperature
        expected -= np.log(np.exp(expected).sum())
        assert found.log_probabilities[row] == pytest.approx(expected, abs=1e-4)


def test_heads_that_know_descriptions_are_chosen_among() -> None:
    x, y, d, query, query_y = drawn(3, 1, 0.5)
    choice = choose(x, y, 12, [Described(head, d) for head in (ClassMeans(), Ridge())])
    assert choice.name in ("class_means", "ridge")
    assert (log_probabilities(choice.fitted, query).argmax(1) == query_y).mean() > 0.5
