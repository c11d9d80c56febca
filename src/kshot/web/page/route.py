"""The page at `/`, and its three files: read once, served with a policy under which the browser asks no other machine for anything.

In: nothing. Out: a router, which the app includes. The page speaks to `/v1` as any client does. Needs the extra `web`.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib import resources
from typing import Final

from fastapi import APIRouter, Request, Response

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
"""The Content-Security-Policy of the page: its own files, pictures that it holds itself, and this server. No inline script or style."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Of every page."""
_FILES: Final = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page/page.css": ("page.css", "text/css; charset=utf-8"),
    "page/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "page/icon.svg": ("icon.svg", "image/svg+xml"),
}


def page_router() -> APIRouter:
    """Return the routes of the page: `/` and the files that it names."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("kshot.web") / "page"
    for path, (name, kind) in _FILES.items():
        router.add_api_route(f"/{path}", _serving((folder / name).read_bytes(), kind), methods=["GET", "HEAD"])
    return router


def _serving(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "ETag": tag}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return serve
