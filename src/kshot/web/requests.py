"""What stands in a request beside its task: the key, the version, the Idempotency-Key, and a body of JSON or of a form.

In: Starlette's `Request`. Out: checked values; or a `Problem` that names the header or the field. Next: `kshot.web.routes`.
"""

import hashlib
import re
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kshot.web.keys import KeyRing
from kshot.web.limits import Limits
from kshot.web.problems import Problem, no_task, wrong
from kshot.web.store.rows import Once
from kshot.web.wire import Body, made, parsed

JSON, FORM, ZIP = "application/json", "multipart/form-data", "application/zip"
_TASK = re.compile(r"[A-Za-z0-9_-]{22}")
_EXAMPLE = re.compile(r"e([1-9][0-9]{0,8})")
_VERSION = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def tenant_of(request: Request, keys: KeyRing | None) -> str:
    """Return who asks; the empty text where no keys are asked for.

    Raises:
        Problem: The key is missing or nobody's.
    """
    if keys is None:
        return ""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Problem(
            401,
            "this server asks for an API key. Send it as Authorization: Bearer KEY.",
            field="Authorization",
            expected="Bearer KEY",
            found="nothing",
        )
    if (tenant := keys.tenant(key.strip())) is None:
        raise Problem(
            401,
            "nobody has this key, or it was revoked. Ask for a new one.",
            field="Authorization",
            expected="a key that kshot keys has made",
            found="another one",
        )
    return tenant


def task_id(text: str) -> str:
    """Return the id of a task, if it can be one.

    Raises:
        Problem: It cannot.
    """
    if not _TASK.fullmatch(text):
        raise no_task()
    return text


def example_number(text: str) -> int:
    """Return the number of an example.

    Raises:
        Problem: It is no id of an example.
    """
    if not (found := _EXAMPLE.fullmatch(text)):
        raise Problem(
            404,
            "there is no such example. GET the task for the ids of its examples.",
            field="example",
            expected="the id of an example, such as e7",
            found=text[:80],
        )
    return int(found[1])


def version_of(request: Request) -> int | None:
    """Return the version that a change must find, from `If-Match`; None: any.

    Raises:
        Problem: It is no ETag of this server.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    if not (found := _VERSION.fullmatch(given.strip())):
        raise wrong("If-Match", 'one ETag of an earlier answer, such as "3"', given, status=400)
    return int(found[1])


async def once_of(request: Request, tenant: str) -> Once:
    """Return the Idempotency-Key of a write, with the digest of the request.

    Raises:
        Problem: The key is too long, or has other characters.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return Once(tenant)
    if not _KEY.fullmatch(key):
        raise wrong("Idempotency-Key", "1 to 200 printable characters of ASCII, without spaces", key, status=400)
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode("utf-8", "replace"))
    if content_type(request) != FORM:  # a form has another boundary each time it is sent
        digest.update(await request.body())
    return Once(tenant, key, digest.hexdigest())


def content_type(request: Request) -> str:
    """Return what a body is."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, kind: type[Body], limits: Limits) -> Body:
    """Return the body of a request, from JSON or from a form.

    Raises:
        Problem: It is of another type, malformed, or does not fit.
    """
    match content_type(request):
        case "application/json":
            return parsed(kind, await request.body())
        case "multipart/form-data":
            return made(kind, await _form(request, limits))
        case found:
            raise Problem(
                415,
                f"a body is {JSON} or {FORM}; found {found or 'none'}.",
                field="Content-Type",
                expected=f"{JSON} or {FORM}",
                found=found or "nothing",
            )


async def _form(request: Request, limits: Limits) -> dict[str, Any]:
    """Return the parts of a form as JSON would have them: a file is a picture, a text is a text.

    `classes.NAME` (for a new task), `examples` and `inputs` are examples, `descriptions.NAME` and `descriptions` sentences; all may be
    repeated. Other parts are values.
    """
    most = max(limits.examples, limits.inputs)
    try:
        async with request.form(max_files=most, max_fields=most + 16, max_part_size=limits.body_bytes) as form:
            value: dict[str, Any] = {}
            for name, part in form.multi_items():
                if name in ("examples", "inputs"):
                    value.setdefault(name, []).append(await _example(part))
                elif name.startswith("classes."):
                    _class(value, name.removeprefix("classes."))["examples"].append(await _example(part))
                elif name.startswith("descriptions.") and isinstance(part, str):
                    _class(value, name.removeprefix("descriptions."))["descriptions"].append(part)
                elif name == "descriptions":
                    value.setdefault(name, []).append(part if isinstance(part, str) else "")
                elif isinstance(part, UploadFile):
                    raise wrong(name[:80], "a text: files are given as examples, inputs or classes.NAME", "a file")
                else:
                    value[name] = _plain(name, part)
            return value
    except HTTPException as error:
        if isinstance(error, Problem):
            raise
        raise Problem(400, f"the form is malformed: {error.detail}", field="body", expected=FORM, found="a malformed one") from error


async def _example(part: UploadFile | str) -> dict[str, Any]:
    return {"text": part} if isinstance(part, str) else {"image": await part.read()}


def _class(value: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = value.setdefault("classes", {}).setdefault(name, {"examples": [], "descriptions": []})
    return found


def _plain(name: str, text: str) -> object:
    if name in ("coverage", "unknown"):
        try:
            return float(text)
        except ValueError:
            return text
    if name == "count" and text.isdecimal() and len(text) < 10:
        return int(text)
    return text.lower() == "true" if name == "probabilities" else text
