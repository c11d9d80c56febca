"""What the service says when it refuses: problem details (RFC 9457), with the field, what was expected, and what was found.

In: the reason. Out: `Problem`, which is raised, and the JSON that it becomes. Next: `kshot.web.edge`, which answers with it.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from kshot.value_types import shortened

MEDIA_TYPE = "application/problem+json"


class Problem(HTTPException):
    """A refusal.

    Args:
        status: The code.
        detail: What is wrong and what to do, in sentences.
        field: The part of the request, such as `classes.a[0].image`, `If-Match` or `body`.
        expected: What should be there.
        found: What is there, shortened.
        retry_after: Seconds after which the same request may succeed.
    """

    def __init__(
        self, status: int, detail: str, *, field: str = "", expected: str = "", found: object = "", retry_after: int | None = None
    ) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, detail, headers=headers or None)
        self.field, self.expected = field, expected
        self.found = found if isinstance(found, str) else shortened(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the members of the problem."""
        parts = {"field": self.field, "expected": self.expected, "found": self.found}
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": _plain(self.detail),
            **{name: _plain(value) for name, value in parts.items() if value},
        }


def answer_of(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that tells a problem."""
    return JSONResponse(problem.as_dict(), problem.status_code, {**(problem.headers or {}), **(headers or {})}, media_type=MEDIA_TYPE)


def wrong(field: str, expected: str, found: object, *, status: int = 422, advice: str = "") -> Problem:
    """Return the problem of a field that holds something else than was expected."""
    told = found if isinstance(found, str) else shortened(found)
    return Problem(
        status, f"{field} must be {expected}; found {told}.{f' {advice}' if advice else ''}", field=field, expected=expected, found=told
    )


def no_task() -> Problem:
    """Return the problem of an id that names no task of the tenant, whether it is another's, deleted, or nobody's."""
    return Problem(
        404,
        "there is no such task. It may have been deleted; ids are those that POST /v1/tasks has answered.",
        field="task",
        expected="the id of a task of this key",
        found="no such task",
    )


def busy(what: str, status: int = 503, *, seconds: int = 1) -> Problem:
    """Return the problem of a queue that is full, or of what takes longer than a request may."""
    when = "a second" if seconds == 1 else f"{seconds} seconds"
    return Problem(status, f"{what} Ask again in {when}.", field="request", expected="a free place", found="none", retry_after=seconds)


def _plain(text: str) -> str:
    """Return a text that every encoder of JSON takes."""
    return text.encode("utf-8", "replace").decode()
