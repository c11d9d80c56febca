"""The description of the routes for people, at `/docs`: one page without a script, which needs no other machine.

`/openapi.json` leads to the description for programs, `/v1/openapi.json`, from which the page is made. In: that description. Out: a router,
which the app includes.
"""

import json
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse, RedirectResponse

from kshot.web.page.route import HEADERS

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>kshot: the routes</title><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="page/page.css"></head>
<body>
<header class="masthead"><h1>The routes of kshot {version}</h1></header>
<main>
<p>For programs: <a href="v1/openapi.json">v1/openapi.json</a>. To try it by hand: <a href="./">the page</a>.</p>
{routes}
</main>
</body>
</html>
"""


def description_router(describe: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """Return the routes `/docs` and `/openapi.json`.

    Args:
        describe: Returns the description of all routes, as OpenAPI has it.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(page_of(describe()), headers=HEADERS)

    @router.get("/openapi.json")
    async def openapi() -> Response:
        return RedirectResponse("v1/openapi.json")

    return router


def page_of(described: Mapping[str, Any]) -> str:
    """Return the page that tells a description: each route with what it does, what it takes, and what it answers."""
    schemas = described["components"]["schemas"]
    routes = [_route(method, path, route, schemas) for path, methods in described["paths"].items() for method, route in methods.items()]
    return _PAGE.format(version=escape(described["info"]["version"]), routes="\n".join(routes))


def _route(method: str, path: str, route: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(route.get('summary', ''))}</p>"]
    given = [f"<li><code>{escape(one['name'])}</code> ({one['in']}): {escape(one.get('description', ''))}</li>" for one in _headers(route)]
    if given:
        parts.append(f"<ul>{''.join(given)}</ul>")
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        parts.append(f"<p>It takes:</p>{_schema(body, schemas)}")
    answers = [f"<li>{escape(status)}: {escape(one['description'])}</li>" for status, one in route["responses"].items()]
    return "".join([*parts, f"<p>It answers:</p><ul>{''.join(answers)}</ul></section>"])


def _headers(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in route.get("parameters", []) if one["in"] in ("header", "query")]


def _schema(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"<pre>{escape(json.dumps(schemas.get(name, schema), indent=2, ensure_ascii=False))}</pre>"
