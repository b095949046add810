"""What a scalar of YAML 1.1 means, as Go's yaml.v2 resolves it on the way to JSON.

`yes` is a boolean, `010` is eight, `08` is a float, `1:30` and a date are strings. A number beyond
64 bits is a float.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeAlias

Value: TypeAlias = None | bool | int | float | str

_INT = re.compile(r"([-+]?)(0b[01]+|0x[0-9a-f]+|0o[0-7]+|0[0-7]*|[1-9][0-9]*)$", re.IGNORECASE)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_WORDS: dict[str, Value] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_NULL),
}
_CORE = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}


def resolve(text: str) -> Value:
    """What a scalar without quotes and tag means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789":
        return _number(text)
    return text


def resolve_tagged(text: str, tag: str) -> Value:
    """What a scalar with a tag means. A tag outside YAML's own makes it a string.

    Raises:
        ValueError: the text cannot be what the tag says.
    """
    name = tag.removeprefix(_CORE)
    if name == "binary":
        return _binary(text)
    if name not in _TYPES:
        return text
    value = resolve(text)
    wrong_bool = isinstance(value, bool) and name != "bool"
    if wrong_bool or not isinstance(value, _TYPES[name]):
        raise ValueError(f"`{shorten(text)}` is no {name}")
    return float(value) if name == "float" and isinstance(value, int) else value


def key_text(value: Value) -> str | None:
    """A scalar as a key of JSON; None for null, which cannot be one."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def shorten(text: str, limit: int = 60) -> str:
    """A text as it fits into a message: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _number(text: str) -> Value:
    digits = text.replace("_", "")
    match = _INT.match(digits)
    if match and len(digits) < 100:
        value = _integer(match[1], match[2].lower())
        if -(2**63) <= value < 2**64:
            return value
        return float(value)
    if _FLOAT.match(digits):
        return float(digits)
    if _SPECIAL.match(text):
        return float(text.replace(".", "", 1))
    return text


def _integer(sign: str, digits: str) -> int:
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2])
    if base is None:
        base = 8 if digits.startswith("0") else 10
    value = int(digits, base) if base != 8 else int(digits.replace("o", ""), 8)
    return -value if sign == "-" else value


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise ValueError(f"`{shorten(text)}` is no base64") from None
