"""What `kshot show` says of how sure a model is."""

from dataclasses import replace

import numpy as np
import pytest

from kshot.tasks.certainty.certainty import Certainty
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.model import EncoderFacts, Model
from kshot.workflows.model_sureness import rows_of_sureness, sureness

NONE = np.empty(0, np.float32)
FACTS = EncoderFacts("lengths", "texts", 2, "0" * 16, None)  # type: ignore[arg-type]  # where it comes from is not asked


def model(scores: np.ndarray, familiar: np.ndarray) -> Model:
    certainty = Certainty(scores.astype(np.float32), NONE, np.ones(1, np.float32), familiar.astype(np.float32), np.ones((2, 3), np.float32))
    head = FittedHead("affine", "none", {}, 0.0437, {})
    return Model(FACTS, ("a", "b"), "ridge", head, np.zeros((2, 2), np.float32), np.array([0, 1]), ("1", "2"), certainty=certainty)


def test_by_hand() -> None:
    """39 left-out examples: 1 - 1/40 can be promised; of familiarities 1 … 39, the second is the one below which 5 % of new things lie."""
    found = sureness(model(np.full(39, 0.5), np.arange(1.0, 40.0)))
    assert found["most_coverage"] == pytest.approx(0.975)
    assert (found["temperature"], found["left_out"], found["threshold"], found["least_false_alarms"]) == (0.0437, 39, 2.0, 0.025)
    rows = dict(rows_of_sureness(model(np.full(39, 0.5), np.arange(1.0, 40.0))))
    assert rows["probabilities"] == "calibrated by a temperature of 0.0437, fitted to 39 left-out examples"
    assert rows["sets"].startswith("a coverage of up to 0.975 can be promised; one label alone is right for about ")
    assert rows["unknown"] == "a familiarity below 2, at a false-alarm rate of 0.05; the least rate is 0.025"


def test_too_few_examples_say_what_is_needed() -> None:
    rows = dict(rows_of_sureness(model(np.full(8, 0.5), np.arange(8.0))))
    assert rows["sets"].startswith("a coverage of up to 0.889 can be promised")
    assert rows["unknown"] == "nothing: a false-alarm rate of 0.05 needs 19 examples of classes with two"
    assert dict(rows_of_sureness(model(NONE, NONE)))["sets, unknown"].startswith("nothing can be promised: no class has two examples")


def test_a_model_of_an_older_kshot_says_so() -> None:
    old = replace(model(NONE, NONE), certainty=None)
    assert dict(rows_of_sureness(old))["sets, unknown"] == "nothing is known: the model is of an older kshot. Fit it again."
    assert sureness(old)["most_coverage"] is None
