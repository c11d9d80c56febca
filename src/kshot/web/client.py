"""The client of a service, `kshot.Client`. Needs httpx, which is imported when one is made.

    client = kshot.Client("http://127.0.0.1:8000")
    task = client.create({"cat": [Path("a.jpg")], "dog": [Path("b.jpg")]}, encoder="efficientnet_lite0")
    client.predict(task.id, [Path("c.jpg")])[0].label

A request is repeated, with growing waits, where the network failed or the service was busy; a write is done once all the same. In: examples
as `kshot.web.client_calls.wire` takes them. Out: dataclasses of `kshot.web.client_connection`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Client(Connection):
    """A client of a service.

    Args:
        url: The address of the service.
        key: An API key; without one, the service must ask for none.
        timeout_seconds: For each step of one request: connecting, sending, waiting for the answer.
        retries: How often a request is repeated where the network failed or the service was busy.

    Raises:
        RecipeError: The address is none, or a number is too small.
        SetupError: httpx is not installed.

    Every method may raise the errors of `kshot.web.client_calls.error_of`, whose `problem` holds the fields of the service's answer; and a
    `DataError` for an example that the service does not take.

    Example:
        `kshot.Client().create({"yes": ["of course"], "no": ["not at all"]}, encoder="all-MiniLM-L6-v2").id`
    """

    def __init__(self, url: str = URL, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 4) -> None:
        super().__init__(url, key=key, timeout_seconds=timeout_seconds, retries=retries)
        self._http = httpx_here().Client(**self.given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create(
        self, classes: Mapping[str, Any], *, learner: str | None = None, encoder: str | None = None, model: str | None = None
    ) -> RemoteTask:
        """Make a task.

        Args:
            classes: The examples of each class by its name: a list, or a mapping of `examples` and `descriptions` to lists.
            learner: The name of a saved learner; or
            encoder: That of a frozen encoder, such as `efficientnet_lite0`; or
            model: That of a fitted model with which the service was started.
        """
        return task_of(self._send(self.creation(classes, {"learner": learner, "encoder": encoder, "model": model})))

    def task(self, task: str) -> RemoteTask:
        """Return a task with all that the service says of it, the ids of its examples among it."""
        return task_of(self._send(read("v1", "tasks", task)))

    def predict(
        self,
        task: str,
        inputs: Sequence[Example],
        *,
        coverage: float | None = None,
        unknown: float | None = None,
        probabilities: bool = False,
    ) -> list[RemotePrediction]:
        """Answer things with a task, each independently.

        Args:
            task: Its id.
            inputs: The things.
            coverage: How often a set holds the right class, such as 0.9; None: as the service has it.
            unknown: How often a thing of a known class is called unknown at most; None: as the service has it.
            probabilities: Whether to ask for the probability of every class.
        """
        return predictions_of(self._send(self.question(task, inputs, coverage, unknown, probabilities)))

    def add(self, task: str, name: str, examples: Sequence[Example], *, version: int | None = None) -> RemoteTask:
        """Add examples to a class of a task, or a new class.

        Args:
            task: Its id.
            name: The class.
            examples: The examples.
            version: The version that the task must still have; None: the change is made whatever others have changed since.
        """
        return task_of(self._send(self.addition(task, name, examples, version)))

    def remove_example(self, task: str, example: str, *, version: int | None = None) -> None:
        """Take an example out of a task, by its id. `version` is as for `add`."""
        self._send(write("DELETE", "v1", "tasks", task, "examples", example, version=version))

    def remove_class(self, task: str, name: str, *, version: int | None = None) -> None:
        """Take a class out of a task. `version` is as for `add`."""
        self._send(write("DELETE", "v1", "tasks", task, "classes", name, version=version))

    def delete(self, task: str) -> None:
        """Delete a task."""
        self._send(write("DELETE", "v1", "tasks", task))

    def suggest(self, task: str, inputs: Sequence[Example], *, count: int = 10) -> list[RemoteSuggestion]:
        """Return which of some things to label next, the most helpful first."""
        body = {"inputs": [wire(one) for one in inputs], "count": count}
        return suggestions_of(self._send(asked("v1", "tasks", task, "suggest", body=body)))

    def upload(self, folder: str | Path) -> RemoteTask:
        """Make a task of a model that `kshot fit` has written. Its encoder must be at the service."""
        return task_of(self._send(write("POST", "v1", "tasks", body=zipped(Path(folder)))))

    def download(self, task: str, folder: str | Path) -> None:
        """Write a task of an encoder as a model, as `kshot fit` does: an empty or new folder, for `kshot predict`."""
        check_output(Path(folder))
        unzip((self._reply(read("v1", "tasks", task, "model"))).content, Path(folder))

    def learners(self) -> list[dict[str, Any]]:
        """Return what tasks can be made with."""
        return learners_of(self._send(read("v1", "learners")))

    def tasks(self) -> Iterator[RemoteTask]:
        """Go through all tasks, page after page."""
        after: str | None = None
        while True:
            page = self._send(read("v1", "tasks", query={"after": after}))
            yield from map(task_of, page["tasks"])
            if (after := page.get("next")) is None:
                return

    def _send(self, call: Call) -> Any:
        return json_of(self._reply(call))

    def _reply(self, call: Call) -> Reply:
        steps = self.attempts(call)
        step = next(steps)
        while True:
            reply: Reply | OSError | None = None
            if isinstance(step, Call):
                try:
                    found = self._http.request(**sent(step))
                    reply = Reply(found.status_code, found.headers, found.content)
                except httpx_here().TransportError as error:
                    reply = OSError(str(error) or type(error).__name__)
            else:
                time.sleep(step)
            try:
                step = steps.send(reply)
            except StopIteration as done:
                answer: Reply = done.value
                return answer
