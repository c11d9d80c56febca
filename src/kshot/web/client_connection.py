"""What both clients share: how they are made, what they ask, and what the answers become. No request is sent here.

In: arguments of `Client` and `AsyncClient`. Out: calls, and dataclasses. Next: those two.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kshot.errors import RecipeError, missing_extra
from kshot.short_repr import short_repr
from kshot.web.client_calls import Call, Example, Reply, asked, wire, wire_class, write
from kshot.web.client_calls import attempts as attempts_of

URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class RemoteTask:
    """A task at a service.

    Attributes:
        id: Its name there, which cannot be guessed.
        version: Grows with every change.
        about: All that the service says of it.
    """

    id: str
    version: int
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the id and the version."""
        return short_repr("RemoteTask", [repr(self.id), f"version={self.version}"])


@dataclass(frozen=True)
class RemotePrediction:
    """The answer for one thing.

    Attributes:
        label: Name of the most probable class.
        probability: Its probability among the classes of the task.
        second: Name of the next most probable class.
        unknown: Whether the thing is probably of no class of the task, at the rate of false alarms that was asked for.
        set: Names of the classes that hold the right one at the coverage that was asked for; None if the service gives none.
        probabilities: Probability of each class by name; empty unless asked for.
    """

    label: str
    probability: float
    second: str | None
    unknown: bool
    set: tuple[str, ...] | None
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the class, its probability and the set."""
        told = [repr(self.label), f"probability={self.probability:.3g}", *(["unknown"] if self.unknown else []), f"set={self.set}"]
        return short_repr("RemotePrediction", told)


@dataclass(frozen=True)
class RemoteSuggestion:
    """A thing whose label would help.

    Attributes:
        input: Its place among the things that were sent, from 0.
        gain: How much is expected of it, compared with the others.
        label: The class that it seems to be of.
        probability: How probable that is.
    """

    input: int
    gain: float
    label: str
    probability: float


class Connection:
    """What both clients are made with, and the calls that they send."""

    def __init__(self, url: str = URL, *, key: str | None = None, timeout_seconds: float = 30.0, retries: int = 4) -> None:
        if not url.startswith(("http://", "https://")):
            raise RecipeError(f"the address of a service begins with http:// or https://; found {url!r}.")
        if not timeout_seconds > 0 or retries < 0:
            raise RecipeError(f"timeout_seconds is above 0 and retries at least 0; found {timeout_seconds} and {retries}.")
        self.url, self._retries = url.rstrip("/"), retries
        self.given = {
            "base_url": self.url,
            "timeout": timeout_seconds,
            "headers": {"Accept": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"}),
        }

    def __repr__(self) -> str:
        return short_repr(type(self).__name__, [repr(self.url)])

    def attempts(self, call: Call) -> Generator[Call | float, Reply | OSError | None, Reply]:
        """Return the attempts at a call. See `kshot.web.client_calls.attempts`."""
        return attempts_of(call, self._retries)

    @staticmethod
    def creation(classes: Mapping[str, Any], sources: Mapping[str, str | None]) -> Call:
        """Return the call that makes a task."""
        source = {kind: name for kind, name in sources.items() if name is not None}
        if len(source) != 1:
            raise RecipeError(
                f"a task is made with one of {', '.join(sources)}; found {', '.join(source) or 'none'}. Name one, such as "
                "learner='omniglot-protonet'."
            )
        return write("POST", "v1", "tasks", body={**source, "classes": {name: wire_class(given) for name, given in classes.items()}})

    @staticmethod
    def addition(task: str, name: str, examples: Sequence[Example], version: int | None) -> Call:
        """Return the call that adds examples to a task."""
        return write("POST", "v1", "tasks", task, "examples", body={"class": name, "examples": wire_class(examples)}, version=version)

    @staticmethod
    def question(task: str, inputs: Sequence[Example], coverage: float | None, unknown: float | None, probabilities: bool) -> Call:
        """Return the call that asks for predictions."""
        body: dict[str, Any] = {"inputs": [wire(one) for one in inputs]}
        body |= {} if coverage is None else {"coverage": coverage}
        body |= {} if unknown is None else {"unknown": unknown}
        body |= {"probabilities": True} if probabilities else {}
        return asked("v1", "tasks", task, "predict", body=body)


def httpx_here() -> Any:
    """Return httpx.

    Raises:
        SetupError: It is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise missing_extra("httpx", "web", "the client of a service") from error
    return httpx


def sent(call: Call) -> dict[str, Any]:
    """Return a call as httpx takes it."""
    headers, more = dict(call.headers), {}
    if isinstance(call.body, bytes):
        headers["Content-Type"], more = "application/zip", {"content": call.body}
    elif call.body is not None:
        more = {"json": call.body}
    return {"method": call.method, "url": call.path, "params": dict(call.query), "headers": headers, **more}


def task_of(found: Any) -> RemoteTask:
    """Return a task from an answer."""
    return RemoteTask(found["id"], found["version"], found)


def predictions_of(found: Any) -> list[RemotePrediction]:
    """Return predictions from an answer."""
    return [
        RemotePrediction(
            one["label"],
            one["probability"],
            one.get("second"),
            one["unknown"],
            None if one.get("set") is None else tuple(one["set"]),
            one.get("probabilities") or {},
        )
        for one in found["predictions"]
    ]


def suggestions_of(found: Any) -> list[RemoteSuggestion]:
    """Return suggestions from an answer."""
    return [RemoteSuggestion(one["input"], one["gain"], one["label"], one["probability"]) for one in found["suggestions"]]


def learners_of(found: Any) -> list[dict[str, Any]]:
    """Return learners from an answer."""
    listed: list[dict[str, Any]] = found["learners"]
    return listed
