from typing import Any

import numpy as np
import pytest

from kshot.results.score.result import Results
from kshot.results.show.report_page import Part, headline, meaning_of_interval, page


def make(**changes: Any) -> Results:
    plain = {"score_name": "accuracy", "data": "omniglot", "split": "vinyals/test", "way": 5, "shot": 1, "query": 15, "seed": 0}
    rest = {"episodes_hash": "ab" * 32, "mode": "inductive", "statistics": "running", "seconds": 1.0}
    return Results(**{"scores": np.array([1.0, 0.976]), **plain, **rest, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "In 98.8 of 100 cases it picks the right one of 5 classes it had never seen, from 1 example each. Guessing would get 20.0."),
        ({"shot": 5, "way": 20}, "of 20 classes it had never seen, from 5 examples each. Guessing would get 5.0."),
        ({"shot": (1, 3), "way": (2, 4)}, "of 2 to 4 classes it had never seen, from 1 to 3 examples each."),
        ({"split": "vinyals/train"}, "of 5 classes it was trained on, from"),
        ({"split": "vinyals/val"}, "of 5 classes it was not trained on, from"),
        ({"split": "all"}, "of 5 classes, from"),
        ({"score_name": "mean squared error"}, "The mean squared error of a task is 0.988 on average, from 1 example each."),
    ],
)
def test_the_headline_claims_no_more_than_is_known(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in headline(make(**changes))


def test_the_interval_is_explained() -> None:
    assert "98.80 ± 2.35 %: the mean over 2 episodes" in meaning_of_interval(make())
    assert "About 19 times in 20" in meaning_of_interval(make())
    assert "Only one episode" in meaning_of_interval(make(scores=np.array([0.5])))


def test_every_text_is_escaped() -> None:
    evil = "<b onload='x'>&\""
    parts = [Part(evil, evil, evil, evil), Part("no picture", "said why")]
    made = page(evil, make(data=evil, split=evil), parts, evil)
    assert "<b onload" not in made
    assert made.count("&lt;b onload=&#x27;x&#x27;&gt;&amp;&quot;") == 9
    assert made.count("<img") == 1
