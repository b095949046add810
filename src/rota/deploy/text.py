"""Objects as YAML, with the reasons that belong to them as comments."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import LiteralScalarString

from rota.deploy.daemonset import REASONS

WIDTH = 96


def to_yaml(things: Iterable[Mapping[str, Any]]) -> str:
    """The objects as documents of one text."""
    return "---\n".join(one_yaml(thing) for thing in things)


def one_yaml(thing: Mapping[str, Any]) -> str:
    """One object."""
    document = _commented(thing)
    if thing.get("kind") == "DaemonSet":
        for path, reason in REASONS.items():
            _explain(document, path, reason)
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _commented(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap((key, _commented(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return CommentedSeq(_commented(each) for each in value)
    if isinstance(value, str) and "\n" in value:
        return LiteralScalarString(value)
    return value


def _explain(document: Any, path: tuple[str | int, ...], reason: str) -> None:
    """Put a comment before what lies at that path; a path that is not there has none."""
    *way, last = path
    place = document
    for step in way:
        if not _holds(place, step):
            return
        place = place[step]
    if _holds(place, last):
        indent = _column(path)
        lines = textwrap.wrap(reason, WIDTH - indent)
        place.yaml_set_comment_before_after_key(last, before="\n".join(lines), indent=indent)


def _holds(place: Any, step: str | int) -> bool:
    return step in place if isinstance(place, Mapping) else int(step) < len(place)


def _column(path: tuple[str | int, ...]) -> int:
    """Where the key or the item at that path begins: two columns for each step to it."""
    return 2 * (len(path) - 1)
