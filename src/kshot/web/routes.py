"""The routes under `/v1`, and those for who runs the server. Each checks a request, hands it on, and writes the answer.

In: HTTP. Out: JSON as `kshot.web.wire` has it. Next: `kshot.web.app`.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.responses import JSONResponse

from kshot.tasks.certainty.asked import Asked
from kshot.web import openapi
from kshot.web.changes import etag_of, summary
from kshot.web.metrics import CONTENT_TYPE
from kshot.web.problems import Problem, no_task, wrong
from kshot.web.requests import ZIP, body_of, content_type, example_number, once_of, task_id, tenant_of, version_of
from kshot.web.service import Service
from kshot.web.store.rows import Once, Reply, TaskRow
from kshot.web.wire import MoreExamples, NewTask, Question, Unlabelled, check_counts

_PAGE, _MOST_PAGE = 50, 200


def task_routes(service: Service) -> APIRouter:
    """Return the routes of tasks."""
    router = APIRouter(prefix="/v1")

    def who(request: Request) -> str:
        return tenant_of(request, service.keys)

    async def write(request: Request) -> tuple[str, Once, Reply | None]:
        tenant = who(request)
        once = await once_of(request, tenant)
        return tenant, once, await service.disk(service.store.reply, once) if once.key else None

    @router.post("/tasks", status_code=201, **openapi.CREATE)
    async def create(request: Request) -> Response:
        tenant, once, known = await write(request)
        if known is not None:
            return _replied(known)
        if content_type(request) == ZIP:
            from kshot.web.model_archive import model_in

            model = await service.disk(model_in, await request.body(), service.limits)
            return _replied(await service.take_model(tenant, model, once))
        task = await body_of(request, NewTask, service.limits)
        check_counts(task, service.limits)
        return _replied(await service.create(tenant, task, once))

    @router.get("/tasks", **openapi.LIST)
    async def tasks(request: Request) -> Response:
        tenant, query = who(request), request.query_params
        most = _limit(query.get("limit", str(_PAGE)))
        after = _position(query["after"]) if "after" in query else None
        rows = await service.disk(service.store.page, tenant, after, most + 1)
        following = _token(rows[most - 1]) if len(rows) > most else None
        return JSONResponse({"tasks": [summary(row) for row in rows[:most]], "next": following})

    @router.get("/tasks/{id}", **openapi.READ)
    async def task(request: Request, id: str) -> Response:
        found = await service.disk(service.store.examples, who(request), task_id(id))
        if found is None:
            raise no_task()
        row, examples = found
        etag = etag_of(row.version)
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        classes: dict[str, Any] = {
            name: {"examples": [], "descriptions": row.record["descriptions"].get(name, [])} for name in row.record["classes"]
        }
        for number, name in examples:
            classes[name]["examples"].append({"id": f"e{number}"})
        reads = service.answering.source_of(row).reads
        more = {"reads": reads, "classes": classes, "estimate": row.record["estimate"] or None}
        return JSONResponse({**summary(row), **more}, headers={"ETag": etag})

    @router.delete("/tasks/{id}", status_code=204, **openapi.DELETE)
    async def delete(request: Request, id: str) -> Response:
        tenant, once, known = await write(request)
        return _replied(known or await service.change(service.changes.delete, tenant, task_id(id), once, version_of(request)))

    @router.post("/tasks/{id}/examples", **openapi.ADD)
    async def add(request: Request, id: str) -> Response:
        tenant, once, known = await write(request)
        if known is not None:
            return _replied(known)
        more = await body_of(request, MoreExamples, service.limits)
        check_counts(more, service.limits)
        return _replied(await service.add(tenant, task_id(id), more, once, version_of(request)))

    @router.delete("/tasks/{id}/examples/{example}", **openapi.DELETE_EXAMPLE)
    async def remove_example(request: Request, id: str, example: str) -> Response:
        tenant, once, known = await write(request)
        number = example_number(example)
        return _replied(
            known or await service.change(service.changes.remove_example, tenant, task_id(id), number, once, version_of(request))
        )

    @router.delete("/tasks/{id}/classes/{name:path}", **openapi.DELETE_CLASS)
    async def remove_class(request: Request, id: str, name: str) -> Response:
        tenant, once, known = await write(request)
        return _replied(known or await service.change(service.changes.remove_class, tenant, task_id(id), name, once, version_of(request)))

    router.add_api_route("/tasks/{id}/predict", predicting(service), methods=["POST"], **openapi.PREDICT)

    @router.post("/tasks/{id}/suggest", **openapi.SUGGEST)
    async def suggest(request: Request, id: str) -> Response:
        tenant, task = who(request), task_id(id)
        unlabelled = await body_of(request, Unlabelled, service.limits)
        ranking, version = await service.suggest(tenant, task, unlabelled)
        found = [{"input": one.place, "gain": one.gain, "label": one.label, "probability": one.probability} for one in ranking.suggestions]
        return JSONResponse({"suggestions": found, "version": version}, headers={"ETag": etag_of(version)})

    @router.get("/tasks/{id}/model", **openapi.DOWNLOAD)
    async def download(request: Request, id: str) -> Response:
        data, version = await service.download(who(request), task_id(id))
        headers = {"ETag": etag_of(version), "Content-Disposition": f'attachment; filename="{id}.zip"'}
        return Response(data, headers=headers, media_type=ZIP)

    @router.get("/learners", **openapi.LEARNERS)
    async def learners(request: Request) -> Response:
        who(request)
        return JSONResponse({"learners": service.sources.listed()})

    return router


def predicting(service: Service) -> Callable[[Request, str], Awaitable[Response]]:
    """Return what answers a question about a task, whose id is the second argument."""

    async def predict(request: Request, id: str) -> Response:
        tenant, task = tenant_of(request, service.keys), task_id(id)
        question = await body_of(request, Question, service.limits)
        found = await service.predict(tenant, task, question)
        predictions = [_prediction(one, probabilities=question.probabilities) for one in found.predictions]
        notes = list(found.state.notes_on(Asked(question.coverage, question.unknown)))
        return Answer({"predictions": predictions, "version": found.version, "notes": notes}, etag_of(found.version))

    return predict


def server_routes(service: Service) -> APIRouter:
    """Return the routes for who runs the server."""
    router = APIRouter()

    @router.get("/healthz", **openapi.HEALTH)
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz", **openapi.READY)
    async def ready() -> Response:
        if not service.ready or not await service.disk(service.store.ready):
            raise Problem(
                503,
                "the server is not ready, or its store does not answer.",
                field="store",
                expected="an answer",
                found="none",
                retry_after=1,
            )
        return JSONResponse({"status": "ready"})

    @router.get("/metrics", **openapi.METRICS)
    async def metrics() -> Response:
        return Response(service.metrics.text(service.cache, service.admission.inputs), media_type=CONTENT_TYPE)

    return router


class Answer(Response):
    """An answer of JSON with an ETag. Starlette's own takes five times as long, which is a tenth of the work of a prediction."""

    def __init__(self, content: object, etag: str) -> None:
        self.status_code, self.background, self.body = 200, None, to_json(content, inf_nan_mode="null")
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"etag", etag.encode("latin-1")),
        ]


def _replied(reply: Reply) -> Response:
    headers = {"ETag": reply.etag} if reply.etag else {}
    return Response(reply.body or None, reply.status, headers, media_type="application/json" if reply.body else None)


def _prediction(one: Any, *, probabilities: bool) -> Mapping[str, Any]:
    plain = {
        "label": one.label,
        "probability": one.probability,
        "second": one.second,
        "unknown": one.unknown,
        "set": None if one.set is None else list(one.set),
    }
    return {**plain, "probabilities": dict(one.probabilities)} if probabilities else plain


def _limit(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 1 <= len(text) <= 4 or not 1 <= int(text) <= _MOST_PAGE:
        raise wrong("limit", f"a whole number from 1 to {_MOST_PAGE}", text[:80])
    return int(text)


def _token(row: TaskRow) -> str:
    return base64.urlsafe_b64encode(json.dumps([row.created, row.id]).encode()).decode().rstrip("=")


def _position(text: str) -> tuple[float, str]:
    try:
        created, id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(created, float) and abs(created) < 1e12 and isinstance(id, str) and task_id(id):
            return created, id
    except (binascii.Error, ValueError, TypeError, RecursionError, Problem):
        pass
    raise wrong("after", "the next of an earlier page", text[:80])
