"""What a server refuses, through a real socket: each problem says which field, what was expected, and what was found."""

import base64
import io
import json
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cases.served import Thread, served_here
from cases.strokes import image, task
from kshot.web.keys import add_key, read_keys, revoke_key
from kshot.web.limits import Limits

pytestmark = pytest.mark.slow
LIMITS = Limits(
    body_bytes=200_000,
    picture_pixels=1_000_000,
    text_characters=500,
    numbers=50,
    inputs=8,
    examples=12,
    classes=4,
    descriptions=2,
    tasks=6,
    body_seconds=1.0,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thread]:
    with served_here(f"sqlite:///{tmp_path_factory.mktemp('store') / 'tasks.db'}", limits=LIMITS) as found:
        yield found


@pytest.fixture
def ask(server: Thread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url + "v1/", timeout=30) as client:
        yield client
        for one in client.get("tasks").json()["tasks"]:
            client.delete(f"tasks/{one['id']}")


def refused(answer: httpx.Response, status: int, field: str, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["field"] == field
    assert problem["expected"]
    assert problem["detail"]
    told = json.dumps(problem, ensure_ascii=False)
    for word in words:
        assert word in told
    return problem


def picture(width: int, height: int) -> str:
    """Return a PNG file whose header says this size, and whose pixels are one byte each if it is small, else cut off."""
    rows = b"".join(b"\0" + b"\xff" * width for _ in range(height)) if width * height < 10_000 else b"\0"
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return base64.b64encode(b"".join(parts)).decode()


PROTONET = {"learner": "omniglot-protonet"}
TWO = {"a": [image("cross")], "b": [image("ring")]}
NUMBERS = {"a": [{"numbers": [1, 2]}], "b": [{"numbers": [3, 5]}]}


@pytest.mark.parametrize(
    ("body", "status", "field", "word"),
    [
        (b"{", 400, "body", "EOF"),
        (b"\xff\xfe", 400, "body", "JSON"),
        (b"[" * 100_000, 400, "body", "recursion"),
        (b'{"learner": "\\ud800"}', 400, "body", "hex escape"),
        (b"[]", 422, "body", "[]"),
        (b"{}", 422, "body", "exactly one of"),
        ({"learner": "x", "encoder": "y", "classes": TWO}, 422, "body", "exactly one of"),
        ({**PROTONET, "classes": TWO, "shot": 5}, 422, "shot", "left out"),
        ({"learner": 5, "classes": TWO}, 422, "learner", "5"),
        ({"learner": "omniglot-protonett", "classes": TWO}, 422, "learner", "Did you mean 'omniglot-protonet'?"),
        ({"learner": "/etc/passwd", "classes": TWO}, 422, "learner", "/etc/passwd"),
        ({"encoder": "../../secret", "classes": TWO}, 422, "encoder", "this server has no encoder"),
        ({"model": "fruit"}, 422, "model", "this server has no model"),
        ({**PROTONET, "classes": {}}, 422, "classes", "2 or more"),
        ({**PROTONET, "classes": {"a": [image("cross")]}}, 422, "classes", "found 1"),
        ({**PROTONET, "classes": {**TWO, "c": []}}, 422, "classes", "has no example"),
        ({**PROTONET, "classes": {**TWO, "": []}}, 422, "classes.", "at least 1 character"),
        ({**PROTONET, "classes": {**TWO, "a\u0000": []}}, 422, "classes.a\u0000", "control characters"),
        ({**PROTONET, "classes": {**TWO, "x" * 300: []}}, 422, f"classes.{'x' * 292}", "at most 200"),
        ({**PROTONET, "classes": {name: [image("ring")] for name in "abcde"}}, 422, "classes", "at most 4"),
        ({**PROTONET, "classes": {"a": [image("ring")] * 7, "b": [image("ring")] * 7}}, 422, "examples", "found 14"),
        ({**PROTONET, "classes": {**TWO, "c": {"examples": [image("hook")], "descriptions": ["a hook"]}}}, 422, "classes", "no sentences"),
        ({**PROTONET, "classes": {**TWO, "c": {"descriptions": ["a"] * 3}}}, 422, "classes.c.descriptions", "at most 2"),
        ({**PROTONET, "classes": {**TWO, "c": {"descriptions": ["a" * 501]}}}, 422, "classes.c.descriptions", "501"),
        ({**PROTONET, "classes": {**TWO, "c": "hook"}}, 422, "classes.c", "hook"),
        ({**PROTONET, "classes": {**TWO, "c": [{}]}}, 422, "classes.c.examples[0]", "exactly one of"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": "aGk=", "text": "hi"}]}}, 422, "classes.c.examples[0]", "exactly one of"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": "%%"}]}}, 422, "classes.c[0].image", "base64"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": ""}]}}, 422, "classes.c[0].image", "no bytes"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": "aGVsbG8="}]}}, 422, "classes.c[0].image", "5 bytes of something else"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": picture(40, 40)}]}}, 422, "classes.c[0]", "no ink"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": picture(1001, 1000)}]}}, 413, "classes.c[0].image", "1,001,000"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": picture(60_000, 60_000)}]}}, 422, "classes.c[0].image", "unreasonable"),
        ({**PROTONET, "classes": {**TWO, "c": [{"image": picture(400, 400)}]}}, 422, "classes.c[0]", "cut off or damaged"),
        ({**PROTONET, "classes": {**TWO, "c": [{"text": "a hook"}]}}, 422, "classes.c[0]", '{\\"image\\": …}'),
        ({"encoder": "numbers", "classes": {**NUMBERS, "c": [{"numbers": []}]}}, 422, "classes.c[0].numbers", "1 to 50"),
        ({"encoder": "numbers", "classes": {**NUMBERS, "c": [{"numbers": [1, 2, 3]}]}}, 422, "classes", "same columns"),
        ({"encoder": "numbers", "classes": {**NUMBERS, "c": [{"numbers": ["x", 1]}]}}, 422, "classes.c.examples[0].numbers[0]", "'x'"),
        (b'{"encoder": "numbers", "classes": {"a": [{"numbers": [NaN]}], "b": []}}', 422, "classes.a.examples[0].numbers[0]", "finite"),
        ({"encoder": "numbers", "classes": {"a": [{"numbers": [1]}], "b": [{"numbers": [1]}]}}, 422, "classes", "no column"),
        ({**PROTONET, "classes": {**TWO, "c": [{"text": "x" * 501}]}}, 422, "classes.c[0].text", "501"),
    ],
)
def test_a_task_that_cannot_be_made(ask: httpx.Client, body: Any, status: int, field: str, word: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    refused(ask.post("tasks", content=content, headers={"Content-Type": "application/json"}), status, field, word)


@pytest.mark.parametrize(
    ("question", "field", "word"),
    [
        ({"inputs": []}, "inputs", "at least 1"),
        ({"inputs": [image("ring")] * 9}, "inputs", "at most 8"),
        ({"inputs": [{"text": "ring"}]}, "inputs[0]", "image"),
        ({"inputs": [image("ring"), {"image": "aGk="}]}, "inputs[1].image", "2 bytes of something else"),
        ({"inputs": [image("ring")], "coverage": 1.5}, "coverage", "less than 1"),
        ({"inputs": [image("ring")], "coverage": "high"}, "coverage", "high"),
        ({"inputs": [image("ring")], "unknown": 0}, "unknown", "greater than 0"),
        ({"inputs": [image("ring")], "k": 3}, "k", "left out"),
    ],
)
def test_a_question_that_cannot_be_answered(ask: httpx.Client, question: dict[str, Any], field: str, word: str) -> None:
    id = ask.post("tasks", json=task("cross", "ring")).json()["id"]
    refused(ask.post(f"tasks/{id}/predict", json=question), 422, field, word)
    assert ask.post(f"tasks/{id}/predict", json={"inputs": [image("ring", 4)]}).status_code == 200


def test_an_address_or_method_that_there_is_not(ask: httpx.Client) -> None:
    for path in ("nothing", "tasks/", "tasks/%00/predict/x"):
        refused(ask.get(path), 404, "path")
    refused(ask.put("tasks"), 405, "method", "PUT")
    for id in ("x", "..", "%00" * 22, "a" * 22, "é" * 22, "a" * 5000):
        refused(ask.get(f"tasks/{id}"), 404, "path" if id == ".." else "task")
    refused(ask.post(f"tasks/{'a' * 22}/predict", json={"inputs": [image("ring")]}), 404, "task")
    refused(ask.post(f"tasks/{'a' * 22}/examples", json={"class": "a", "examples": [image("ring")]}), 404, "task")
    id = ask.post("tasks", json=task("cross", "ring")).json()["id"]
    for example in ("e99", "99", "e0", "e1x", "%00"):
        refused(ask.delete(f"tasks/{id}/examples/{example}"), 404, "example")
    refused(ask.delete(f"tasks/{id}/classes/%00"), 404, "class")
    refused(ask.delete(f"tasks/{id}/classes/hook"), 404, "class", "cross")


def test_headers_and_pages_that_do_not_fit(ask: httpx.Client) -> None:
    id = ask.post("tasks", json=task("cross", "ring")).json()["id"]
    refused(ask.delete(f"tasks/{id}", headers={"If-Match": "one"}), 400, "If-Match", "one")
    refused(ask.post("tasks", json={}, headers={"Idempotency-Key": "two words"}), 400, "Idempotency-Key")
    refused(ask.post("tasks", json={}, headers={"Idempotency-Key": "x" * 201}), 400, "Idempotency-Key")
    for limit in ("0", "201", "-1", "ten", "²"):
        refused(ask.get("tasks", params={"limit": limit}), 422, "limit")
    for after in ("x", "W10", base64.urlsafe_b64encode(b"[" * 3000).decode(), base64.urlsafe_b64encode(b'[1e400, "a"]').decode()):
        refused(ask.get("tasks", params={"after": after}), 422, "after")
    for kind in ("", "text/plain", "application/x-www-form-urlencoded"):
        refused(ask.post("tasks", content=b"{}", headers={"Content-Type": kind}), 415, "Content-Type", "multipart")


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="learner"\r\n\r\nomniglot',
        b'--y\r\nContent-Disposition: form-data; name="learner"\r\n\r\nomniglot\r\n--y--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="learner"; filename="a"\r\n\r\nomniglot\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="classes.a"; filename="a"\r\n\r\n\x00\xff\r\n--x--\r\n',
    ],
)
def test_a_malformed_form(ask: httpx.Client, form: bytes) -> None:
    answer = ask.post("tasks", content=form, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["field"]
    refused(ask.post("tasks", content=form, headers={"Content-Type": "multipart/form-data"}), 400, "body")


def test_a_body_that_is_too_large_is_refused_before_it_has_come(server: Thread, ask: httpx.Client) -> None:
    refused(ask.post("tasks", content=b" " * 200_001, headers={"Content-Type": "application/json"}), 413, "body", "200,000")

    def pieces() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 1000

    refused(ask.post("tasks", content=pieces(), headers={"Content-Type": "application/json"}), 413, "body")
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        link.sendall(f"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {10**15}\r\n\r\n".encode())
        assert b" 413 " in link.recv(1000)


def test_a_body_that_comes_too_slowly_is_given_up(server: Thread) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        head = (
            f"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        )
        link.sendall(head.encode())
        began = time.monotonic()
        answer = link.recv(4000)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"G" * 100_000,
    ],
)
def test_what_is_no_http_harms_nobody(server: Thread, ask: httpx.Client, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        try:
            link.sendall(said)
            link.shutdown(socket.SHUT_WR)
            link.recv(1000)
        except OSError:
            pass
    assert ask.get("tasks").status_code == 200


def test_more_tasks_or_examples_than_a_tenant_may_have(ask: httpx.Client) -> None:
    ids = [ask.post("tasks", json=task("cross", "ring", shot=1)).json()["id"] for _ in range(6)]
    refused(ask.post("tasks", json=task("cross", "ring", shot=1)), 409, "task", "6")
    refused(ask.post(f"tasks/{ids[0]}/examples", json={"class": "cross", "examples": [image("cross", 1)] * 11}), 422, "examples", "13")
    for name in ("c", "d"):
        assert ask.post(f"tasks/{ids[0]}/examples", json={"class": name, "examples": [image("hook", 1)]}).status_code == 200
    refused(ask.post(f"tasks/{ids[0]}/examples", json={"class": "e", "examples": [image("hook", 1)]}), 422, "class", "5")
    refused(ask.post(f"tasks/{ids[0]}/examples", json={"class": "c", "examples": []}), 422, "examples", "none")


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in files.items():
            found.writestr(name.replace("__", "/").replace("_json", ".json"), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "word"),
    [
        (b"", 422, "no zip"),
        (b"PK\x03\x04" + b"\0" * 100, 422, "no zip"),
        (archive(a_json=b"{}"), 422, "model.json"),
        (archive(model_json=b"{}"), 422, "format"),
        (archive(model_json=b"[" * 10_000), 422, "damaged"),
        (archive(x__model_json=b"{}", y__model_json=b"{}"), 422, "twice"),
        (archive(model_json=b" " * (8 * 200_000 + 1)), 413, "unpacked"),
        (archive(**{f"f{number}": b"" for number in range(101)}), 422, "101"),
        (archive(**{"..__..__model_json": b"{}"}), 422, "format"),
    ],
)
def test_a_zip_that_is_no_model(ask: httpx.Client, content: bytes, status: int, word: str) -> None:
    refused(ask.post("tasks", content=content, headers={"Content-Type": "application/zip"}), status, "body", word)


def test_without_keys_pages_and_names_of_elsewhere_are_refused(server: Thread) -> None:
    url = server.url + "v1/tasks"
    refused(httpx.get(url, headers={"Host": "evil.example"}), 421, "Host", "evil.example")
    refused(httpx.get(url, headers={"Origin": "http://evil.example"}), 403, "Origin", "evil.example")
    refused(httpx.get(url, headers={"Origin": "null"}), 403, "Origin")
    assert httpx.get(url, headers={"Origin": f"http://127.0.0.1:{server.port}"}).status_code == 200


def test_a_tenant_sees_its_own_tasks_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = {name: add_key(file, name) for name in ("ann", "bob")}
    assert all(key not in file.read_text() for key in keys.values())
    assert file.stat().st_mode & 0o077 == 0
    with served_here(f"sqlite:///{tmp_path / 'tasks.db'}", keys=file) as server:
        clients = {
            name: httpx.Client(base_url=server.url + "v1/", headers={"Authorization": f"Bearer {key}"}) for name, key in keys.items()
        }
        id = clients["ann"].post("tasks", json=task("cross", "ring"), headers={"Idempotency-Key": "k"}).json()["id"]
        question = {"inputs": [image("ring")]}
        assert clients["ann"].post(f"tasks/{id}/predict", json=question).status_code == 200  # it is in the cache now
        bob = clients["bob"]
        refused(bob.get(f"tasks/{id}"), 404, "task")
        refused(bob.post(f"tasks/{id}/predict", json=question), 404, "task")
        refused(bob.post(f"tasks/{id}/suggest", json=question), 404, "task")
        refused(bob.get(f"tasks/{id}/model"), 404, "task")
        refused(bob.post(f"tasks/{id}/examples", json={"class": "ring", "examples": [image("ring")]}), 404, "task")
        refused(bob.delete(f"tasks/{id}/examples/e1"), 404, "task")
        refused(bob.delete(f"tasks/{id}/classes/ring"), 404, "task")
        refused(bob.delete(f"tasks/{id}"), 404, "task")
        assert bob.get("tasks").json() == {"tasks": [], "next": None}
        own = bob.post("tasks", json=task("cross", "hook"), headers={"Idempotency-Key": "k"})  # keys of writes are each tenant's own
        assert own.status_code == 201
        for header in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer kshot_wrong"}, {"Authorization": f"Basic {keys['ann']}"}):
            answer = httpx.get(server.url + "v1/tasks", headers=header)
            refused(answer, 401, "Authorization")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert httpx.get(server.url + "healthz").status_code == 200
        revoke_key(file, next(one.id for one in read_keys(file) if one.tenant == "ann"))
        refused(clients["ann"].get("tasks"), 401, "Authorization")
        assert bob.get("tasks").status_code == 200
        for client in clients.values():
            client.close()


def test_overload_is_told_with_the_time_to_ask_again(tmp_path: Path) -> None:
    limits = Limits(waiting=4, waiting_of_tenant=3, changes=0)
    with served_here(f"sqlite:///{tmp_path / 'tasks.db'}", limits=limits) as server:
        answer = httpx.post(server.url + "v1/tasks", json=task("cross", "ring"))
        refused(answer, 503, "request")
        assert answer.headers["retry-after"] == "1"
        with server.service.admission.question("", 3):
            answer = httpx.post(server.url + f"v1/tasks/{'a' * 22}/predict", json={"inputs": [image("ring")]})
            refused(answer, 429, "request")
            assert answer.headers["retry-after"] == "1"
        with server.service.admission.question("other", 4):
            refused(httpx.post(server.url + f"v1/tasks/{'a' * 22}/predict", json={"inputs": [image("ring")]}), 503, "request")
    with served_here(f"sqlite:///{tmp_path / 'tasks.db'}", limits=Limits(request_seconds=0.0)) as server:
        refused(httpx.get(server.url + "v1/tasks"), 503, "request", "0 s")
