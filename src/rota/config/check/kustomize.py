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

from rota.config.check.files import Disk, is_folder, kustomization_in, real
from rota.config.check.generators import generated
from rota.config.check.parsing import cluster_scoped, documents, embedded, manifests
from rota.config.check.patches import PatchMiss, apply_json_patch, merge
from rota.config.check.registry import found
from rota.config.check.targets import Patch
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


MOST_FOLDERS = 500
"""Folders of one build, beyond which it is taken for one that never ends."""


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
        self.evaluated = 0

    @property
    def findings(self) -> list[Finding]:
        return self.disk.findings

    def folder(
        self,
        folder: Path,
        asked: Mark | None,
        above: tuple[Path, ...],
        start: tuple[Manifest, ...] = (),
    ) -> list[Manifest]:
        """What a folder's kustomization makes; a component makes it of what is there, `start`."""
        place = asked or Mark(str(folder))
        file = kustomization_in(folder)
        self.evaluated += 1
        if real(folder) in above or self.evaluated > MOST_FOLDERS:
            self.findings.append(found("kustomize-cycle", place, f"{folder} includes itself"))
        elif file is None:
            what = f"the folder {folder} has no kustomization.yaml"
            self.findings.append(found("file-missing", place, what))
        elif (root := self._root(file, asked)) is not None:
            return self._evaluate(root, folder, (*above, real(folder)), start)
        return list(start)

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

    def _evaluate(
        self,
        root: Mapping,
        folder: Path,
        above: tuple[Path, ...],
        start: tuple[Manifest, ...],
    ) -> list[Manifest]:
        made = list(start)
        for item in (*_items(root.get("resources")), *_items(root.get("bases"))):
            made.extend(self._resource(item, folder, above))
        made = self._generate(made, root, folder)
        for item in _items(root.get("components")):
            name = text_of(item)
            if name and not _REMOTE.search(name):
                made = self.folder(folder / name, item.mark, above, tuple(made))
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
        if is_folder(path):
            return self.folder(path, item.mark, above)
        return [
            m for node in self._documents(path, item.mark) for m in manifests(node, build=self.name)
        ]

    def _documents(self, path: Path, asked: Mark | None) -> tuple[Node, ...]:
        source = self.disk.inside(path, asked)
        self.files.add(real(path))
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

    def _patches(self, root: Mapping, folder: Path) -> Iterator[Patch]:
        for field in ("patches", "patchesJson6902"):
            for entry in _items(root.get(field)):
                target = find(entry, "target")
                inline, path = find(entry, "patch"), find(entry, "path")
                for node in self._patch_nodes(inline, path, folder):
                    silent = target is not None and field == "patches"
                    yield Patch(node, target, (target or entry).mark, silent)
        for item in _items(root.get("patchesStrategicMerge")):
            text = text_of(item) or ""
            inline = item if "\n" in text else None
            for node in self._patch_nodes(inline, None if inline else item, folder):
                yield Patch(node, None, item.mark, False)

    def _patch_nodes(self, inline: Node | None, path: Node | None, folder: Path) -> Iterator[Node]:
        if isinstance(inline, Scalar):
            yield from embedded(inline, self.findings)
        name = text_of(path)
        if path is not None and name and not _REMOTE.search(name):
            yield from self._documents(folder / name, path.mark)

    def _apply(self, made: list[Manifest], patch: Patch) -> list[Manifest]:
        hits = [m for m in made if patch.fits(m)]
        if not hits:
            self.lost.append(patch.node)
            self.findings.append(patch.missed(made))
        return [self._patched(m, patch) if m in hits else m for m in made]

    def _patched(self, manifest: Manifest, patch: Patch) -> Manifest:
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
