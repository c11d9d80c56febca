"""Writes through a real socket while the server is killed: every answered write is there afterwards, and none is half there.

Several writers, each with tasks of its own, make tasks, add examples, take examples and classes away, and delete tasks. The server is ended
by SIGKILL at a random moment, and started again on the same store. In: a store. Out: `Counts`. Next: `hostile_service.__main__`.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from cases.served import Process, serving
from cases.strokes import NAMES, image, task

WRITERS = 3
MOST_TASKS = 6


@dataclass
class Counts:
    """What has happened.

    Attributes:
        kills: How often the server was killed.
        answered: Writes that were answered.
        checked: Tasks that were looked at after a kill.
        lost: Answered writes that were not there.
        half: Tasks of which one part was there without another.
    """

    kills: int = 0
    answered: int = 0
    checked: int = 0
    lost: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, int]:
        """Return the counts."""
        return {"kills": self.kills, "answered": self.answered, "checked": self.checked, "lost": len(self.lost), "half": len(self.half)}


class Writer:
    """Writes, and remembers what was answered.

    Attributes:
        tasks: Tasks by id: the last answer.
        open: The ids of tasks on which a write was not answered; they may have one version more, or be gone.
        gone: The ids of tasks whose deletion was answered.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.tasks: dict[str, dict[str, Any]] = {}
        self.open: set[str] = set()
        self.gone: set[str] = set()
        self.answered = 0

    def write(self, client: httpx.Client) -> None:
        """Do one write. Raises `httpx.TransportError` if the server is gone."""
        if len(self.tasks) < 2 or (len(self.tasks) < MOST_TASKS and self._random.random() < 0.3):
            answer = client.post("tasks", json=task("cross", "ring", shot=1))
            assert answer.status_code == 201, answer.text
            self.tasks[answer.json()["id"]] = answer.json()
        else:
            self._change(client, self._random.choice(sorted(self.tasks)))
        self.answered += 1

    def _change(self, client: httpx.Client, id: str) -> None:
        known = self.tasks[id]
        self.open.add(id)
        choice = self._random.random()
        many = [name for name, count in known["classes"].items() if count > 1]
        if choice < 0.1:
            answer = client.delete(f"tasks/{id}")
            assert answer.status_code == 204, answer.text
            self.gone.add(id)
            del self.tasks[id]
        elif choice < 0.4 and len(known["classes"]) == 3:
            answer = client.delete(f"tasks/{id}/classes/{self._random.choice(NAMES)}")
            self._learn(id, answer)
        elif choice < 0.6 and many:
            listed = client.get(f"tasks/{id}").json()["classes"][many[0]]["examples"]
            self._learn(id, client.delete(f"tasks/{id}/examples/{listed[0]['id']}"))
        else:
            name = self._random.choice(NAMES)
            body = {"class": name, "examples": [image(name, self._random.randrange(20)) for _ in range(self._random.choice([1, 1, 3]))]}
            self._learn(id, client.post(f"tasks/{id}/examples", json=body))
        self.open.discard(id)

    def _learn(self, id: str, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.tasks[id] = answer.json()

    def check(self, client: httpx.Client, counts: Counts) -> None:
        """Compare what the server has with what was answered, and go on from what it has."""
        for id in self.gone:
            if client.get(f"tasks/{id}").status_code != 404:
                counts.lost.append(f"the deletion of {id}")
        for id, known in list(self.tasks.items()):
            counts.checked += 1
            answer = client.get(f"tasks/{id}")
            if answer.status_code == 404:
                if id not in self.open:
                    counts.lost.append(f"the task {id}")
                del self.tasks[id]
                continue
            found = answer.json()
            listed = {name: len(one["examples"]) for name, one in found["classes"].items()}
            expected = {known["version"]} | ({known["version"] + 1} if id in self.open else set())
            if found["version"] not in expected or (found["version"] == known["version"] and listed != known["classes"]):
                counts.lost.append(f"version {known['version']} of {id}: found {found['version']}")
            asked = client.post(f"tasks/{id}/predict", json={"inputs": [image("ring", 3)], "probabilities": True})
            whole = asked.status_code == 200 and asked.json()["version"] == found["version"]
            if not whole or set(asked.json()["predictions"][0]["probabilities"]) != set(listed) or not all(listed.values()):
                counts.half.append(f"{id}: {asked.text[:200]}")
            self.tasks[id] = {**known, "version": found["version"], "classes": listed}
        self.open.clear()


def killed_writes(
    folder: Path, store: str | None, *, kills: int, writes: int, seed: int = 0, seen: Callable[[Counts], None] = lambda counts: None
) -> Counts:
    """Write and kill.

    Args:
        folder: Where the store lies, if it is a file.
        store: The URL of the store; None: a file.
        kills: How often the server is killed.
        writes: How many writes are answered in all, at least.
        seed: Of the choice of writes and moments.
        seen: Told the counts after each kill.
    """
    counts, chosen = Counts(), random.Random(seed)
    writers = [Writer(1000 * seed + number) for number in range(WRITERS)]
    more = ("--store", store) if store else ()
    for kill in range(kills):
        target = writes * (kill + 1) // kills
        with serving(folder, *more) as server:
            _check(server, writers, counts)
            _write_until(server, writers, target, chosen.random())
        counts.kills += 1
        counts.answered = sum(one.answered for one in writers)
        seen(counts)
    with serving(folder, *more) as server:
        _check(server, writers, counts)
    return counts


def _check(server: Process, writers: list[Writer], counts: Counts) -> None:
    with _client(server) as client:
        for one in writers:
            one.check(client, counts)
        for row in _all_tasks(client):
            listed = {name: len(one["examples"]) for name, one in client.get(f"tasks/{row['id']}").json()["classes"].items()}
            if row["classes"] != listed:
                counts.half.append(f"{row['id']}: the record says {row['classes']}, the examples {listed}")


def _write_until(server: Process, writers: list[Writer], target: int, moment: float) -> None:
    faults: list[BaseException] = []

    def work(writer: Writer) -> None:
        with _client(server) as client:
            try:
                while True:
                    writer.write(client)
            except httpx.TransportError:
                pass
            except BaseException as error:
                faults.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in writers]
    for thread in threads:
        thread.start()
    while sum(one.answered for one in writers) < target and not faults:
        threading.Event().wait(0.005)
    threading.Event().wait(0.05 * moment)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


@contextmanager
def _client(server: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url + "v1/", timeout=60) as client:
        yield client


def _all_tasks(client: httpx.Client) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        page = client.get("tasks", params={"limit": 200, **({} if after is None else {"after": after})}).json()
        yield from page["tasks"]
        if (after := page["next"]) is None:
            return
