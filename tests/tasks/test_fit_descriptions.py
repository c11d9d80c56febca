"""Models from descriptions of classes, with no examples, a few and many; and how descriptions follow classes that come and go."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cases.encoders import Colours, Lengths
from kshot.encoders.encoder import Provenance, Reads
from kshot.errors import DataError, RecipeError
from kshot.tasks.answers import label_each
from kshot.tasks.descriptions import describe
from kshot.tasks.estimate import estimate_from_dict
from kshot.tasks.examples import Examples
from kshot.tasks.fit import Fitted, add, fit, fit_descriptions, remove, rename
from kshot.tasks.model import Model
from kshot.tasks.model_folder import load_model, save_model
from kshot.tasks.queries import Query


class Words:
    """A text to how often each of three words is in it: fox, owl, red."""

    name, features, fingerprint = "words", 3, "0123456789abcdef"
    reads: Reads = "texts"
    provenance = Provenance("MIT", "worked out by hand")

    def read(self, thing: object) -> str:
        if not str(thing).strip():
            raise DataError("the text is empty. Leave it out.")
        return str(thing)

    def encode(self, items: Sequence[object]) -> np.ndarray:
        return np.array([[str(item).split().count(word) for word in ("fox", "owl", "red")] for item in items], np.float32).reshape(-1, 3)


class Seen(Colours):
    """Photographs with a text side: the words red, green and blue lie where these colours do."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count(word) for word in ("red", "green", "blue")] for text in texts], np.float32)


ANIMALS = {"a": ("fox fox red",), "b": ("owl",)}


def of(texts: Sequence[str], labels: Sequence[str]) -> Examples:
    return Examples("texts", texts, labels, [str(number) for number in range(1, len(texts) + 1)], {"things": ["text"], "label": "kind"})


def answers(model: Model, *texts: str) -> list[str]:
    return [one.prediction.label if one.prediction else one.error for one in label_each(model, Words(), (Query(t, thing=t) for t in texts))]


def kept(fitted: Fitted, folder: Path) -> Model:
    save_model(folder, fitted.model)
    return load_model(folder)


def test_no_example_at_all(tmp_path: Path) -> None:
    model = kept(fit_descriptions(Words(), ANIMALS), tmp_path / "m")
    assert (model.classes, model.counts, model.names, model.descriptions) == (
        ("a", "b"), {"a": 0, "b": 0}, (), {"a": ["fox fox red"], "b": ["owl"]},
    )  # fmt: skip
    # The names say nothing to this encoder: (0, 0, 0). What is left of the means is the sentences.
    assert model.description_vectors == pytest.approx(np.array([[2, 0, 1], [0, np.sqrt(5), 0]]) / np.sqrt(5), abs=1e-6)
    assert answers(model, "fox", "red", "owl owl red", "owl fox fox", " ") == ["a", "a", "b", "a", "the text is empty. Leave it out."]
    assert "No estimate: there is no example, only descriptions" in str(estimate_from_dict(model.findings["estimate"]))
    assert "the class whose description lies nearest" in model.findings["head"]


def test_examples_arrive_one_by_one(tmp_path: Path) -> None:
    model = kept(fit_descriptions(Words(), ANIMALS), tmp_path / "m")
    model = kept(add(model, Words(), of(["red red", "fox"], ["a", "a"])), tmp_path / "m")
    told = str(estimate_from_dict(model.findings["estimate"]))
    assert "1 class has no example, so nothing is known of it." in told
    assert answers(model, "owl", "red") == ["b", "a"]
    assert "The names and descriptions of the classes count as one example each." in model.findings["head"]
    model = kept(add(model, Words(), of(["owl owl"] * 2, ["c", "c"])), tmp_path / "m")  # a class without a sentence
    assert model.description_vectors is not None
    assert model.description_vectors.shape == (3, 3)


def test_descriptions_follow_their_classes(tmp_path: Path) -> None:
    sentences = {**ANIMALS, "c": ("red",)}
    model = kept(fit_descriptions(Words(), sentences), tmp_path / "m")
    less = remove(model, "a").model
    assert less.descriptions == {"b": ["owl"], "c": ["red"]}
    assert np.array_equal(less.description_vectors, model.description_vectors[1:])  # type: ignore[arg-type,index]
    assert answers(less, "owl", "red") == ["b", "c"]
    named = kept(rename(model, "a", "z fox", Words()), tmp_path / "m")
    assert named.descriptions == {"b": ["owl"], "c": ["red"], "z fox": ["fox fox red"]}
    again = fit_descriptions(Words(), {"b": ("owl",), "c": ("red",), "z fox": ("fox fox red",)}).model
    assert named.description_vectors == pytest.approx(again.description_vectors)
    joined = rename(model, "c", "b", Words()).model
    assert joined.descriptions == {"a": ("fox fox red",), "b": ("owl", "red")}
    with pytest.raises(RecipeError, match="renaming one needs the encoder"):
        rename(model, "a", "b")


@pytest.mark.parametrize("head", ["nearest", "kernel_ridge", "ridge", "class_means"])
def test_heads_that_keep_descriptions_can_be_saved(head: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([word, word, "red"], 9)) for word in ("fox", "owl") for _ in range(4)]
    fitted = fit(of(texts, ["fox"] * 4 + ["owl"] * 4), Words(), head=head, sentences={"fox": ["fox"]})
    model = kept(fitted, tmp_path / "m")
    assert model.described == bool(fitted.model.head.settings["descriptions"])
    assert model.descriptions == {"fox": ["fox"]}
    held = len(model.head.arrays.get("examples", model.vectors))
    assert held == 8 + 2 * (model.described and head in ("nearest", "kernel_ridge"))
    assert answers(model, "fox red", "owl red") == ["fox", "owl"]


@pytest.mark.slow
def test_names_that_mislead_do_not_count() -> None:
    texts = ["fox fox red", "fox", "fox fox", "owl", "owl owl red", "owl owl"]
    misled = fit(of(texts, ["owl"] * 3 + ["fox"] * 3), Words()).model
    assert not misled.described
    assert "The names of the classes do not count" in misled.findings["head"]
    assert fit(of(texts, ["1"] * 3 + ["2"] * 3), Words()).model.description_vectors is None
    alone = fit(of(["fox", "owl"], ["owl", "fox"]), Words()).model  # one example per class: the names answer both wrongly
    assert not alone.described
    assert answers(alone, "fox") == ["owl"]
    helped = fit(of(["fox red red", "owl"], ["fox", "owl"]), Words()).model
    assert helped.described


def test_photographs_are_described_where_the_encoder_has_a_text_side() -> None:
    model = fit_descriptions(Seen(), {"sky": ("blue",), "grass": ("green",)}).model
    assert (model.encoder.reads, model.classes) == ("photographs", ("grass", "sky"))
    assert describe(Seen(), ["red", "blue"]) == pytest.approx(np.array([[1, 0, 0], [0, 0, 1]]))
    assert describe(Colours(), ["red", "blue"]) is None
    with pytest.raises(RecipeError, match=r"'colours' reads photographs and no sentences.*such as CLIP or SigLIP"):
        fit_descriptions(Colours(), ANIMALS)


def test_what_cannot_be_described() -> None:
    with pytest.raises(DataError, match="found 1 described: 'a'"):
        fit_descriptions(Lengths(), {"a": ("x",)})
    with pytest.raises(RecipeError, match="there is no head 'forest'"):
        fit_descriptions(Lengths(), ANIMALS, head="forest")
    with pytest.raises(DataError, match=r"'owls' is described, and no example is of this class. Did you mean 'owl'"):
        fit(of(["fox", "owl"], ["fox", "owl"]), Words(), sentences={"owls": ("owl",)})
