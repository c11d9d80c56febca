"""The application: the routes, the page, the documentation, and the errors, inside the outermost layer.

In: a `Service`. Out: an ASGI application. Next: `kshot.web.serve`, which runs it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from kshot.errors import KshotError
from kshot.version import VERSION
from kshot.web.edge import Edge
from kshot.web.openapi import components
from kshot.web.page.description import description_router
from kshot.web.page.route import page_router
from kshot.web.problems import Problem, answer_of
from kshot.web.routes import predicting, server_routes, task_routes
from kshot.web.service import Service

_QUESTION = re.compile(r"/v1/tasks/([A-Za-z0-9_-]{22})/predict")


def build_app(service: Service) -> Edge:
    """Return the application that serves a service, which it closes at its end."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        service.ready = True
        yield
        service.ready = False
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="kshot",
        version=VERSION,
        lifespan=living,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(task_routes(service))
    app.include_router(server_routes(service))
    app.include_router(page_router())
    app.include_router(description_router(lambda: app.openapi()))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(KshotError, _unusable)
    app.openapi = _documented(app, app.openapi)  # type: ignore[method-assign]  # as FastAPI documents it
    return Edge(_Direct(app, predicting(service)), service.limits, service.metrics, local=service.keys is None)


class _Direct:
    """Answers questions about a task without going through FastAPI's list of routes, which takes as long as the answer itself."""

    def __init__(self, app: FastAPI, predict: Callable[[Request, str], Awaitable[Response]]) -> None:
        self._app, self._predict = app, predict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _QUESTION.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        scope["route_path"] = "/v1/tasks/{id}/predict"
        request = Request(scope, receive)
        try:
            answer = await self._predict(request, asked[1])
        except HTTPException as error:
            answer = await _refused(request, error)
        except KshotError as error:
            answer = await _unusable(request, error)
        await answer(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return answer_of(error)
    assert isinstance(error, HTTPException)
    told = {404: "there is no such address. GET /v1/openapi.json lists those that there are.", 405: "this address has no such method."}
    found = Problem(
        error.status_code,
        told.get(error.status_code, str(error.detail)),
        field="method" if error.status_code == 405 else "path",
        expected="a route of /v1/openapi.json",
        found=request.method if error.status_code == 405 else "another one",
    )
    return answer_of(found, error.headers)


async def _unusable(request: Request, error: Exception) -> Response:
    return answer_of(Problem(422, str(error), field="body", expected="what the message says", found=str(error)))


def _documented(app: FastAPI, made: Any) -> Any:
    def documented() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema.setdefault("components", {})
            parts["schemas"] = {**parts.get("schemas", {}), **components()}
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "A key of kshot keys."}}
            app.openapi_schema = schema
        found: dict[str, Any] = app.openapi_schema
        return found

    return documented
