"""Values as Go's JSON decoder takes them: which node is a boolean, an integer, a string.

Null always means unset. A float without a fraction is an integer (`2.0`). Where Go knows that it
wants a string (under `flags`, and `version`), numbers and booleans become one; in blocks that
NVIDIA decodes by hand they do not.
"""

from __future__ import annotations

import math

from rota.config.report import Report
from rota.config.scalars import key_text, shorten
from rota.config.tree import Mapping, Node, Scalar, Sequence

RULE = "wrong-type"


def is_null(node: Node | None) -> bool:
    """Not there, or null, which Go's decoder takes as not there."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def shown(node: Node) -> str:
    """A node as a message names it."""
    if isinstance(node, Mapping):
        return "a map"
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node.value, str):
        return f'the string "{shorten(node.text)}"'
    if node.value is None:
        return "nothing"
    return f"`{shorten(node.text)}`"


def named(what: str) -> str:
    """A key in quotes; words of a sentence as they are."""
    return what if " " in what else f"`{what}`"


def boolean(node: Node, what: str, report: Report) -> bool | None:
    """True or false; anything else is an error."""
    if is_null(node):
        return None
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    hint = "write true or false"
    if isinstance(node, Scalar) and node.text.strip().lower() in ("true", "false"):
        hint = "remove the quotes"
    report.error(RULE, node.mark, f"{named(what)} is {shown(node)}, not a boolean", hint)
    return None


def integer_of(node: Node | None) -> int | None:
    """The 64-bit integer that a node is; None for anything else."""
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value) or not value.is_integer():
            return None
        value = int(value)
    return value if -(2**63) <= value < 2**63 else None


def integer(node: Node, what: str, report: Report) -> int | None:
    """An integer; anything else is an error."""
    value = integer_of(node)
    if value is None and not is_null(node):
        hint = "write a whole number"
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.isdecimal():
            hint = "remove the quotes"
        report.error(RULE, node.mark, f"{named(what)} is {shown(node)}, not an integer", hint)
    return value


def string(node: Node, what: str, report: Report) -> str | None:
    """A string; anything else is an error."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    if not is_null(node):
        hint = "put it in quotes" if isinstance(node, Scalar) else "write a string"
        report.error(RULE, node.mark, f"{named(what)} is {shown(node)}, not a string", hint)
    return None


def stringified(node: Node, what: str, report: Report) -> str | None:
    """A string, or a number or boolean that Go makes one of; anything else is an error."""
    if isinstance(node, Scalar) and node.value is not None:
        return key_text(node.value)
    return string(node, what, report)


def mapping(node: Node | None, what: str, report: Report) -> Mapping | None:
    """A map; None for null; anything else is an error."""
    if node is None or isinstance(node, Mapping):
        return node
    if not is_null(node):
        report.error(
            RULE, node.mark, f"{named(what)} is {shown(node)}, not a map", "write `key: value`"
        )
    return None


def sequence(node: Node | None, what: str, report: Report) -> Sequence | None:
    """A list; None for null; anything else is an error."""
    if node is None or isinstance(node, Sequence):
        return node
    if not is_null(node):
        hint = "begin each item with `- `"
        report.error(RULE, node.mark, f"{named(what)} is {shown(node)}, not a list", hint)
    return None
