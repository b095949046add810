"""What `kustomize build` would make of a folder, as far as the rules need it.

Resources, bases, components, ConfigMap generators, patches of all three spellings, namespace, prefix
and suffix. Helm charts, transformers, replacements and remote resources are not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from rota.config.check.files import Disk, kustomization_in
from rota.config.check.generators import generated
from rota.config.check.parsing import cluster_scoped, documents, embedded, manifests
from rota.config.check.patches import PatchMiss, apply_json_patch, merge
from rota.config.check.registry import found
from rota.config.check.world import Manifest
from rota.config.document import Entry, Mapping, Node, Scalar, Sequence, find, text_of
from rota.config.findings import Finding, Mark

_KNOWN = """
    apiVersion kind metadata resources bases components crds configurations generators transformers
    validators patches patchesStrategicMerge patchesJson6902 configMapGenerator secretGenerator
    generatorOptions namespace namePrefix nameSuffix commonLabels labels commonAnnotations images
    imageTags replicas replacements vars openapi buildMetadata helmCharts helmGlobals sortOptions
    helmChartInflationGenerator inventory
"""
_FIELDS = _KNOWN.split()
_REMOTE = re.compile(
    r"^(https?|ssh|git|file)://|^git@|^git::|^(www\.)?[\w-]+\.(com|org|io)/|\?ref="
)


@dataclass(frozen=True, slots=True)
class Build:
    """The outcome.

    Attributes:
        manifests: the objects that `kubectl apply -k` would send.
        lost: patches whose target is in none of the resources.
        files: the files that went into it.
    """

    manifests: tuple[Manifest, ...]
    lost: tuple[Node, ...]
    files: frozenset[Path]


def build(folder: Path, disk: Disk) -> Build:
    """Evaluate the kustomization of a folder. Never raises: what is wrong becomes findings."""
    builder = _Builder(disk, str(folder))
    made = builder.folder(folder, None, ())
    return Build(tuple(made), tuple(builder.lost), frozenset(builder.files))


class _Builder:
    def __init__(self, disk: Disk, name: str) -> None:
        self.disk = disk
        self.name = name
        self.lost: list[Node] = []
        self.files: set[Path] = set()

    @property
    def findings(self) -> list[Finding]:
        return self.disk.findings

    def folder(self, folder: Path, asked: Mark | None, above: tuple[Path, ...]) -> list[Manifest]:
        real = folder.resolve()
        if real in above:
            place = asked or Mark(str(folder))
            self.findings.append(found("kustomize-cycle", place, f"{folder} includes itself"))
            return []
        file = kustomization_in(folder)
        if file is None:
            place = asked or Mark(str(folder))
            what = f"the folder {folder} has no kustomization.yaml"
            self.findings.append(found("file-missing", place, what))
            return []
        root = self._root(file, asked)
        return self._evaluate(root, folder, (*above, real)) if root else []

    def _root(self, file: Path, asked: Mark | None) -> Mapping | None:
        nodes = self._documents(file, asked)
        root = nodes[0] if nodes else None
        if isinstance(root, Mapping):
            self.findings.extend(_unknown_fields(root))
            return root
        if root is not None:
            self.findings.append(
                found("kustomize-field", root.mark, "a kustomization must be a map of its fields")
            )
        return None

    def _evaluate(self, root: Mapping, folder: Path, above: tuple[Path, ...]) -> list[Manifest]:
        made: list[Manifest] = []
        for field in ("resources", "bases", "components"):
            for item in _items(root.get(field)):
                made.extend(self._resource(item, folder, above))
        made = self._generate(made, root, folder)
        for patch in self._patches(root, folder):
            made = self._apply(made, patch)
        return [_renamed(m, root) for m in made]

    def _resource(self, item: Node, folder: Path, above: tuple[Path, ...]) -> list[Manifest]:
        name = text_of(item)
        if name is None:
            self.findings.append(found("kustomize-field", item.mark, "this must be a path"))
            return []
        if _REMOTE.search(name):
            what = f"{name} is elsewhere and is not read"
            self.findings.append(found("kustomize-remote", item.mark, what))
            return []
        path = folder / name
        if path.is_dir():
            return self.folder(path, item.mark, above)
        return [
            m for node in self._documents(path, item.mark) for m in manifests(node, build=self.name)
        ]

    def _documents(self, path: Path, asked: Mark | None) -> tuple[Node, ...]:
        source = self.disk.inside(path, asked)
        self.files.add(path.resolve())
        return documents(source.text, source.file, self.findings) if source else ()

    def _generate(self, made: list[Manifest], root: Mapping, folder: Path) -> list[Manifest]:
        for entry in _items(root.get("configMapGenerator")):
            new, files = generated(entry, root, folder, self.disk, self.name)
            self.files.update(files)
            behaviour = text_of(find(entry, "behavior")) or "create"
            old = [m for m in made if behaviour != "create" and _same(m, new)]
            made = [m for m in made if m not in old]
            if old and behaviour == "merge":
                merged = merge(old[0].node, new.node)
                new = replace(new, node=merged if isinstance(merged, Mapping) else new.node)
            made.append(new)
        return made

    def _patches(self, root: Mapping, folder: Path) -> Iterator[_Patch]:
        for field in ("patches", "patchesJson6902"):
            for entry in _items(root.get(field)):
                target = find(entry, "target")
                inline, path = find(entry, "patch"), find(entry, "path")
                for node in self._patch_nodes(inline, path, folder):
                    silent = target is not None and field == "patches"
                    yield _Patch(node, target, (target or entry).mark, silent)
        for item in _items(root.get("patchesStrategicMerge")):
            text = text_of(item) or ""
            inline = item if "\n" in text else None
            for node in self._patch_nodes(inline, None if inline else item, folder):
                yield _Patch(node, None, item.mark, False)

    def _patch_nodes(self, inline: Node | None, path: Node | None, folder: Path) -> Iterator[Node]:
        if isinstance(inline, Scalar):
            yield from embedded(inline, self.findings)
        name = text_of(path)
        if path is not None and name and not _REMOTE.search(name):
            yield from self._documents(folder / name, path.mark)

    def _apply(self, made: list[Manifest], patch: _Patch) -> list[Manifest]:
        hits = [m for m in made if patch.fits(m)]
        if not hits:
            self.lost.append(patch.node)
            self.findings.append(patch.missed(made))
        return [self._patched(m, patch) if m in hits else m for m in made]

    def _patched(self, manifest: Manifest, patch: _Patch) -> Manifest:
        try:
            if isinstance(patch.node, Sequence):
                node = apply_json_patch(manifest.node, patch.node)
            else:
                node = merge(manifest.node, patch.node)
        except PatchMiss as miss:
            what = f"{manifest.title} has nothing at {miss.path}, so the patch fails"
            self.findings.append(found("patch-path", miss.mark, what))
            return manifest
        return replace(manifest, node=node) if isinstance(node, Mapping) else manifest


@dataclass(frozen=True, slots=True)
class _Patch:
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


def _same(manifest: Manifest, other: Manifest) -> bool:
    return (manifest.kind, manifest.written_name) == (other.kind, other.written_name)


def _renamed(manifest: Manifest, root: Mapping) -> Manifest:
    """With the kustomization's namespace, prefix and suffix."""
    prefix, suffix = (text_of(root.get(f"name{end}")) or "" for end in ("Prefix", "Suffix"))
    namespace = text_of(root.get("namespace")) or manifest.namespace
    if manifest.kind in ("Namespace", "CustomResourceDefinition"):
        return manifest
    if cluster_scoped(manifest.kind):
        namespace = manifest.namespace
    return replace(manifest, name=f"{prefix}{manifest.name}{suffix}", namespace=namespace)


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, Sequence) else ()


def _unknown_fields(root: Mapping) -> Iterator[Finding]:
    for entry in root.entries:
        if entry.key in _FIELDS:
            yield from _wrong_shape(entry)
            continue
        near = get_close_matches(entry.key, _FIELDS, 1, 0.6)
        hint = f"did you mean `{near[0]}`?" if near else ""
        what = f"kustomize knows no field `{entry.key}`, so the build fails"
        yield found("kustomize-field", entry.mark, what, hint)


def _wrong_shape(entry: Entry) -> Iterator[Finding]:
    lists = ("resources", "bases", "components", "patches", "configMapGenerator")
    empty = isinstance(entry.value, Scalar) and entry.value.value is None
    if entry.key in lists and not isinstance(entry.value, Sequence) and not empty:
        what = f"`{entry.key}` must be a list"
        yield found("kustomize-field", entry.value.mark, what, "begin each item with `- `")
