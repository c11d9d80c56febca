import json
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from kshot.results.score.result import Results


def make(**changes: Any) -> Results:
    plain = {
        "scores": np.array([1.0, 0.9, 0.95, 0.95]),
        "score_name": "accuracy",
        "data": "omniglot",
        "split": "vinyals/test",
        "way": 5,
        "shot": 1,
        "query": 15,
        "seed": 3,
        "episodes_hash": "ab" * 32,
        "mode": "inductive",
        "statistics": "running",
        "seconds": 1.23456,
    }
    return Results(**{**plain, **changes})


def test_as_dict_is_json_with_the_promised_keys() -> None:
    content = json.loads(json.dumps(make().as_dict(), allow_nan=False))
    promised = {"accuracy", "interval", "episodes", "episodes_hash", "way", "shot", "query", "split", "seed", "mode", "seconds"}
    assert promised <= set(content)
    assert content["accuracy"] == pytest.approx(0.95)  # a fraction
    assert content["interval"] == pytest.approx(1.96 * np.sqrt(0.005 / 3) / 2)
    assert (content["episodes"], content["way"], content["shot"], content["query"], content["seed"]) == (4, 5, 1, 15, 3)
    assert (content["split"], content["mode"], content["seconds"]) == ("vinyals/test", "inductive", 1.235)


def test_chance_stands_beside_every_accuracy() -> None:
    assert make().as_dict()["chance"] == 0.2
    assert dict(make().rows())["chance"] == "20 %"
    assert "%  chance 20 %, 5-way" in str(make())
    assert make(way=(2, 4)).chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert make(score_name="mean squared error").as_dict()["chance"] is None
    assert "chance" not in str(make(score_name="mean squared error"))


def test_a_refinement_is_named_wherever_the_mode_is() -> None:
    results = make(mode="transductive", refinement="soft_k_means:iterations=4,scale=1.0")
    assert results.as_dict()["refinement"] == "soft_k_means:iterations=4,scale=1.0"
    told = "transductive, refined by soft_k_means:iterations=4,scale=1.0"
    assert dict(results.rows())["mode"] == told
    assert told in str(results)
    assert make().as_dict()["refinement"] is None


def test_near_and_far_classes_are_named() -> None:
    near = make(nearness="near")
    assert near.as_dict()["nearness"] == "near"
    assert "15 queries per class, near classes, 4 episodes" in str(near)
    assert dict(near.rows())["task"].endswith("15 queries per class, near classes")
    assert make().as_dict()["nearness"] == "any"
    assert "classes" not in str(make())


def test_a_notebook_shows_every_row_and_runs_nothing() -> None:
    html = make(data="a<b>&c", statistics="\udc80")._repr_html_()
    shown = re.sub(r"<[^>]*>", "|", html)
    for name, value in make(data="a&lt;b&gt;&amp;c", statistics="?").rows():
        assert f"|{name}||{value}|" in shown
    root = ElementTree.fromstring(html)  # well formed
    assert {one.tag for one in root.iter()} == {"table", "caption", "tbody", "tr", "th", "td"}
    assert not re.search(r"#[0-9a-f]{3}|black|white|script|https?:", html)  # the page's own colours, and nothing from elsewhere


def test_ranges_become_lists() -> None:
    content = make(way=(2, 5), shot=(1, 3)).as_dict()
    assert (content["way"], content["shot"], content["query"]) == ([2, 5], [1, 3], 15)


def test_another_score_has_its_own_key_and_no_per_cent() -> None:
    results = make(score_name="mean squared error")
    assert results.as_dict()["mean_squared_error"] == pytest.approx(0.95)
    assert "accuracy" not in results.as_dict()
    assert "%" not in str(results)


def test_the_line_and_the_table_name_all_that_identifies_the_result() -> None:
    results = make(way=(2, 5))
    line, table = str(results), dict(results.rows())
    for words in ("accuracy 95.00 ± 4.00 %", "2–5-way 1-shot", "15 queries", "4 episodes", "omniglot vinyals/test", "seed 3", "inductive"):
        assert words in line
    assert "abababababab" in line
    assert table["hash of the episodes"] == "ab" * 32
    assert table["task"] == "2–5-way 1-shot, 15 queries per class"
    assert table["accuracy"].startswith("95.00 ± 4.00 %")
    assert {"classes", "seed of the episodes", "episodes", "mode", "batch-norm statistics", "seconds"} <= set(table)


def test_equal_scores_have_no_interval_and_say_so() -> None:
    assert make().exact_interval is None
    assert make().caution is None
    assert "interval" not in dict(make().rows())
    # 30 episodes without a mistake: p^30 = 2.5 %, so p = 0.025^(1/30)
    perfect, hopeless = make(scores=np.ones(30)), make(scores=np.zeros(30))
    assert perfect.exact_interval == pytest.approx((0.025 ** (1 / 30), 1.0), abs=1e-12)
    assert hopeless.exact_interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 30)), abs=1e-12)
    told = dict(perfect.rows())["interval"]
    assert told == (
        "± 0 stands for no interval, because all 30 episodes have no mistake; the exact 95 % interval, with one trial per episode, is "
        "88.43 to 100.00 %"
    )
    assert "100.00 ± 0.00 %  exact 95 % interval 88.43 to 100.00 %, chance 20 %" in str(perfect)
    assert "no right answer" in dict(hopeless.rows())["interval"]
    alike = make(scores=np.full(7, 0.8))
    assert alike.exact_interval is None
    assert dict(alike.rows())["interval"] == "± 0 stands for no interval, because all 7 episodes have the same score; ask for more"
    assert "there is one episode" in dict(make(scores=np.array([0.8])).rows())["interval"]
    assert "the one episode has no mistake" in dict(make(scores=np.ones(1)).rows())["interval"]
    assert make(scores=np.ones(30), score_name="mean squared error").exact_interval is None
