"""The client of a service for programs that await: `kshot.Client`, word for word. Needs httpx."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kshot.tasks.model_folder import check_output
from kshot.web.client_calls import Call, Example, Reply, asked, json_of, read, wire, write
from kshot.web.client_connection import (
    URL,
    Connection,
    RemotePrediction,
    RemoteSuggestion,
    RemoteTask,
    httpx_here,
    learners_of,
    predictions_of,
    sent,
    suggestions_of,
    task_of,
)
from kshot.web.client_models import unzip, zipped


class AsyncClient(Connection):
    """A client of a service for programs that await. Arguments, methods and errors are those of `Client`.

    Example:
        `task = await AsyncClient().create({"yes": ["of course"], "no": ["not at all"]}, encoder="all-MiniLM-L6-v2")`
    """

    def __init__(self, url: str = URL, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 4) -> None:
        super().__init__(url, key=key, timeout_seconds=timeout_seconds, retries=retries)
        self._http = httpx_here().AsyncClient(**self.given)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create(
        self, classes: Mapping[str, Any], *, learner: str | None = None, encoder: str | None = None, model: str | None = None
    ) -> RemoteTask:
        """As `Client.create`."""
        return task_of(await self._send(self.creation(classes, {"learner": learner, "encoder": encoder, "model": model})))

    async def task(self, task: str) -> RemoteTask:
        """As `Client.task`."""
        return task_of(await self._send(read("v1", "tasks", task)))

    async def predict(
        self,
        task: str,
        inputs: Sequence[Example],
        *,
        coverage: float | None = None,
        unknown: float | None = None,
        probabilities: bool = False,
    ) -> list[RemotePrediction]:
        """As `Client.predict`."""
        return predictions_of(await self._send(self.question(task, inputs, coverage, unknown, probabilities)))

    async def add(self, task: str, name: str, examples: Sequence[Example], *, version: int | None = None) -> RemoteTask:
        """As `Client.add`."""
        return task_of(await self._send(self.addition(task, name, examples, version)))

    async def remove_example(self, task: str, example: str, *, version: int | None = None) -> None:
        """As `Client.remove_example`."""
        await self._send(write("DELETE", "v1", "tasks", task, "examples", example, version=version))

    async def remove_class(self, task: str, name: str, *, version: int | None = None) -> None:
        """As `Client.remove_class`."""
        await self._send(write("DELETE", "v1", "tasks", task, "classes", name, version=version))

    async def delete(self, task: str) -> None:
        """As `Client.delete`."""
        await self._send(write("DELETE", "v1", "tasks", task))

    async def suggest(self, task: str, inputs: Sequence[Example], *, count: int = 10) -> list[RemoteSuggestion]:
        """As `Client.suggest`."""
        body = {"inputs": [wire(one) for one in inputs], "count": count}
        return suggestions_of(await self._send(asked("v1", "tasks", task, "suggest", body=body)))

    async def upload(self, folder: str | Path) -> RemoteTask:
        """As `Client.upload`."""
        return task_of(await self._send(write("POST", "v1", "tasks", body=zipped(Path(folder)))))

    async def download(self, task: str, folder: str | Path) -> None:
        """As `Client.download`."""
        check_output(Path(folder))
        unzip((await self._reply(read("v1", "tasks", task, "model"))).content, Path(folder))

    async def learners(self) -> list[dict[str, Any]]:
        """As `Client.learners`."""
        return learners_of(await self._send(read("v1", "learners")))

    async def tasks(self) -> AsyncIterator[RemoteTask]:
        """As `Client.tasks`."""
        after: str | None = None
        while True:
            page = await self._send(read("v1", "tasks", query={"after": after}))
            for one in page["tasks"]:
                yield task_of(one)
            if (after := page.get("next")) is None:
                return

    async def _send(self, call: Call) -> Any:
        return json_of(await self._reply(call))

    async def _reply(self, call: Call) -> Reply:
        steps = self.attempts(call)
        step = next(steps)
        while True:
            reply: Reply | OSError | None = None
            if isinstance(step, Call):
                try:
                    found = await self._http.request(**sent(step))
                    reply = Reply(found.status_code, found.headers, found.content)
                except httpx_here().TransportError as error:
                    reply = OSError(str(error) or type(error).__name__)
            else:
                await asyncio.sleep(step)
            try:
                step = steps.send(reply)
            except StopIteration as done:
                answer: Reply = done.value
                return answer
