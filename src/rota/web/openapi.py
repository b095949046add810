"""The OpenAPI description of the API, made from the data model itself. Pure."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any

from rota.figures.model import Snapshot, TurnPage

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def document(version: str) -> dict[str, Any]:
    """The whole description, as OpenAPI 3.1."""
    schemas: dict[str, Any] = {}
    state, turns = _schema(Snapshot, schemas), _schema(TurnPage, schemas)
    since = {
        "name": "since", "in": "query", "required": False, "schema": {"type": "integer", "minimum": 0},
        "description": "the number of the first turn; the last ones, or the last 10 s, without it",
    }  # fmt: skip
    json_ = "application/json"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rota: figures of one node", "version": version},
        "paths": {
            "/api/v1/state": _path("How everybody fares now", json_, state),
            "/api/v1/turns": _path("The turns that were, a page of them", json_, turns, since),
            "/api/v1/stream": _path(
                "Server-sent events: `state` each second, `turns` as they end; ids are numbers of turns",
                "text/event-stream", {"type": "string"}, since),
            "/api/v1/status": _path("What is served, and what has become of the config", json_, {"type": "object"}),
            "/metrics": _path("The figures for Prometheus", "text/plain", {"type": "string"}),
            "/healthz": _path("200 while the agent lives", "text/plain", {"type": "string"}),
            "/readyz": _path("200 once all is served, else 503", "text/plain", {"type": "string"}),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _path(what: str, media: str, schema: dict[str, Any], *parameters: Any) -> dict[str, Any]:
    answer = {"description": what, "content": {media: {"schema": schema}}}
    get: dict[str, Any] = {"summary": what, "responses": {"200": answer}}
    return {"get": get | ({"parameters": list(parameters)} if parameters else {})}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, schemas)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema(parts[0], schemas), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0], schemas)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(parts[1], schemas)}
    if issubclass(kind, enum.Enum):
        return {"type": "string", "enum": [str(each.value) for each in kind]}
    return {"type": _SIMPLE[kind]}


def _record(kind: type, schemas: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in schemas:
        schemas[name] = {}  # it may be inside itself
        hints = typing.get_type_hints(kind)
        schemas[name] = {
            "type": "object",
            "description": (kind.__doc__ or "").partition("\n")[0],
            "properties": {
                each.name: _schema(hints[each.name], schemas) | _meaning(kind, each.name)
                for each in dataclasses.fields(kind)
            },
            "required": [each.name for each in dataclasses.fields(kind)],
        }
    return {"$ref": f"#/components/schemas/{name}"}


def _meaning(kind: type, field: str) -> dict[str, str]:
    """What the docstring says of that attribute."""
    for line in (kind.__doc__ or "").splitlines():
        names, colon, what = line.strip().partition(": ")
        if colon and field in names.split(", "):
            return {"description": what}
    return {}
