"""Requests of one tenant with another's ids, drawn at random: none is answered. In: a number. Out: how many were. Next: `__main__`."""

import random
from pathlib import Path

import httpx

from cases.served import serving
from cases.strokes import image, task
from kshot.web.keys import add_key


def foreign_ids(folder: Path, *, requests: int, seed: int = 0) -> int:
    """Ask as one tenant for the tasks of another, with a task of its own beside them.

    Returns:
        How many requests got another answer than that there is no such task.
    """
    chosen, file = random.Random(seed), folder / "keys.json"
    keys = {name: add_key(file, name) for name in ("ann", "bob")}
    answered = 0
    with serving(folder, "--keys", str(file)) as server:
        ann, bob = (
            httpx.Client(base_url=server.url + "v1/", headers={"Authorization": f"Bearer {keys[name]}"}, timeout=60) for name in keys
        )
        with ann, bob:
            ids = [ann.post("tasks", json=task("cross", "ring", shot=1)).json()["id"] for _ in range(20)]
            assert bob.post("tasks", json=task("cross", "ring", shot=1)).status_code == 201
            for place in range(requests):
                id = chosen.choice(ids)
                if place % 100 == 0:  # the task is in the cache, too
                    assert ann.post(f"tasks/{id}/predict", json={"inputs": [image("ring")]}).status_code == 200
                method, path, body = chosen.choice(
                    [
                        ("GET", f"tasks/{id}", None),
                        ("DELETE", f"tasks/{id}", None),
                        ("GET", f"tasks/{id}/model", None),
                        ("POST", f"tasks/{id}/predict", {"inputs": [image("ring")]}),
                        ("POST", f"tasks/{id}/suggest", {"inputs": [image("ring")]}),
                        ("POST", f"tasks/{id}/examples", {"class": "ring", "examples": [image("ring")]}),
                        ("DELETE", f"tasks/{id}/examples/e1", None),
                        ("DELETE", f"tasks/{id}/classes/ring", None),
                    ]
                )
                answer = bob.request(method, path, json=body)
                answered += answer.status_code != 404 or answer.json()["field"] != "task"
            assert [ann.get(f"tasks/{id}").json()["version"] for id in ids] == [1] * len(ids)
    return answered
