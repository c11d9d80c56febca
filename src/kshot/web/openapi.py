"""What OpenAPI says of each route: its body, its answers, its headers, and its problems. Each constant goes into a route's decorator.

In: the models of the wire format. Out: keyword arguments of FastAPI. Next: `kshot.web.routes`, `kshot.web.app`.
"""

from typing import Any

from pydantic.json_schema import models_json_schema

from kshot.web.problems import MEDIA_TYPE
from kshot.web.wire import ClassBody, Example, MoreExamples, NewTask, Question, Unlabelled
from kshot.web.wire_answers import Predictions, ProblemAnswer, Sources, Suggestions, TaskAnswer, TaskPage, TaskSummary

_BODIES = (ClassBody, Example, MoreExamples, NewTask, Question, Unlabelled)
_ANSWERS = (Predictions, ProblemAnswer, Sources, Suggestions, TaskAnswer, TaskPage, TaskSummary)
_WHY = {
    400: "The request is malformed.",
    401: "The API key is missing or unknown.",
    403: "A page of another site asks.",
    404: "There is no such task.",
    405: "The route has no such method.",
    408: "The body came too slowly.",
    409: "The task does not allow this.",
    412: "The task has changed since the version that If-Match names.",
    413: "The body or a picture is too large.",
    415: "The body is of another type.",
    421: "Another machine asks, and this server has no keys.",
    422: "A field does not fit.",
    429: "This key asks too much at once. Retry-After says when to ask again.",
    503: "The server is busy, or not ready. Retry-After says when to ask again.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "description": "A write with a key is done once, however often it is sent within a day.",
}
_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    "description": "The ETag of an earlier answer: the change is refused with 412 if the task has changed since.",
}


def components() -> dict[str, Any]:
    """Return the schemas of all bodies and answers, by name."""
    kinds: Any = [(one, "validation") for one in _BODIES] + [(one, "serialization") for one in _ANSWERS]
    _, schema = models_json_schema(kinds, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = schema["$defs"]
    return found


def _answers(status: int, model: type | None, *problems: int) -> dict[int | str, dict[str, Any]]:
    content = {} if model is None else {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}
    etag = (
        {"headers": {"ETag": {"schema": {"type": "string"}, "description": "The version of the task."}}}
        if model in (TaskSummary, TaskAnswer, Predictions)
        else {}
    )
    found: dict[int | str, dict[str, Any]] = {status: {"description": "The answer.", **content, **etag}}
    for one in sorted({400, 401, 403, 405, 421, 503, *problems}):
        retry = {"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if one in (429, 503) else {}
        found[one] = {
            "description": _WHY[one],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}},
            **retry,
        }
    return found


def _body(model: type, form: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": form, "description": "A file is a picture; a text is a text."}
            },
            **(more or {}),
        },
    }


def _route(name: str, summary: str, answers: dict[int | str, dict[str, Any]], *, body: Any = None, headers: Any = ()) -> dict[str, Any]:
    extra: dict[str, Any] = {"security": [{}, {"key": []}]}
    if body:
        extra["requestBody"] = body
    if headers:
        extra["parameters"] = list(headers)
    return {"operation_id": name, "summary": summary, "responses": answers, "response_model": None, "openapi_extra": extra}


_FILES = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
_QUERY = [
    {"name": "after", "in": "query", "required": False, "schema": {"type": "string"}, "description": "The `next` of the page before."},
    {"name": "limit", "in": "query", "required": False, "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
]
CREATE = _route(
    "create_task",
    "Make a task",
    _answers(201, TaskSummary, 408, 409, 413, 415, 422),
    body=_body(
        NewTask,
        {"learner": {"type": "string"}, "encoder": {"type": "string"}, "classes.NAME": _FILES, "descriptions.NAME": {"type": "string"}},
        {"application/zip": {"schema": {"type": "string", "format": "binary", "description": "The folder of a model of kshot fit."}}},
    ),
    headers=[_KEY],
)
LIST = _route("list_tasks", "List tasks, the newest first", _answers(200, TaskPage, 422), headers=_QUERY)
READ = _route(
    "read_task",
    "Read a task with the ids of its examples",
    _answers(200, TaskAnswer, 404, 409) | {304: {"description": "It has not changed."}},
)
DELETE = _route("delete_task", "Delete a task", _answers(204, None, 404, 412, 422), headers=[_KEY, _MATCH])
ADD = _route(
    "add_examples",
    "Add examples to a class, or a new class",
    _answers(200, TaskSummary, 404, 408, 409, 412, 413, 415, 422),
    body=_body(MoreExamples, {"class": {"type": "string"}, "examples": _FILES, "descriptions": {"type": "string"}}),
    headers=[_KEY, _MATCH],
)
DELETE_EXAMPLE = _route("delete_example", "Delete an example", _answers(200, TaskSummary, 404, 409, 412, 422), headers=[_KEY, _MATCH])
DELETE_CLASS = _route(
    "delete_class", "Delete a class with its examples", _answers(200, TaskSummary, 404, 409, 412, 422), headers=[_KEY, _MATCH]
)
PREDICT = _route(
    "predict",
    "Answer one or many inputs",
    _answers(200, Predictions, 404, 408, 409, 413, 415, 422, 429),
    body=_body(
        Question, {"inputs": _FILES, "coverage": {"type": "string"}, "unknown": {"type": "string"}, "probabilities": {"type": "string"}}
    ),
)
SUGGEST = _route(
    "suggest",
    "Rank inputs without labels by how much their labels would help",
    _answers(200, Suggestions, 404, 408, 409, 413, 415, 422, 429),
    body=_body(Unlabelled, {"inputs": _FILES, "count": {"type": "string"}}),
)
DOWNLOAD = _route(
    "download_task",
    "Download a task as the folder of a fitted model",
    _answers(200, None, 404, 409)
    | {200: {"description": "A zip of the folder.", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
LEARNERS = _route("list_learners", "List what tasks can be made with", _answers(200, Sources))
HEALTH = _route(
    "health",
    "Whether the process is alive",
    {200: {"description": "It is.", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
READY = _route("ready", "Whether requests can be answered", _answers(200, None))
METRICS = _route(
    "metrics", "Counts for Prometheus", {200: {"description": "The counts.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
)
