"""Tasks through a real socket: made, asked, changed, listed, downloaded and deleted, on SQLite and on PostgreSQL."""

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cases.postgres import postgres
from cases.served import Thread, served_here
from cases.strokes import NAMES, drawn, image, task
from kshot.errors import RecipeError, SavedError
from kshot.saved.shipped import open_saved
from kshot.tasks.classifier import Classifier
from kshot.tasks.encoder_by_name import open_by_name
from kshot.tasks.examples import find_examples
from kshot.tasks.fit import fit
from kshot.tasks.model_folder import load_model
from kshot.tasks.numbers.columns import fit_columns
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.web.limits import Limits
from kshot.web.model_archive import archive_of, model_in
from kshot.web.sources.learner_source import LearnerSource
from kshot.web.sources.source import Source
from kshot.web.sources.table import SHIPPED, Sources

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thread]:
    folder = tmp_path_factory.mktemp("store")
    if request.param == "sqlite":
        with served_here(f"sqlite:///{folder / 'tasks.db'}") as found:
            yield found
        return
    with postgres() as url, served_here(url) as found:
        yield found


@pytest.fixture
def ask(server: Thread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url + "v1/", timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def minilm(own_cache: None) -> None:
    """The encoder of texts is written as a network once, which may take longer than a request may."""
    open_by_name("all-MiniLM-L6-v2")


def made(ask: httpx.Client, body: dict[str, Any]) -> str:
    answer = ask.post("tasks", json=body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


def labels(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["label"] for one in answer.json()["predictions"]]


@pytest.mark.parametrize("learner", ["omniglot-protonet", "omniglot-mann", "omniglot-lake"])
def test_a_task_answers_as_the_classifier_of_the_same_learner(ask: httpx.Client, learner: str, tmp_path: Path) -> None:
    id = made(ask, task(source={"learner": learner}))
    answer = ask.post(f"tasks/{id}/predict", json={"inputs": [image(name, 9) for name in NAMES], "probabilities": True})
    files = {name: [tmp_path / f"{name}{seed}.png" for seed in range(10)] for name in NAMES}
    for name, paths in files.items():
        for seed, path in enumerate(paths):
            path.write_bytes(drawn(name, seed))
    coverage = 0.9 if learner == "omniglot-protonet" else None  # the others were saved without what validation tasks tell
    classifier = Classifier(open_saved(learner), {name: files[name][:2] for name in sorted(NAMES)})
    expected = classifier.predict([files[name][9] for name in NAMES], coverage=coverage)
    assert labels(answer) == [one.label for one in expected] == list(NAMES)
    for found, wanted in zip(answer.json()["predictions"], expected, strict=True):
        assert found["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-5)
        assert found["second"] == wanted.second
        assert found["probability"] == found["probabilities"][found["label"]]
        assert (None if found["set"] is None else tuple(found["set"]), found["unknown"]) == (wanted.set, wanted.unknown)


def test_examples_and_classes_come_and_go(ask: httpx.Client) -> None:
    id = made(ask, task("cross", "ring"))
    added = ask.post(f"tasks/{id}/examples", json={"class": "hook", "examples": [image("hook", seed) for seed in range(3)]})
    assert (added.status_code, added.json()["version"], added.headers["etag"]) == (200, 2, '"2"')
    assert added.json()["classes"] == {"cross": 2, "hook": 3, "ring": 2}
    assert labels(ask.post(f"tasks/{id}/predict", json={"inputs": [image("hook", 7)]})) == ["hook"]
    listed = ask.get(f"tasks/{id}").json()
    assert {name: [one["id"] for one in some["examples"]] for name, some in listed["classes"].items()} == {
        "cross": ["e1", "e2"],
        "hook": ["e5", "e6", "e7"],
        "ring": ["e3", "e4"],
    }
    assert ask.delete(f"tasks/{id}/examples/e5").json()["classes"]["hook"] == 2
    assert ask.delete(f"tasks/{id}/examples/e5").status_code == 404
    assert ask.delete(f"tasks/{id}/classes/hook").json()["classes"] == {"cross": 2, "ring": 2}
    assert labels(ask.post(f"tasks/{id}/predict", json={"inputs": [image("ring", 7)]})) == ["ring"]
    again = ask.post(f"tasks/{id}/examples", json={"class": "ring", "examples": [image("ring", 8)]}).json()
    assert again["version"] == 5
    assert ask.get(f"tasks/{id}").json()["classes"]["ring"]["examples"][-1] == {"id": "e8"}  # no id is given twice
    assert ask.delete(f"tasks/{id}").status_code == 204
    assert ask.get(f"tasks/{id}").status_code == 404
    assert ask.post(f"tasks/{id}/predict", json={"inputs": [image("ring")]}).status_code == 404


def test_the_last_example_and_the_last_two_classes_stay(ask: httpx.Client) -> None:
    id = made(ask, task("cross", "ring", shot=1))
    for path, field in ((f"tasks/{id}/examples/e1", "example"), (f"tasks/{id}/classes/ring", "class")):
        answer = ask.delete(path)
        assert (answer.status_code, answer.json()["field"]) == (409, field)
    assert ask.get(f"tasks/{id}").json()["version"] == 1


def test_a_task_of_texts_learns_from_descriptions_and_examples(ask: httpx.Client, minilm: None) -> None:
    classes = {
        "yes": {"descriptions": ["the answer is yes, I agree"]},
        "no": {"examples": [{"text": "not at all"}], "descriptions": ["a refusal"]},
    }
    id = made(ask, {"encoder": "all-MiniLM-L6-v2", "classes": classes})
    assert labels(ask.post(f"tasks/{id}/predict", json={"inputs": [{"text": "yes, I agree"}, {"text": "no, not at all"}]})) == ["yes", "no"]
    more = ask.post(f"tasks/{id}/examples", json={"class": "later", "descriptions": ["ask me another day"], "examples": []})
    assert more.json()["classes"] == {"later": 0, "no": 1, "yes": 0}
    assert ask.get(f"tasks/{id}").json()["classes"]["later"] == {"examples": [], "descriptions": ["ask me another day"]}
    assert labels(ask.post(f"tasks/{id}/predict", json={"inputs": [{"text": "ask me another day, please"}]})) == ["later"]


def test_a_task_of_numbers_gives_sets_and_alarms(ask: httpx.Client) -> None:
    random = np.random.default_rng(0)
    rows = {name: random.normal(centre, 1, (15, 3)).round(3).tolist() for name, centre in (("high", 6.0), ("low", 0.0))}
    id = made(ask, {"encoder": "numbers", "classes": {name: [{"numbers": row} for row in some] for name, some in rows.items()}})
    answer = ask.post(f"tasks/{id}/predict", json={"inputs": [{"numbers": [0, 0, 0]}, {"numbers": [6, 6, 6]}], "coverage": 0.8}).json()
    assert [(one["label"], one["set"], one["unknown"]) for one in answer["predictions"]] == [
        ("low", ["low"], False),
        ("high", ["high"], False),
    ]
    refused = ask.post(f"tasks/{id}/predict", json={"inputs": [{"numbers": [0, 0, 0]}], "coverage": 0.999})
    assert (refused.status_code, refused.json()["field"]) == (422, "coverage")
    short = ask.post(f"tasks/{id}/predict", json={"inputs": [{"numbers": [0, 0]}]})
    assert (short.status_code, short.json()["field"]) == (422, "inputs[0]")
    named = {
        "sunny": [{"numbers": {"warm": 30.0, "sky": "blue"}}, {"numbers": {"warm": 28, "sky": "blue"}}],
        "wet": [{"numbers": {"warm": 9, "sky": "grey"}}],
    }
    weather = made(ask, {"encoder": "numbers", "classes": named})
    assert labels(ask.post(f"tasks/{weather}/predict", json={"inputs": [{"numbers": {"sky": "grey", "warm": 8}}]})) == ["wet"]


def test_pages_list_all_tasks_once_the_newest_first(ask: httpx.Client) -> None:
    mine = [made(ask, task("cross", "ring", shot=1)) for _ in range(5)]
    found, after = [], None
    while True:
        page = ask.get("tasks", params={"limit": 2, **({"after": after} if after else {})}).json()
        assert len(page["tasks"]) <= 2
        found += [one["id"] for one in page["tasks"]]
        if (after := page["next"]) is None:
            break
    assert found[:5] == mine[::-1]
    assert len(set(found)) == len(found)


def test_a_form_holds_files_and_texts(ask: httpx.Client, minilm: None) -> None:
    parts = [(f"classes.{name}", (f"{name}{seed}.png", drawn(name, seed), "image/png")) for name in NAMES for seed in range(2)]
    answer = ask.post("tasks", data={"learner": "omniglot-protonet"}, files=parts)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    assert labels(ask.post(f"tasks/{id}/predict", files=[("inputs", ("x.png", drawn("hook", 5), "image/png"))])) == ["hook"]
    more = ask.post(f"tasks/{id}/examples", data={"class": "ring"}, files=[("examples", ("r.png", drawn("ring", 6), "image/png"))])
    assert more.json()["classes"]["ring"] == 3
    texts = [("classes.yes", (None, "of course")), ("classes.no", (None, "not at all"))]
    answer = ask.post("tasks", files=[("encoder", (None, "all-MiniLM-L6-v2")), *texts])
    assert answer.status_code == 201, answer.text


def test_a_version_that_is_not_the_present_one_is_refused(ask: httpx.Client) -> None:
    id = made(ask, task("cross", "ring"))
    body = {"class": "ring", "examples": [image("ring", 5)]}
    assert ask.post(f"tasks/{id}/examples", json=body, headers={"If-Match": '"1"'}).json()["version"] == 2
    refused = ask.post(f"tasks/{id}/examples", json=body, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["field"], refused.json()["expected"]) == (412, "If-Match", '"2"')
    assert ask.delete(f"tasks/{id}", headers={"If-Match": '"1"'}).status_code == 412
    assert ask.get(f"tasks/{id}", headers={"If-None-Match": '"2"'}).status_code == 304
    assert ask.delete(f"tasks/{id}", headers={"If-Match": '"2"'}).status_code == 204


def test_a_write_with_a_key_is_done_once(ask: httpx.Client) -> None:
    once = {"Idempotency-Key": f"first-{np.random.default_rng().integers(2**60)}"}
    answers = [ask.post("tasks", json=task("cross", "ring"), headers=once) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["etag"] == answers[1].headers["etag"]
    other = ask.post("tasks", json=task("cross", "hook"), headers=once)
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    id = answers[0].json()["id"]
    gone = {"Idempotency-Key": once["Idempotency-Key"] + "-gone"}
    assert [ask.delete(f"tasks/{id}", headers=gone).status_code for _ in range(2)] == [204, 204]


def test_a_task_is_downloaded_as_a_model_and_a_model_becomes_a_task(ask: httpx.Client, tmp_path: Path) -> None:
    id = made(ask, task(source={"encoder": "omniglot-protonet"}, shot=3))
    question = {"inputs": [image("ring", 9)], "probabilities": True}
    before = ask.post(f"tasks/{id}/predict", json=question).json()["predictions"]
    answer = ask.get(f"tasks/{id}/model")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "m")
    assert load_model(tmp_path / "m").counts == dict.fromkeys(NAMES, 3)
    again = ask.post("tasks", content=answer.content, headers={"Content-Type": "application/zip"})
    assert again.status_code == 201, again.text
    assert ask.post(f"tasks/{again.json()['id']}/predict", json=question).json()["predictions"] == before
    learners = made(ask, task())
    assert ask.get(f"tasks/{learners}/model").status_code == 200  # fitted to the same vectors
    lake = made(ask, task(source={"learner": "omniglot-lake"}))
    refused = ask.get(f"tasks/{lake}/model")
    assert (refused.status_code, refused.json()["field"]) == (409, "task")


def test_what_to_label_next_is_suggested(ask: httpx.Client) -> None:
    id = made(ask, task("cross", "ring"))
    inputs = [image("cross", 11), image("hook", 12), image("hook", 13), image("ring", 14)]
    answer = ask.post(f"tasks/{id}/suggest", json={"inputs": inputs, "count": 2})
    assert answer.status_code == 200, answer.text
    found = [one["input"] for one in answer.json()["suggestions"]]
    assert len(found) == 2
    assert set(found) & {1, 2}  # a hook is of no class that is known


def test_learners_are_listed_and_loaded_at_their_first_use(ask: httpx.Client) -> None:
    made(ask, task("cross", "ring"))
    found = {(one["kind"], one["name"]): one for one in ask.get("learners").json()["learners"]}
    assert found["learner", "omniglot-protonet"]["loaded"]
    assert found["learner", "omniglot-protonet"]["reads"] == "ink"
    assert not found["learner", "omniglot-maml"]["loaded"]
    assert ("encoder", "efficientnet_lite0") in found


def test_health_metrics_and_the_description(server: Thread, ask: httpx.Client) -> None:
    made(ask, task("cross", "ring"))
    assert httpx.get(server.url + "healthz").json() == {"status": "alive"}
    assert httpx.get(server.url + "readyz").json() == {"status": "ready"}
    text = httpx.get(server.url + "metrics").text
    assert 'kshot_requests_total{method="POST",route="/v1/tasks",status="201"}' in text
    schema = ask.get("openapi.json").json()
    assert {"/v1/tasks", "/v1/tasks/{id}/predict", "/v1/tasks/{id}/suggest", "/v1/learners", "/healthz", "/readyz", "/metrics"} <= set(
        schema["paths"]
    )
    assert json.dumps(schema)
    assert "<html" in httpx.get(server.url).text
    assert httpx.get(server.url + "openapi.json", follow_redirects=True).json() == schema
    described = httpx.get(server.url + "docs").text
    assert all(f"<code>{one} {path}</code>" in described for path, methods in schema["paths"].items() for one in map(str.upper, methods))
    assert not re.findall(r"<script|<(?:link|img|a)[^>]*(?:https?:)?//", described), "another machine would be asked"


def test_encoders_are_those_on_which_a_head_can_be_fitted(ask: httpx.Client) -> None:
    listed = [one["name"] for one in ask.get("learners").json()["learners"] if one["kind"] == "encoder"]
    sources = Sources()
    for name in SHIPPED:
        try:
            sources.source("encoder", name)
        except RecipeError:
            assert name not in listed
        else:
            assert name in listed


def test_a_model_keeps_its_head_when_examples_come(ask: httpx.Client, tmp_path: Path) -> None:
    rows = "size,label\n" + "".join(f"{value},{'low' if value < 5 else 'high'}\n" for value in (1, 2, 3, 7, 8, 9))
    (tmp_path / "rows.csv").write_text(rows)
    examples = find_examples(tmp_path / "rows.csv")
    model = fit(examples, NumberEncoder(fit_columns(examples.things, ["size"])), head="nearest").model
    answer = ask.post("tasks", content=archive_of(model), headers={"Content-Type": "application/zip"})
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    more = ask.post(f"tasks/{id}/examples", json={"class": "low", "examples": [{"numbers": [4.0]}]})
    assert more.json()["classes"] == {"high": 3, "low": 4}
    after = model_in(ask.get(f"tasks/{id}/model").content, Limits())
    assert (after.head_name, len(after.labels)) == ("nearest", 7)
    assert after.names[-1] == "e7"


def test_what_takes_long_to_open_goes_on_while_others_are_answered(tmp_path: Path) -> None:
    """The first request is told to come again; what it began is not begun twice, and the next one finds it done."""
    go, begun = threading.Event(), []

    def slowly() -> Source:
        begun.append(1)
        assert go.wait(30)
        return LearnerSource("slow", "omniglot-protonet")

    with served_here(f"sqlite:///{tmp_path / 'tasks.db'}", limits=Limits(opening_seconds=0.3)) as server:
        server.service.sources._openers["learner", "slow"] = slowly
        with httpx.Client(base_url=server.url + "v1/", timeout=60) as client:
            for _ in range(2):
                answer = client.post("tasks", json=task(source={"learner": "slow"}))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "10"), answer.text
                assert "opened for the first time" in answer.json()["detail"]
            id = made(client, {"encoder": "numbers", "classes": {"a": [{"numbers": [1]}], "b": [{"numbers": [2]}]}})
            assert labels(client.post(f"tasks/{id}/predict", json={"inputs": [{"numbers": [2.1]}]})) == ["b"]
            go.set()
            made(client, task(source={"learner": "slow"}))
            assert begun == [1]


def test_what_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    tried = []

    def never() -> Source:
        tried.append(1)
        raise SavedError("it is damaged.")

    with served_here(f"sqlite:///{tmp_path / 'tasks.db'}") as server:
        server.service.sources._openers["learner", "broken"] = never
        with httpx.Client(base_url=server.url + "v1/", timeout=60) as client:
            for _ in range(2):
                answer = client.post("tasks", json=task(source={"learner": "broken"}))
                assert answer.status_code == 422
                assert answer.json()["field"] == "learner"
                assert "damaged" in answer.json()["detail"]
    assert tried == [1, 1]
