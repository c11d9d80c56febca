"""A seeded sample of what `make hostile-service` does in full; and that its judge sees faults."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cases.postgres import postgres
from cases.served import Process, serving
from cases.strokes import task
from hostile_service.foreign_ids import foreign_ids
from hostile_service.fuzz import fuzz
from hostile_service.killed_writes import Counts, Writer, killed_writes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("served")) as found:
        yield found


def test_answered_writes_survive_a_kill(tmp_path: Path) -> None:
    counts = killed_writes(tmp_path, None, kills=1, writes=40)
    assert counts.as_dict() | {"answered": 0, "checked": 0} == {"kills": 1, "answered": 0, "checked": 0, "lost": 0, "half": 0}, counts
    assert counts.answered >= 40
    assert counts.checked > 3


def test_answered_writes_survive_a_kill_on_postgresql(tmp_path: Path) -> None:
    with postgres() as url:
        counts = killed_writes(tmp_path, url, kills=1, writes=40, seed=1)
    assert (counts.lost, counts.half) == ([], [])
    assert counts.answered >= 40


def test_random_requests_are_answered_as_described(tmp_path: Path, server: Process) -> None:
    found = fuzz(server.url, tmp_path, seconds=8, examples=8, phases="fuzzing")
    assert (found.failures, [line for line in server.said if '"bug"' in line]) == (0, []), found.said
    assert found.requests > 20


def test_no_request_with_another_tenant_s_ids_is_answered(tmp_path: Path) -> None:
    assert foreign_ids(tmp_path, requests=100) == 0


def test_the_judge_sees_what_is_lost(server: Process) -> None:
    with httpx.Client(base_url=server.url + "v1/", timeout=60) as client:
        writer, counts = Writer(0), Counts()
        for _ in range(3):
            made = client.post("tasks", json=task("cross", "ring", shot=1)).json()
            writer.tasks[made["id"]] = made
        first, second, third = writer.tasks
        client.delete(f"tasks/{first}")  # as if it had never been written
        writer.tasks[second] = {**writer.tasks[second], "version": 7}
        del writer.tasks[third]
        writer.gone.add(third)
        writer.check(client, counts)
    assert counts.lost == [f"the deletion of {third}", f"the task {first}", f"version 7 of {second}: found 1"]
