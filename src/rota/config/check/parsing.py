"""Texts as trees, and trees as Kubernetes objects; a text that is no YAML earns a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rota.config.check.registry import found
from rota.config.check.world import Manifest
from rota.config.document import (
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    SyntaxProblem,
    embedded_origin,
    find,
    read_documents,
    read_first,
    text_of,
)
from rota.config.findings import Finding, Mark

_TEMPLATE = re.compile(r"^\s*(- )?\{\{|: \{\{", re.MULTILINE)
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CLUSTER_SCOPED = {"ClusterPolicy", "Namespace", "Node", "ClusterRole", "ClusterRoleBinding"}


def documents(
    text: str, file: str, findings: list[Finding], origin: Mark | None = None
) -> tuple[Node, ...]:
    """The documents of a text; none, and a finding, where it cannot be parsed."""
    try:
        return read_documents(text, file, origin)
    except SyntaxProblem as problem:
        if _TEMPLATE.search(text):
            what = "this is a template, not YAML, and is not read"
            hint = "render it first: helm template … | rota check -"
            findings.append(found("template", problem.mark, what, hint))
        else:
            findings.append(found("syntax", problem.mark, problem.what, problem.hint))
        return ()


def first_of(nodes: tuple[Node, ...]) -> Node | None:
    """The first document that says anything."""
    return next((n for n in nodes if not isinstance(n, Scalar) or n.value is not None), None)


def leading_document(text: str, file: str) -> Node | None:
    """The first of several documents, whatever follows it; None where there is no such."""
    if len(split(text, file)) < 2:
        return None
    try:
        return read_first(text, file)[0]
    except SyntaxProblem:
        return None


def split(text: str, file: str) -> list[tuple[str, Mark]]:
    """The documents of a text, unparsed: `---` at the start of a line cannot stand in any value."""
    parts, start, line = [], 0, 1
    for match in [*_MARKER.finditer(text), None]:
        end = match.start() if match else len(text)
        parts.append((text[start:end], Mark(file, line, 1)))
        line += text.count("\n", start, end)
        start = end
    return [part for part in parts if part[0].strip()] or parts


def is_object(node: Node) -> bool:
    """Whether it says that it is a Kubernetes object."""
    return text_of(find(node, "kind")) is not None


def manifests(node: Node, *, build: str = "", named: bool = False) -> Iterator[Manifest]:
    """The objects in a document: itself, or the items of a list of objects."""
    kind = text_of(find(node, "kind"))
    if not isinstance(node, Mapping) or kind is None:
        return
    items = node.get("items")
    if kind.endswith("List") and isinstance(items, Sequence):
        for item in items.items:
            yield from manifests(item, build=build, named=named)
        return
    name = text_of(find(node, "metadata", "name")) or ""
    namespace = text_of(find(node, "metadata", "namespace")) or ""
    yield Manifest(node, kind, name, namespace, build, name, named=named)


def cluster_scoped(kind: str) -> bool:
    """Whether objects of this kind live in no namespace."""
    return kind in _CLUSTER_SCOPED


def embedded(scalar: Scalar, findings: list[Finding]) -> tuple[Node, ...]:
    """The documents in a string of another document, each at its place in the outer file.

    In a string that is no `|` literal lines cannot be told apart: all stands where the string does.
    """
    origin = embedded_origin(scalar)
    if origin is not None:
        return documents(scalar.text, scalar.mark.file, findings, origin)
    mine: list[Finding] = []
    nodes = documents(str(scalar.value), scalar.mark.file, mine)
    findings.extend(replace(finding, mark=scalar.mark) for finding in mine)
    return tuple(standing_at(scalar.mark, node) for node in nodes)


def standing_at(mark: Mark, node: Node) -> Node:
    """A tree whose every part stands at one place."""
    if isinstance(node, Mapping):
        entries = (Entry(e.key, mark, standing_at(mark, e.value)) for e in node.entries)
        return Mapping(mark, tuple(entries))
    if isinstance(node, Sequence):
        return Sequence(mark, tuple(standing_at(mark, item) for item in node.items))
    return replace(node, mark=mark)
