"""The client and the service together: what the one sends, the other takes, and what it answers is read."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import kshot
from cases.served import served
from kshot.errors import DataError, SavedError
from kshot.tasks.model_folder import load_model
from kshot.web.async_client import AsyncClient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found.rstrip("/")


def drawing(*points: tuple[int, int]) -> Image.Image:
    image = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(image).line(points, fill=0, width=5)
    return image


SLASH, HOOK, BAR = drawing((10, 90), (90, 10)), drawing((20, 10), (20, 80), (80, 80)), drawing((10, 50), (90, 50))


def test_a_learner_s_task_through_its_life(url: str, tmp_path: Path) -> None:
    SLASH.save(tmp_path / "slash.png")
    with kshot.Client(url) as client:
        assert {one["name"] for one in client.learners()} >= {"omniglot-protonet"}
        task = client.create({"slash": [tmp_path / "slash.png"], "hook": [HOOK]}, learner="omniglot-protonet")
        first, second = client.predict(task.id, [drawing((15, 85), (85, 15)), HOOK], probabilities=True)
        assert (first.label, second.label) == ("slash", "hook")
        assert sum(first.probabilities.values()) == pytest.approx(1)
        assert client.add(task.id, "greek/bar?", [BAR, drawing((5, 48), (95, 52))], version=task.version).version > task.version
        with pytest.raises(SavedError, match="412") as caught:
            client.remove_class(task.id, "hook", version=task.version)
        assert caught.value.problem is not None
        assert caught.value.problem["status"] == 412
        (suggested,) = client.suggest(task.id, [SLASH, drawing((50, 10), (50, 90), (90, 50))], count=1)
        assert suggested.input in (0, 1)
        listed = client.task(task.id).about["classes"]["greek/bar?"]["examples"]
        client.remove_example(task.id, listed[0]["id"])
        client.remove_class(task.id, "greek/bar?")
        assert [one.id for one in client.tasks()] == [task.id]
        with pytest.raises(DataError, match=r"classes\.b\[0\]\.image must be") as caught:
            client.create({"a": [SLASH], "b": [{"image": "AAAA"}]}, learner="omniglot-protonet")
        assert caught.value.problem is not None
        assert (caught.value.problem["status"], caught.value.problem["field"]) == (422, "classes.b[0].image")
        client.delete(task.id)
        with pytest.raises(SavedError, match="404: there is no such task"):
            client.task(task.id)


def test_numbers_go_there_and_come_back_as_a_model(url: str, tmp_path: Path) -> None:
    async def through() -> list[str]:
        async with AsyncClient(url) as client:
            low, high = ([{"x": float(n), "y": 1.5 * n} for n in range(start, start + 6)] for start in (0, 50))
            task = await client.create({"low": low, "high": high}, encoder="numbers")
            await client.download(task.id, tmp_path / "model")
            again = await client.upload(tmp_path / "model")
            return [one.label for one in await client.predict(again.id, [{"x": 2, "y": 4}, {"x": 60, "y": 80}])]

    assert asyncio.run(through()) == ["low", "high"]
    assert load_model(tmp_path / "model").classes == ("high", "low")
