"""Which objects of a kustomization a patch is for, and what to say when there are none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from rota.config.check.registry import found
from rota.config.check.world import Manifest
from rota.config.document import Node, find, text_of
from rota.config.findings import Finding, Mark


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch and what it is for."""

    node: Node
    target: Node | None
    mark: Mark
    silent: bool

    def fits(self, manifest: Manifest) -> bool:
        """Whether kustomize would apply it to this object."""
        if self.target is not None:
            return _selected(self.target, manifest)
        return (
            manifest.kind == text_of(find(self.node, "kind"))
            and manifest.name == text_of(find(self.node, "metadata", "name"))
            and _namespace_fits(self.node, manifest)
        )

    def missed(self, made: list[Manifest]) -> Finding:
        """What to say when no object fits."""
        about = self.target if self.target is not None else self.node
        kind = text_of(find(about, "kind")) or "object"
        name = text_of(find(about, "name") or find(about, "metadata", "name")) or ""
        title = f"{kind} {name}".strip()
        result = "kustomize drops it without a word" if self.silent else "kustomize build fails"
        what = f"the patch is for {title}, which is in none of the resources: {result}"
        return found("patch-target-missing", self.mark, what, _other_target(kind, name, made))


def _other_target(kind: str, name: str, made: list[Manifest]) -> str:
    same = [m.name for m in made if m.kind == kind]
    if same:
        near = get_close_matches(name, same, 1, 0.5) or same[:1]
        return f"the resources have {kind} {near[0]}"
    if kind == "ClusterPolicy":
        return (
            "the operator's own ClusterPolicy lives in the cluster: patch it there, with "
            f"kubectl patch clusterpolicy {name or 'cluster-policy'} --type merge --patch-file FILE"
        )
    return "add the object to resources, or correct the target"


def _selected(target: Node, manifest: Manifest) -> bool:
    api = (text_of(find(manifest.node, "apiVersion")) or "").rpartition("/")
    facts = {
        "group": api[0],
        "version": api[2],
        "kind": manifest.kind,
        "name": manifest.name,
        "namespace": manifest.namespace,
    }
    wanted = {key: text_of(find(target, key)) for key in facts}
    return all(_matches(want, facts[key]) for key, want in wanted.items() if want) and all(
        _labels_fit(
            text_of(find(target, f"{which}Selector")), find(manifest.node, "metadata", which + "s")
        )
        for which in ("label", "annotation")
    )


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return pattern == text


def _labels_fit(selector: str | None, labels: Node | None) -> bool:
    """Equality selectors only; a set-based one is taken to fit."""
    if not selector or any(mark in selector for mark in "()!"):
        return True
    pairs = (part.partition("=") for part in selector.replace("==", "=").split(","))
    return all(text_of(find(labels, key.strip())) == value.strip() for key, _, value in pairs)


def _namespace_fits(node: Node, manifest: Manifest) -> bool:
    namespace = text_of(find(node, "metadata", "namespace"))
    return not namespace or not manifest.namespace or namespace == manifest.namespace
