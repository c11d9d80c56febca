"""How sure a model is, on its report: numbers by hand, and what is said where little can be promised."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from cases.encoders import Lengths
from kshot.tasks.examples import Examples
from kshot.tasks.fit import Fitted, fit
from kshot.workflows.certainty_sections import certainty_sections


def fitted(each: int) -> Fitted:
    texts = [*("a" * (k + 1) for k in range(each)), *("a b c d e" + " a" * k for k in range(each))]
    names = [str(number) for number in range(2 * each)]
    return fit(Examples("texts", texts, ["short"] * each + ["long"] * each, names, {"things": ["text"], "label": "kind"}), Lengths())


@pytest.fixture(scope="module")
def model() -> Fitted:
    return fitted(12)


def test_sections_hold_the_numbers_of_the_answers(model: Fitted) -> None:
    labels = np.array([0, 0, 1, 1])
    answers = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = dict(certainty_sections(model.model, labels, answers, own=False))
    assert list(found) == [
        "Are the probabilities right?", "If only sure answers are taken", "Sets that hold the right class", "What the promises rest on",
    ]  # fmt: skip
    assert "The mean gap is 30.0 points" in found["Are the probabilities right?"]  # |0.9-1|, |0.8-1|, |0.7-1|, |0.6-0|, by 4
    assert found["Are the probabilities right?"].count("<circle") == 4
    assert "Right are 100 % of the surest 50 %, 100 % of the surest 80 %" in found["If only sure answers are taken"]
    assert "and 75 % of all" in found["If only sure answers are taken"]
    assert '<th scope="row">0.99</th><td>–</td><td>–</td><td>too few examples</td>' in found["Sets that hold the right class"]
    assert "learnt from 24 left-out examples, which can promise a coverage of 0.96 at most" in found["What the promises rest on"]
    for html in found.values():
        ElementTree.fromstring(f"<div>{html}</div>")  # well formed


def test_rows_that_cannot_be_scored_are_left_out_and_nothing_is_said_of_nothing(model: Fitted) -> None:
    answers = np.log([[0.9, 0.1], [np.nan, np.nan]])
    found = dict(certainty_sections(model.model, np.array([0, 1]), answers, own=True))
    assert "more of the 1 things lie" in found["Are the probabilities right?"]
    assert "one example less per class" in found["Sets that hold the right class"]
    assert certainty_sections(model.model, np.array([0]), np.full((1, 2), np.nan), own=True) == []


def test_few_examples_promise_little() -> None:
    few = fitted(3)
    found = dict(certainty_sections(few.model, few.model.labels, few.log_probabilities, own=True))
    assert (
        "6 left-out examples are too few for a false-alarm rate of 0.05, so nothing is called unknown" in found["What the promises rest on"]
    )
    assert found["Sets that hold the right class"].count("too few examples") == 3
