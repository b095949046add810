"""Figures as JSON and back: one object for one dataclass, with the same names.

What a newer agent tells besides is passed over, and what an older one does not tell has its
default, so that a reader and an agent of different versions understand each other.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from rota.errors import RotaError

T = TypeVar("T")


class FiguresError(RotaError):
    """What came is not what an agent tells."""


def to_plain(figures: Any) -> dict[str, Any]:
    """A dataclass of `model` as plain values for JSON."""
    plain: dict[str, Any] = dataclasses.asdict(figures)
    return plain


def to_json(figures: Any) -> bytes:
    """The same as UTF-8 text without line breaks."""
    return json.dumps(to_plain(figures), separators=(",", ":"), ensure_ascii=False).encode()


def from_plain(kind: type[T], plain: object) -> T:
    """Make a dataclass of `model` from what JSON held.

    Raises:
        FiguresError: a value is missing or of another kind.
    """
    try:
        made: T = _made(kind, plain)
    except (KeyError, TypeError, ValueError) as error:
        raise FiguresError(f"no {kind.__name__} of an agent: {error}") from None
    return made


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _made(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _made(parts[0], value)
    if origin is tuple:
        return tuple(_made(parts[0], each) for each in value)
    if origin is dict:
        return {_made(parts[0], key): _made(parts[1], each) for key, each in value.items()}
    return _simple(kind, value)


def _record(kind: type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{kind.__name__} is an object")
    hints = _hints(kind)
    return kind(**{name: _made(hints[name], each) for name, each in value.items() if name in hints})


def _simple(kind: type, value: Any) -> Any:
    if issubclass(kind, enum.Enum) or kind in (int, float):
        return kind(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
