"""From examples to a model: what is embedded and what is left out, how classes come and go, and what cannot be fitted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.encoders import Colours, Lengths
from cases.folders import fill
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError
from kshot.tasks.answers import label_each
from kshot.tasks.examples import Examples, find_examples
from kshot.tasks.fit import add, fit, remove, rename
from kshot.tasks.model import Model
from kshot.tasks.queries import Query
from kshot.tasks.scoring import score_model

TEXTS = ("a", "bb", "ccc", "a b c d e", "a b c d e f", "a b c d e f g")
LABELS = ("short",) * 3 + ("long",) * 3


def examples(things: Sequence[str] = TEXTS, labels: Sequence[str] = LABELS, **changes: Any) -> Examples:
    names = [str(number) for number in range(1, len(things) + 1)]
    return Examples("texts", things, labels, names, {"things": ["text"], "label": "kind"}, **changes)


def answers(model: Model, *texts: str) -> list[str]:
    found = label_each(model, Lengths(), (Query(text, thing=text) for text in texts))
    return [one.prediction.label if one.prediction else one.error for one in found]


def test_a_model_by_hand() -> None:
    fitted = fit(examples(), Lengths(), head="class_means")
    model = fitted.model
    assert model.classes == ("long", "short")
    assert model.vectors.tolist() == [[1, 0], [2, 0], [3, 0], [9, 4], [11, 5], [13, 6]]  # characters, spaces
    assert model.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert (model.names, model.head_name, model.counts) == (("1", "2", "3", "4", "5", "6"), "class_means", {"long": 3, "short": 3})
    assert (model.encoder.name, model.encoder.fingerprint, model.encoder.features) == ("lengths", Lengths().fingerprint, 2)
    assert model.findings["estimate"]["accuracy"] == 1.0
    assert answers(model, "xyz", "a b c d", " ") == ["short", "long", "the text is empty. Leave it out."]


def test_the_head_is_chosen_and_the_estimate_is_of_answers_left_out() -> None:
    fitted = fit(examples(), Lengths())
    assert fitted.model.head_name == fitted.model.findings["choice"]["name"]
    assert fitted.model.findings["asked_head"] is None
    probabilities = np.exp(fitted.log_probabilities)
    assert probabilities.sum(1) == pytest.approx(1)
    assert fitted.examples is not None
    assert list(fitted.examples.labels) == [fitted.model.classes[place] for place in fitted.model.labels]


def test_what_cannot_be_read_is_left_out_and_named_or_stops(tmp_path: Path) -> None:
    root = fill(tmp_path / "p", ["fox", "owl"], items=3)
    (root / "fox" / "1.png").write_bytes(b"")
    found = find_examples(root)
    fitted = fit(found, Colours())
    assert fitted.model.counts == {"fox": 2, "owl": 3}
    assert fitted.notes[0].startswith(f"1 example cannot be read and is left out: cannot read {root}/fox/1.png: the file is empty.")
    with pytest.raises(DataError, match="1 of 6 photographs cannot be used"):
        fit(found, Colours(), strict=True)
    for path in (root / "fox").iterdir():
        path.write_bytes(f"no picture {path}".encode())
    with pytest.raises(DataError, match=r"no example of 'fox' can be used.*3 examples cannot be read"):
        fit(find_examples(root), Colours())
    fitted = fit(examples((*TEXTS, " "), (*LABELS, "long")), Lengths())
    assert fitted.notes[0] == "1 example cannot be read and is left out: row 7: the text is empty. Leave it out."


def test_one_example_in_a_class_works_and_says_what_is_not_known() -> None:
    fitted = fit(examples(TEXTS[:4], ("1", "1", "1", "2")), Lengths())  # names that say nothing
    assert fitted.model.findings["estimate"]["unscored"] == [0, 1]
    fitted = fit(examples((TEXTS[0], TEXTS[5]), ("1", "2")), Lengths())
    assert fitted.model.findings["estimate"]["accuracy"] is None
    assert answers(fitted.model, "xx", "a b c d e f") == ["1", "2"]


def test_classes_and_examples_come_and_go_as_if_they_had_been_there() -> None:
    whole = fit(examples(), Lengths(), head="class_means").model
    less = fit(examples(TEXTS[:4], LABELS[:4]), Lengths(), head="class_means").model
    grown = add(less, Lengths(), examples(TEXTS[4:], LABELS[4:])).model
    assert np.array_equal(grown.vectors, whole.vectors)
    assert np.allclose(grown.head.arrays["weights"], whole.head.arrays["weights"])
    assert grown.findings["estimate"] == whole.findings["estimate"]
    three = add(whole, Lengths(), examples(("x" * 30, "y" * 40), ("word",) * 2))
    assert three.model.classes == ("long", "short", "word")
    assert three.model.counts == {"long": 3, "short": 3, "word": 2}
    assert answers(three.model, "z" * 35) == ["word"]
    back = remove(three.model, "word").model
    assert (back.classes, back.names) == (whole.classes, whole.names)
    assert np.array_equal(back.labels, whole.labels)
    assert np.allclose(back.head.arrays["weights"], whole.head.arrays["weights"])
    assert len(back.findings["estimate"]["unscored"]) == 2


def test_what_is_there_already_is_not_added_twice() -> None:
    model = fit(examples(), Lengths(), head="class_means").model
    fitted = add(model, Lengths(), examples(("a", "x y z"), ("short", "long")))
    assert len(fitted.model.labels) == 7
    assert fitted.notes == ("1 of 2 examples are in the model already, and left out.",)
    with pytest.raises(DataError, match=r"there is nothing to add\. 1 of 1 examples are in the model already"):
        add(model, Lengths(), examples(("a",), ("short",)))


def test_a_class_gets_another_name_or_joins_another_one() -> None:
    model = add(fit(examples(), Lengths()).model, Lengths(), examples(("x" * 30,), ("word",))).model
    renamed = rename(model, "short", "a few", Lengths()).model
    assert renamed.counts == {"a few": 3, "long": 3, "word": 1}
    assert answers(renamed, "a") == ["a few"]
    joined = rename(model, "word", "long", Lengths()).model
    assert joined.counts == {"long": 4, "short": 3}
    with pytest.raises(DataError, match="only one class would be left"):
        rename(joined, "short", "long")
    with pytest.raises(DataError, match="a class needs a name"):
        rename(joined, "short", " ")


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(DataError, match="at least 2 of them; found 1: 'short', with 3 examples"):
        fit(examples(TEXTS[:3], LABELS[:3]), Lengths())
    with pytest.raises(DataError, match="the encoder 'colours' reads photographs; found texts"):
        fit(examples(), Colours())
    with pytest.raises(RecipeError, match="there is no head 'forest'"):
        fit(examples(), Lengths(), head="forest")
    model = fit(examples(), Lengths()).model
    with pytest.raises(DataError, match="'long' cannot be removed: 'short' alone would be left"):
        remove(model, "long")
    with pytest.raises(DataError, match=r"there is no class 'lnog'\. Did you mean 'long'"):
        remove(model, "lnog")


def test_a_second_fit_embeds_nothing(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    first, second = Lengths(), Lengths()
    one = fit(examples(), first, head="ridge", cache=cache).model
    two = fit(examples(), second, head="ridge", cache=cache).model
    assert (first.n_read, second.n_read, second.batches) == (8, 0, [])  # 6 texts, 2 names of classes
    assert np.array_equal(one.vectors, two.vectors)


def test_a_score_on_labelled_things_by_hand() -> None:
    model = fit(examples(), Lengths(), head="class_means").model
    scored = score_model(
        model, Lengths(), examples(("zz", "x y z w v u", "a long one", "a", "?"), ("short", "long", "short", "short", "Long"))
    )
    assert scored.estimate.confusion.tolist() == [[1, 0], [1, 2]]
    assert scored.estimate.accuracy == 0.75
    assert scored.labels.tolist() == [1, 0, 1, 1]
    assert scored.notes == (
        "1 things are of classes that the model does not know, and left out: 'Long'. 'Long' is written 'long' in the model.",
        "3 of the 4 things are examples of the model, which flatters the score.",  # their vectors are
    )
    with pytest.raises(DataError, match="none of 1 things is of a class that the model knows: 'other'"):
        score_model(model, Lengths(), examples(("zz",), ("other",)))
