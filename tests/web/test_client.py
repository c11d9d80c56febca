"""The client, plain and asynchronous, through a real socket: what it sends, when it asks again, and what it raises."""

import asyncio
import base64
import inspect
import io
import subprocess
import sys
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kshot
import kshot.web.async_client
import kshot.web.client
from cases.encoders import Lengths
from cases.scripted_service import Answer, Service, scripted_service
from kshot.errors import DataError, KshotError, RecipeError, SavedError, SetupError
from kshot.tasks.examples import Examples
from kshot.tasks.fit import fit
from kshot.tasks.model_folder import load_model, save_model
from kshot.web.async_client import AsyncClient
from kshot.web.client_calls import _LONGEST_WAIT, wire
from kshot.web.client_connection import RemotePrediction, RemoteSuggestion

TASK = {"id": "t1", "version": 3, "classes": {}}


@pytest.fixture
def service() -> Iterator[Service]:
    with scripted_service() as found:
        yield found


@pytest.fixture(params=["plain", "asynchronous"])
def run(request: pytest.FixtureRequest, service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call a method of a client by its name; the seconds that it would wait are kept in `run.waited`."""
    waited: list[float] = []

    async def no_sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(kshot.web.client.time, "sleep", waited.append)
    monkeypatch.setattr(kshot.web.async_client, "asyncio", type("NoSleep", (), {"sleep": staticmethod(no_sleep)}))

    def call(method: str, *arguments: Any, key: str | None = None, retries: int = 4, url: str = "", **named: Any) -> Any:
        if request.param == "plain":
            with kshot.Client(url or service.url, key=key, retries=retries) as client:
                found = getattr(client, method)(*arguments, **named)
                return list(found) if method == "tasks" else found

        async def asked() -> Any:
            async with AsyncClient(url or service.url, key=key, retries=retries) as client:
                found = getattr(client, method)(*arguments, **named)
                if method == "tasks":
                    return [one async for one in found]
                assert isinstance(found, Awaitable)
                return await found

        return asyncio.run(asked())

    call.waited = waited  # type: ignore[attr-defined]
    return call


@pytest.mark.slow
def test_a_task_is_made_asked_changed_and_deleted(run: Callable[..., Any], service: Service, tmp_path: Path) -> None:
    Image.new("L", (2, 2), 255).save(tmp_path / "a.png")
    picture = {"image": base64.b64encode((tmp_path / "a.png").read_bytes()).decode()}
    service.answers = [
        Answer(201, TASK),
        Answer(200, {"predictions": [{"label": "a", "probability": 0.9, "second": "b", "unknown": False, "set": ["a"]}], "version": 3}),
        Answer(200, {**TASK, "version": 4}),
        Answer(204),
        Answer(204),
        Answer(200, TASK),
        Answer(204),
        Answer(200, {"learners": [{"name": "omniglot-protonet"}]}),
    ]
    made = run("create", {"a": [tmp_path / "a.png"], "b": {"examples": [tmp_path / "a.png"]}}, learner="omniglot-protonet", key="secret")
    assert (made.id, made.version) == ("t1", 3)
    (found,) = run("predict", "t1", [tmp_path / "a.png"], coverage=0.8, unknown=0.01)
    assert found == RemotePrediction("a", 0.9, "b", False, ("a",), {})
    assert run("add", "t1", "c", ["text"], version=3).version == 4
    run("remove_example", "t1", "e/7")
    run("remove_class", "t1", "greek/α")
    assert run("task", "t1").about["classes"] == {}
    run("delete", "t1")
    assert run("learners") == [{"name": "omniglot-protonet"}]
    first, second, third = service.asked[:3]
    assert (first.method, first.path) == ("POST", "/v1/tasks")
    assert first.body == {"learner": "omniglot-protonet", "classes": {"a": [picture], "b": {"examples": [picture]}}}
    assert first.headers["authorization"] == "Bearer secret"
    assert "authorization" not in second.headers
    assert (second.path, second.body) == ("/v1/tasks/t1/predict", {"inputs": [picture], "coverage": 0.8, "unknown": 0.01})
    assert (third.body, third.headers["if-match"]) == ({"class": "c", "examples": [{"text": "text"}]}, '"3"')
    assert [(one.method, one.path) for one in service.asked[3:]] == [
        ("DELETE", "/v1/tasks/t1/examples/e%2F7"),
        ("DELETE", "/v1/tasks/t1/classes/greek%2F%CE%B1"),
        ("GET", "/v1/tasks/t1"),
        ("DELETE", "/v1/tasks/t1"),
        ("GET", "/v1/learners"),
    ]
    keys = [one.headers.get("idempotency-key") for one in service.asked]
    writes = [0, 2, 3, 4, 6]
    assert [place for place, key in enumerate(keys) if key] == writes
    assert len({keys[place] for place in writes}) == len(writes)


def test_tasks_are_read_page_after_page(run: Callable[..., Any], service: Service) -> None:
    service.answers = [
        Answer(200, {"tasks": [TASK, {**TASK, "id": "t2"}], "next": "t 2"}),
        Answer(200, {"tasks": [{**TASK, "id": "t3"}], "next": None}),
    ]
    assert [one.id for one in run("tasks")] == ["t1", "t2", "t3"]
    assert [one.path for one in service.asked] == ["/v1/tasks", "/v1/tasks?after=t+2"]


def test_it_asks_again_with_the_same_key_and_waits_as_told(run: Callable[..., Any], service: Service) -> None:
    service.answers = [
        Answer(broken=True),
        Answer(503, {"title": "busy"}),
        Answer(429, {"title": "slow down"}, {"Retry-After": "7"}),
        Answer(409, {"title": "the same request is being answered"}, {"Retry-After": "86400"}),
        Answer(201, TASK),
    ]
    assert run("create", {"a": ["x"], "b": ["y"]}, encoder="lengths").id == "t1"
    assert len({one.headers["idempotency-key"] for one in service.asked}) == 1
    first, second, third, fourth = run.waited  # type: ignore[attr-defined]
    assert 0.125 <= first <= 0.25
    assert 0.25 <= second <= 0.5
    assert (third, fourth) == (7, _LONGEST_WAIT)


def test_it_gives_up(run: Callable[..., Any], service: Service) -> None:
    service.answers = [Answer(503, {"title": "overloaded", "detail": "32 requests wait"}, {"Retry-After": "1"})] * 3
    with pytest.raises(SetupError, match="POST /v1/tasks/t1/predict was answered with 503: 32 requests wait") as caught:
        run("predict", "t1", ["x"], retries=2)
    assert caught.value.problem == {"title": "overloaded", "detail": "32 requests wait", "status": 503}
    assert run.waited == [1, 1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, SavedError), (409, SavedError), (412, SavedError), (401, SetupError), (403, SetupError), (500, SetupError), (429, SetupError)]
    + [(status, DataError) for status in (400, 413, 415, 422)],
)
def test_a_refusal_is_raised_at_once_with_the_fields_of_the_problem(
    run: Callable[..., Any], service: Service, status: int, error: type[KshotError]
) -> None:
    problem = {"type": "about:blank", "title": "no", "detail": "classes.a: expected 1 example; found 0", "field": "classes.a"}
    service.answers = [Answer(status, problem, {"Content-Type": "application/problem+json"})]
    with pytest.raises(error, match=rf"answered with {status}: classes\.a: expected 1 example; found 0") as caught:
        run("create", {"a": ["x"], "b": ["y"]}, learner="x")
    assert caught.value.problem == {**problem, "status": status}
    assert run.waited == []  # type: ignore[attr-defined]


def test_another_program_answers(run: Callable[..., Any], service: Service) -> None:
    service.answers = [Answer(200, b"<html>"), Answer(404, b"<html>not found")]
    with pytest.raises(SetupError, match=r"the answer is no JSON \(.*\): this is no kshot service"):
        run("task", "t1")
    with pytest.raises(SavedError, match=r"404: the answer has no words: '<html>not found'"):
        run("task", "t1")


def test_suggestions(run: Callable[..., Any], service: Service) -> None:
    service.answers = [Answer(200, {"suggestions": [{"input": 1, "gain": 0.5, "label": "a", "probability": 0.4}], "version": 1})]
    assert run("suggest", "t1", ["x", "y"], count=1) == [RemoteSuggestion(1, 0.5, "a", 0.4)]
    assert (service.asked[0].path, service.asked[0].body) == (
        "/v1/tasks/t1/suggest",
        {"inputs": [{"text": "x"}, {"text": "y"}], "count": 1},
    )
    assert "idempotency-key" not in service.asked[0].headers


def test_a_model_goes_there_and_back(run: Callable[..., Any], service: Service, tmp_path: Path) -> None:
    examples = Examples("texts", ["a", "bb", "a b c d", "a b c d e"], ["s", "s", "l", "l"], list("1234"))
    save_model(tmp_path / "model", fit(examples, Lengths()).model)
    (tmp_path / "model" / "notes.txt").write_text("mine")
    service.answers = [Answer(201, TASK)]
    assert run("upload", tmp_path / "model").id == "t1"
    sent = service.asked[0]
    assert (sent.path, sent.headers["content-type"]) == ("/v1/tasks", "application/zip")
    service.answers = [Answer(200, sent.raw)]
    run("download", "t1", tmp_path / "again")
    names = sorted(path.name for path in (tmp_path / "again").iterdir())
    assert [name.partition("-")[0] for name in names] == ["arrays", "model.json"]
    assert load_model(tmp_path / "again").classes == ("l", "s")
    with pytest.raises(SavedError, match=r"holds a model\. Replace it with --overwrite, or choose another folder"):
        run("download", "t1", tmp_path / "again")


def test_what_is_no_model_is_not_sent_and_not_written(run: Callable[..., Any], service: Service, tmp_path: Path) -> None:
    with pytest.raises(SavedError, match=r"is not a model: it has no model\.json"):
        run("upload", tmp_path)
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("../model.json", "{}")
    for content, message in (
        (b"<html>", "is no zip of a model"),
        (empty.getvalue(), "a zip without model.json"),
        (evil.getvalue(), "without"),
    ):
        service.answers = [Answer(200, content)]
        with pytest.raises(SetupError, match=message):
            run("download", "t1", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == []


def test_nobody_answers(run: Callable[..., Any]) -> None:
    with scripted_service() as gone:
        url = gone.url
    with pytest.raises(SetupError, match=r"the service does not answer: .*kshot serve, or check the address") as caught:
        run("task", "t1", url=url, retries=1)
    assert caught.value.problem is None
    assert len(run.waited) == 1  # type: ignore[attr-defined]


def test_things_as_the_service_takes_them(tmp_path: Path) -> None:
    assert wire("a text") == {"text": "a text"}
    assert wire(np.array([1.5, 2], np.float32)) == {"numbers": [1.5, 2.0]}
    assert wire((1, 2.5)) == {"numbers": [1, 2.5]}
    assert wire({"height": np.float32(1.5), "kind": "a"}) == {"numbers": {"height": 1.5, "kind": "a"}}
    assert wire({"image": "AAAA"}) == {"image": "AAAA"}
    image = Image.new("RGB", (3, 2), "red")
    again = Image.open(io.BytesIO(base64.b64decode(wire(image)["image"])))
    assert (again.size, again.getpixel((0, 0))) == ((3, 2), (255, 0, 0))
    for bad in (3, None, [], ["a"], np.zeros((2, 2)), b"bytes"):
        with pytest.raises(DataError, match="an example is a text, the path of a picture"):
            wire(bad)
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.png: No such file"):
        wire(tmp_path / "nowhere.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"url": "127.0.0.1:8000"}, "begins with http:// or https://; found '127.0.0.1:8000'"),
        ({"timeout_seconds": 0.0}, "timeout_seconds is above 0"),
        ({"retries": -1}, "retries at least 0; found 30.0 and -1"),
    ],
)
def test_a_client_that_makes_no_sense(words: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        kshot.Client(**words)


def test_a_task_that_makes_no_sense() -> None:
    with kshot.Client("http://127.0.0.1:1") as client:
        with pytest.raises(RecipeError, match="made with one of learner, encoder, model; found none"):
            client.create({"a": ["x"]})
        with pytest.raises(DataError, match=r"a class is given a list of examples; found 'x'. Put it into a list"):
            client.create({"a": "x"}, learner="l")


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Any]:
        public = {name: made for name, made in vars(kind).items() if not name.startswith("_") and name != "close"}
        return {name: list(inspect.signature(made).parameters.values()) for name, made in public.items()}

    assert methods(kshot.Client) == methods(AsyncClient)


@pytest.mark.slow
def test_importing_the_client_loads_neither_httpx_nor_torch() -> None:
    code = "import sys, kshot; kshot.Client; import kshot.web.async_client; print(sorted({'httpx', 'torch', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(SetupError, match=r"the client of a service needs httpx.*pip install 'kshot\[web\]'"):
        kshot.Client()
