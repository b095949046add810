"""The rules of `rota check` over live objects. Pure.

Each object becomes a text with a name like `ConfigMap rota/time-slicing-config`, and is read as a
file would be. A config keeps its own lines: a finding in one tells the key and the line in it.
What only files can get wrong is left out, and what `rota doctor` knows better from the cluster.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rota.cluster.door import Object, metadata
from rota.config.check.files import Source
from rota.config.check.judge import judge
from rota.config.check.reading import Reading
from rota.config.findings import Finding, Mark

ELSEWHERE = frozenset({
    "policy-configmap", "policy-namespace", "policy-default", "label-key", "visible-devices",
    "kind-unknown", "rollback-order", "template",
})  # fmt: skip
"""Rules that have another form here, or that are about files."""


@dataclass(frozen=True, slots=True)
class _Text:
    """An object as a text, and where each key's config begins in it."""

    title: str
    text: str
    keys: tuple[tuple[int, str], ...] = ()

    def place(self, line: int) -> tuple[str, int]:
        """The key that a line is in, and its line there; no key above the first one."""
        before = [(start, key) for start, key in self.keys if start < line]
        return (before[-1][1], line - before[-1][0]) if before else ("", 0)


def checked(objects: Iterable[tuple[str, Object]]) -> tuple[Finding, ...]:
    """What the rules say of these objects, each given with its kind."""
    texts = {text.title: text for kind, thing in objects if (text := _text(kind, thing))}
    reading = Reading()
    for text in texts.values():
        reading.manifest(Source(text.title, text.text, named=True))
    said = judge(reading.world()).findings
    return tuple(_at_home(f, texts) for f in said if f.id not in ELSEWHERE)


def _at_home(finding: Finding, texts: Mapping[str, _Text]) -> Finding:
    """The same finding at its object: key and line of a config in front of the sentence."""
    text = texts.get(finding.mark.file)
    key, line = text.place(finding.mark.line) if text else ("", 0)
    where = f"key {key}, line {line}: " if key else ""
    hint = finding.hint
    if key and text:
        namespace, _, name = text.title.partition(" ")[2].partition("/")
        edit = f"kubectl edit configmap {name} -n {namespace}"
        hint = f"{hint}: {edit}" if hint else edit
    return replace(
        finding, mark=Mark(finding.mark.file), message=where + finding.message, hint=hint
    )


def _text(kind: str, thing: Object) -> _Text | None:
    meta = metadata(thing)
    place = "/".join(part for part in (meta.get("namespace"), meta.get("name")) if part)
    title = f"{kind} {place}"
    kept = {key: meta[key] for key in ("name", "namespace", "labels") if key in meta}
    head = {"apiVersion": thing.get("apiVersion") or "v1", "kind": kind, "metadata": kept}
    if kind == "ConfigMap":
        return _config_map(title, head, dict(thing.get("data") or {}))
    body = {key: value for key, value in thing.items() if key not in (*head, "status")}
    return _Text(title, json.dumps({**head, **body}, indent=1))


def _config_map(title: str, head: Mapping[str, Any], data: Mapping[str, str]) -> _Text:
    out, keys = io.StringIO(), []
    for key, value in head.items():
        out.write(f"{key}: {json.dumps(value)}\n")
    out.write("data:\n" if data else "data: {}\n")
    line = len(head) + 1
    for key, text in data.items():
        line += 1
        keys.append((line, key))
        rows = list(_rows(text))
        out.write(f"  {json.dumps(key)}: {rows[0]}\n")
        out.writelines(f"{row}\n" for row in rows[1:])
        line += len(rows) - 1
    return _Text(title, out.getvalue(), tuple(keys))


def _rows(text: str) -> Iterator[str]:
    """The text as a block that says how far it is indented, or in quotes where it cannot be one."""
    if not text.strip() or not all(c.isprintable() or c in "\n\t" for c in text):
        yield json.dumps(text)
        return
    yield "|2" + ("+" if text.endswith("\n\n") else "" if text.endswith("\n") else "-")
    for row in text.removesuffix("\n").split("\n"):
        yield f"    {row}" if row else ""
