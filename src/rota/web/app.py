"""The application: paths and what is answered there. Starlette; all of it read-only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from rota.figures.exposition import CONTENT_TYPE
from rota.figures.wire import to_json
from rota.web import openapi
from rota.web.access import Access
from rota.web.guard import Guard
from rota.web.page import File, read_files
from rota.web.source import Source
from rota.web.stream import events

JSON = "application/json; charset=utf-8"

PATHS = """\
Rota, figures of this node

/api/v1/state          how everybody fares
/api/v1/turns          the turns that were
/api/v1/stream         both as they come (server-sent events)
/api/v1/status         what is served
/api/v1/openapi.json   the description of these
/metrics               for Prometheus
/healthz  /readyz      for probes
"""

Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(source: Source, access: Access, version: str, end: asyncio.Event) -> ASGIApp:
    """The application of one listener.

    Args:
        source: what is served.
        access: what this listener allows.
        version: of this program.
        end: set when the agent ends; streams end with it.
    """
    files = read_files()
    description = json.dumps(openapi.document(version)).encode()
    routes = {
        "/": _index(files),
        "/page/{name}": _files(files),
        "/healthz": _text(lambda: (200, "ok\n")),
        "/readyz": _text(lambda: (200, "ready\n") if source.ready else (503, "not yet\n")),
        "/metrics": _metrics(source),
        "/api/v1/status": _json(source.status),
        "/api/v1/openapi.json": _json(lambda: description),
        "/api/v1/state": _state(source, access),
        "/api/v1/turns": _turns(source),
        "/api/v1/stream": _stream(source, access, end),
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    return Guard(app, access)


def _index(files: dict[str, File]) -> Endpoint:
    async def index(request: Request) -> Response:
        if "index.html" in files:
            return _file(files["index.html"], request)
        return PlainTextResponse(PATHS)

    return index


def _files(files: dict[str, File]) -> Endpoint:
    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404)
        return _file(files[name], request)

    return file


def _file(file: File, request: Request) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.kind, headers=headers)


def _text(answer: Callable[[], tuple[int, str]]) -> Endpoint:
    async def text(_: Request) -> Response:
        status, words = answer()
        return PlainTextResponse(words, status)

    return text


def _json(body: Callable[[], bytes]) -> Endpoint:
    async def plain(_: Request) -> Response:
        return Response(body(), media_type=JSON)

    return plain


def _metrics(source: Source) -> Endpoint:
    async def metrics(_: Request) -> Response:
        return Response(await source.metrics(), media_type=CONTENT_TYPE)

    return metrics


def _state(source: Source, access: Access) -> Endpoint:
    async def state(_: Request) -> Response:
        return Response(await source.state(commands=access.commands), media_type=JSON)

    return state


def _turns(source: Source) -> Endpoint:
    async def turns(request: Request) -> Response:
        page = await source.turns(_number(request.query_params.get("since")))
        return Response(to_json(page), media_type=JSON)

    return turns


def _stream(source: Source, access: Access, end: asyncio.Event) -> Endpoint:
    async def stream(request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("since")
        sent = events(source, _number(last), commands=access.commands, end=end)
        return StreamingResponse(sent, media_type="text/event-stream")

    return stream


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise HTTPException(400, "the number of a turn is a whole number, 0 or more")
    return int(text)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = error.detail
    if error.status_code == 404:
        words = "no such path; see / for those that there are"
    return _error(error.status_code, words)


async def _failed(_: Request, error: Exception) -> Response:
    return _error(500, f"{type(error).__name__}; the agent's log says more")


def _error(status: int, words: str) -> Response:
    return Response(json.dumps({"error": words}) + "\n", status, media_type=JSON)
