"""What a report says of doubtful labels and of near-duplicates: those that were planted, and nothing where there is nothing."""

import numpy as np

from kshot.encoders.encoder import Provenance
from kshot.tasks.heads.table import head_named
from kshot.tasks.model import EncoderFacts, Model
from kshot.workflows.doubt_sections import doubt_sections


def model_of(x: np.ndarray, y: np.ndarray) -> Model:
    x, y = np.asarray(x, np.float32), np.asarray(y, np.int64)
    facts = EncoderFacts("drawn", "texts", x.shape[1], "0" * 16, Provenance("MIT", "drawn here"))
    head = head_named("class_means").fit(x, y, int(y.max()) + 1)
    names = tuple(str(place + 1) for place in range(len(x)))
    return Model(facts, tuple(f"<c{label}>" for label in range(y.max() + 1)), "class_means", head, x, y, names)


def crowds() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 8)
    return random.normal(0, 3, (3, 24))[y] + random.normal(0, 1, (24, 24)), y


def test_a_wrong_label_and_a_pair_are_shown() -> None:
    x, y = crowds()
    x[9] = x[8] * 1.0001
    y[3] = 2
    model = model_of(x, y)
    things = [f"text <{place}>" for place in range(24)]
    (first, labels), (second, copies) = doubt_sections(model, things, model.names)
    assert (first, second) == ("Labels to look at again", "Examples that are nearly the same")
    assert labels.index("text &lt;3&gt;") < labels.index("row 4")
    assert "&lt;c2&gt; <b>" in labels
    assert 'or <span class="wrong">&lt;c0&gt;</span>' in labels
    assert "against 1 of 24 labels." in labels
    assert "1 pair, each in one class." in copies
    assert copies.index("text &lt;8&gt;") < copies.index("text &lt;9&gt;")
    assert "<c0>" not in labels + copies


def test_a_pair_in_two_classes_is_told() -> None:
    x, y = crowds()
    x[9] = x[0]
    model = model_of(x, y)
    copies = doubt_sections(model, ["a"] * 24, model.names)[1][1]
    assert "1 pair, of which 1 in two classes, which come first." in copies
    assert '<span class="wrong">&lt;c1&gt;</span>' in copies


def test_nothing_to_say() -> None:
    model = model_of(*crowds())
    assert [text for _, text in doubt_sections(model, ["a"] * 24, model.names)] == [
        "<p>The evidence is against none of 24 labels.</p>", "<p>No two examples are nearly the same.</p>",
    ]  # fmt: skip
    x, y = crowds()
    alone = model_of(x[[0, 8, 16]], y[[0, 8, 16]])
    ((_, told),) = doubt_sections(alone, ["a"] * 3, alone.names)
    assert told == "<p>No label can be judged: every class has one example. Give two or more per class.</p>"
