"""The server as a process: several workers on one store, the end of it, its log, and what it refuses at its start."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cases.served import Process, serving
from cases.strokes import image, task
from kshot import cli
from kshot.exit_code import exit_code_of
from kshot.web.keys import add_key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("served")) as found:
        yield found


def kshot(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kshot", *words], capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_agree_and_end_with_their_parent(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        workers = [pid for pid in children(server.process.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(workers) == 2

        def ask(path: str, body: object, method: str = "POST") -> httpx.Response:
            return httpx.request(method, server.url + "v1/" + path, json=body, timeout=60)  # a new connection each, to any worker

        id = ask("tasks", task("cross", "ring", shot=1)).json()["id"]
        version = 1
        with ThreadPoolExecutor(4) as pool:
            for _ in range(6):
                list(pool.map(lambda _: ask(f"tasks/{id}/predict", {"inputs": [image("ring")]}), range(4)))  # both have it in memory
                version += 1
                assert ask(f"tasks/{id}/examples", {"class": "ring", "examples": [image("ring", version)]}).json()["version"] == version
                seen = list(pool.map(lambda _: ask(f"tasks/{id}/predict", {"inputs": [image("ring")]}).json()["version"], range(8)))
                assert seen == [version] * 8
            # writers that meet: each change is made, one after another
            made = list(
                pool.map(lambda seed: ask(f"tasks/{id}/examples", {"class": "cross", "examples": [image("cross", seed)]}), range(1, 9))
            )
            assert sorted(one.json()["version"] for one in made) == list(range(version + 1, version + 9))
        assert len(ask(f"tasks/{id}", None, "GET").json()["classes"]["cross"]["examples"]) == 9
        assert 'kshot_requests_total{method="POST"' in httpx.get(server.url + "metrics").text
        os.kill(server.process.pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while any(map(is_there, workers)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(map(is_there, workers))


def test_a_signal_ends_the_server_after_its_answers(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        id = httpx.post(server.url + "v1/tasks", json=task("cross", "ring"), timeout=60).json()["id"]
        link = http.client.HTTPConnection("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2]), timeout=60)
        body = json.dumps({"inputs": [image("ring")] * 64})
        link.request("POST", f"/v1/tasks/{id}/predict", body, {"Content-Type": "application/json"})
        time.sleep(0.3)  # it has come, whether it is answered yet or not
        server.process.send_signal(signal.SIGTERM)
        answer = link.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["predictions"]) == 64
        link.close()
        assert server.process.wait(30) in (0, -signal.SIGTERM)
    with serving(tmp_path) as server:  # what was answered is there
        assert httpx.get(server.url + f"v1/tasks/{id}", timeout=60).json()["version"] == 1


def test_the_log_has_request_ids_and_nothing_of_a_user(server: Process) -> None:
    secret, before = "ring-of-a-user", len(server.said)
    body = {"learner": "omniglot-protonet", "classes": {secret: [image("ring")], "b": [image("cross")]}}
    answer = httpx.post(server.url + "v1/tasks", json=body, headers={"X-Request-Id": "mine-1", "User-Agent": secret}, timeout=60)
    id = answer.json()["id"]
    assert answer.headers["x-request-id"] == "mine-1"
    strange = httpx.delete(server.url + f"v1/tasks/{id}/classes/{secret}", headers={"X-Request-Id": "no good"})
    assert strange.headers["x-request-id"] != "no good"
    httpx.get(server.url + f"v1/{secret}?q={secret}")

    def written() -> list[dict[str, Any]]:
        return [json.loads(line) for line in server.said[before:] if line.startswith("{")]

    def requests() -> list[dict[str, Any]]:
        return [line for line in written() if line["event"] == "request" and line["route"] != "/readyz"]

    end = time.monotonic() + 30
    while len(requests()) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    lines, asked = written(), requests()
    assert [(one["method"], one["route"], one["status"]) for one in asked] == [
        ("POST", "/v1/tasks", 201),
        ("DELETE", "/v1/tasks/{id}/classes/{name:path}", 409),
        ("GET", "none", 404),
    ]
    assert asked[0]["request"] == "mine-1"
    assert asked[0]["ms"] > 0
    assert all(one["time"] and one["level"] for one in lines)
    assert secret not in "".join(server.said)
    assert id not in "".join(server.said)


def test_broken_and_slow_clients_hold_up_nobody(server: Process) -> None:
    """A hundred of them here; `make bench` has a thousand."""
    with httpx.Client(base_url=server.url + "v1/", timeout=60) as good:
        id = good.post("tasks", json=task("cross", "ring")).json()["id"]
        port = int(server.url.rstrip("/").rpartition(":")[2])
        bad = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for place, one in enumerate(bad):
            one.sendall([b"", b"GET /", b"POST /v1/tasks HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{", b"\0\1\2\r\n\r\n"][place % 4])
        for _ in range(20):
            assert good.post(f"tasks/{id}/predict", json={"inputs": [image("ring")]}).status_code == 200
        for one in bad:
            one.close()
        assert good.get("tasks").status_code == 200


def test_a_model_of_kshot_fit_is_served(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("size,label\n1,low\n2,low\n9,high\n8,high\n")
    assert kshot("fit", "rows.csv", "-o", "sizes", folder=tmp_path).returncode == 0
    with serving(tmp_path, "sizes") as server:
        listed = httpx.get(server.url + "v1/learners").json()["learners"]
        assert {"name": "sizes", "kind": "model", "reads": "numbers", "loaded": True} in listed
        assert not [one for one in listed if one["kind"] == "learner"]
        id = httpx.post(server.url + "v1/tasks", json={"model": "sizes"}).json()["id"]
        answer = httpx.post(server.url + f"v1/tasks/{id}/predict", json={"inputs": [{"numbers": {"size": 1.5}}, {"numbers": [8.5]}]})
        assert [one["label"] for one in answer.json()["predictions"]] == ["low", "high"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--keys"),
        (["--host", "example.invalid", "--keys", "keys.json"], "cannot listen at example.invalid"),
        (["--keys", "none.json"], "there is no file of keys"),
        (["--keys", "broken.json"], "is no file of keys"),
        (["--port", "70000"], "--port is from 0 to 65535"),
        (["--workers", "0"], "--workers is from 1"),
        (["--store", "mysql://h/n"], "sqlite:///FILE or postgresql://"),
        (["--store", "sqlite://"], "needs a file"),
        (["--store", "sqlite:////no/such/folder/x.db"], "cannot be opened"),
        (["--store", "sqlite:///broken.json"], "cannot be opened"),
        (["--store", "postgresql://kshot@127.0.0.1:1/none"], "cannot be opened"),
        (["nothing-of-this-name"], "nothing-of-this-name"),
        (["learned-optimizer"], "learned-optimizer"),
        ([".", "."], "kshot serve takes"),
    ],
)
def test_a_start_that_makes_no_sense(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported what a server needs: nothing is served."""
    (tmp_path / "broken.json").write_text("x" * 5000)
    add_key(tmp_path / "keys.json", "ann")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kshot", "serve", "--port", "0", *words])
    code = exit_code_of(cli.app)
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, ""), printed.err
    assert told in " ".join(printed.err.split())


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = kshot("serve", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)

    def keys(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["kshot", "keys", *words])
        assert exit_code_of(cli.app) == code
        return capsys.readouterr().out

    key = keys("add", "keys.json", "ann").strip()
    assert key.startswith("kshot_")
    assert len(key) > 40
    (listed,) = json.loads(keys("list", "keys.json", "--json"))["keys"]
    assert listed["tenant"] == "ann"
    assert key not in (tmp_path / "keys.json").read_text()
    assert "ann" in keys("list", "keys.json")
    keys("revoke", "keys.json", "nobody", code=2)
    keys("revoke", "keys.json", listed["id"])
    assert json.loads((tmp_path / "keys.json").read_text())["keys"] == []
    keys("add", "keys.json", "", code=2)
