"""What a client asks of a service, and how it asks again: without any network, so that the plain and the asynchronous client share it.

    Call        a request
    attempts    a request, the waits between its repetitions, and the answer or an error, as a generator
    wire        a picture, a text or numbers, as the service takes it

A write carries one `Idempotency-Key` through all its repetitions, so that the service does it once. In: what a user has. Out: JSON. Next:
`kshot.web.client`.
"""

import base64
import io
import random
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from kshot.errors import DataError, KshotError, SavedError, SetupError
from kshot.printable import printable
from kshot.regular_file import parse_json, read_bytes
from kshot.value_types import shortened

Example = str | Path | Mapping[str, Any] | Sequence[float] | np.ndarray | Any
"""A text; the path of a picture, or a Pillow image; a row of numbers; or an example as the service takes it, such as `{"text": "…"}`."""
AGAIN = (409, 429, 502, 503, 504)
"""Answers after which the same request may succeed; the first and the second only where the service says when."""
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 30.0
_MOST_PICTURE = 2**26
_KINDS = ("image", "text", "numbers")


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        method: `GET`, `POST` or `DELETE`.
        path: After the service's address, beginning with a slash; its parts are quoted.
        body: JSON, or the bytes of a zip, if there is one.
        headers: More headers.
        query: What stands after the question mark.
    """

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: Its code.
        headers: Its headers, by their names in small letters.
        content: Its bytes.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


def read(*parts: str, query: Mapping[str, Any] | None = None) -> Call:
    """Return a call that reads."""
    return Call("GET", _path(parts), query={} if query is None else {key: value for key, value in query.items() if value is not None})


def asked(*parts: str, body: Any) -> Call:
    """Return a call that is asked with a body and changes nothing."""
    return Call("POST", _path(parts), body)


def write(method: str, *parts: str, body: Any = None, version: int | None = None) -> Call:
    """Return a call that changes something, once, however often it is repeated; with a version, only if it is still the present one."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return Call(method, _path(parts), body, headers | ({} if version is None else {"If-Match": f'"{version}"'}))


def attempts(call: Call, retries: int) -> Generator[Call | float, Reply | OSError | None, Reply]:
    """Ask until there is an answer that counts.

    Args:
        call: The request.
        retries: How often it is repeated at most.

    Yields:
        The request, to be sent the answer or why there was none; or seconds to wait.

    Returns:
        The answer, with a status below 400.

    Raises:
        KshotError: The service refused it or did not answer; see `error_of`.
    """
    for left in range(retries, -1, -1):
        reply = yield call
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (retries - left)) * random.uniform(0.5, 1)
        if isinstance(reply, OSError):
            if not left:
                raise SetupError(
                    f"the service does not answer: {printable(reply)}. Start it with kshot serve, or check the address."
                ) from reply
        else:
            assert reply is not None
            if reply.status < 400:
                return reply
            told = _seconds(reply)
            if not left or reply.status not in AGAIN or (reply.status in AGAIN[:2] and told is None):
                raise error_of(call, reply)
            wait = wait if told is None else min(_LONGEST_WAIT, told)
        yield wait
    raise AssertionError("unreachable")


def error_of(call: Call, reply: Reply) -> KshotError:
    """Return the error for a refusal, whose `problem` holds the fields of the service's answer.

    A `SavedError` says that there is no such task, or that it has changed (404, 409, 412); a `DataError` that what was sent cannot be used
    (other 4xx); a `SetupError` that the key is missing or wrong (401, 403), or that the service cannot answer now (429, 5xx).
    """
    try:
        found = parse_json(reply.content.decode())
    except ValueError:
        found = None
    problem: dict[str, Any] = {"title": "", "detail": "", **(found if isinstance(found, dict) else {}), "status": reply.status}
    words = problem["detail"] or problem["title"] or f"the answer has no words: {shortened(reply.content.decode('utf-8', 'replace'))}"
    kind: type[KshotError] = DataError
    if reply.status in (404, 409, 410, 412):
        kind = SavedError
    elif reply.status in (401, 403, 429) or reply.status >= 500:
        kind = SetupError
    error = kind(f"{call.method} {call.path} was answered with {reply.status}: {words}")
    error.problem = problem
    return error


def json_of(reply: Reply) -> Any:
    """Return the JSON of an answer; None if it is empty.

    Raises:
        SetupError: It is none, so that another program answers at this address.
    """
    if not reply.content:
        return None
    try:
        return parse_json(reply.content.decode())
    except ValueError as error:
        raise SetupError(f"the answer is no JSON ({error}): this is no kshot service. Check the address.") from error


def wire(example: Example) -> dict[str, Any]:
    """Return an example as the service takes it.

    Raises:
        DataError: It is of no kind that the service takes, or the file of a picture cannot be read.
    """
    if isinstance(example, str):
        return {"text": example}
    if isinstance(example, Path):
        try:
            return _image(read_bytes(example, _MOST_PICTURE))
        except OSError as error:
            raise DataError(f"cannot read {printable(example)}: {error.strerror or error}. Check the path.") from error
    if isinstance(example, Mapping):
        if len(example) == 1 and next(iter(example)) in _KINDS:
            return dict(example)
        if example and all(isinstance(name, str) for name in example):
            return {"numbers": {name: _plain(value) for name, value in example.items()}}
    elif hasattr(example, "save") and hasattr(example, "mode"):  # a Pillow image; Pillow is not imported for the sake of texts
        buffer = io.BytesIO()
        example.save(buffer, format="PNG")
        return _image(buffer.getvalue())
    elif isinstance(example, np.ndarray) and example.ndim == 1 and example.dtype.kind in "iuf":
        return {"numbers": example.tolist()}
    elif isinstance(example, list | tuple) and example and all(isinstance(value, int | float) for value in example):
        return {"numbers": list(example)}
    raise DataError(
        f"an example is a text, the path of a picture (pathlib.Path), a Pillow image, or a row of numbers; found {shortened(example)}."
    )


def wire_class(given: Any) -> Any:
    """Return the examples of a class, or its examples and descriptions, as the service takes them."""
    if isinstance(given, Mapping) and set(given) <= {"examples", "descriptions"}:
        return {**given, "examples": [wire(one) for one in given.get("examples", ())]}
    if isinstance(given, str | Path | bytes) or not hasattr(given, "__iter__"):
        raise DataError(f"a class is given a list of examples; found {shortened(given)}. Put it into a list.")
    return [wire(one) for one in given]


def _path(parts: Sequence[str]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _image(content: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(content).decode()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _seconds(reply: Reply) -> float | None:
    told = reply.headers.get("retry-after", "")
    return float(told) if told.isdecimal() and len(told) < 6 else None
