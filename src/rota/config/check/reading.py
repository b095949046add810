"""Sorts what a person named into the typed objects of the world."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from rota.config.check import files, shell
from rota.config.check.configs import config_map, config_text, looks_like_config
from rota.config.check.files import Disk, Source
from rota.config.check.kustomize import build
from rota.config.check.parsing import (
    documents,
    first_of,
    is_object,
    leading_document,
    manifests,
    split,
)
from rota.config.check.patches import is_json_patch
from rota.config.check.pods import KNOWN_KINDS, pods_in, quotas_in
from rota.config.check.policies import labels_in, policy_of, policy_of_patch
from rota.config.check.procedures import Procedure, procedure
from rota.config.check.world import ConfigMap, ConfigText, Manifest, Policy, World
from rota.config.document import Node
from rota.config.findings import Finding, Mark
from rota.errors import UsageError

_RELEVANT = re.compile(
    r"nvidia|/gpu|timeSlicing|ClusterPolicy|\brota\b|kind\W+ConfigMap|kubectl", re.IGNORECASE
)
_COMPONENT = re.compile(r"^kind: *Component\b", re.MULTILINE)
_SCRIPTS = (".sh", ".bash")
_PAGES = (".md", ".markdown")


@dataclass(slots=True)
class Reading:
    """Reads one thing after another; `world()` is what they come to."""

    disk: Disk = field(default_factory=Disk)
    bare: list[ConfigText] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    patches: list[Policy] = field(default_factory=list)
    procedures: list[Procedure] = field(default_factory=list)
    built: set[Path] = field(default_factory=set)
    skipped: int = 0

    def path(self, path: str, stdin: BinaryIO) -> None:
        """Read a file, a folder, or `-` for standard input.

        Raises:
            UsageError: there is nothing to read.
        """
        if path == "-":
            self._source(self.disk.stream(stdin))
        elif files.is_folder(Path(path)):
            self._folder(Path(path))
        elif Path(path).name in files.KUSTOMIZATIONS:
            self.disk.named(path)
            self._build(Path(path).parent)
        else:
            self._source(self.disk.named(path))

    def manifest(self, source: Source) -> None:
        """Read a text as YAML, whatever its name: an object that lives in a cluster."""
        self.disk.texts[source.file] = source.text
        self._yaml(source)

    def world(self) -> World:
        """Everything read so far, judged config by config."""
        named = {str(p.config_name.value) for p in self._policies() if p.config_name}
        configs = list(self.bare)
        maps: list[ConfigMap] = []
        for manifest in self.manifests:
            if manifest.kind == "ConfigMap":
                made, texts = config_map(manifest, named, self.disk)
                maps.append(made)
                configs.extend(texts)
        return World(
            configs=tuple(configs),
            config_maps=tuple(maps),
            policies=tuple(self._policies()),
            pods=tuple(pod for m in self.manifests for pod in pods_in(m)),
            quotas=tuple(quota for m in self.manifests for quota in quotas_in(m)),
            steps=tuple(step for p in self.procedures for step in p.steps),
            labels=tuple(label for m in self.manifests for label in labels_in(m))
            + tuple(label for p in self.procedures for label in p.labels),
            unknown_kinds=tuple(
                m for m in self.manifests if m.kind not in KNOWN_KINDS and (m.named or pods_in(m))
            ),
            texts=self.disk.texts,
            findings=tuple(self.disk.findings),
            skipped=self.skipped,
        )

    def _policies(self) -> list[Policy]:
        own = [policy_of(m) for m in self.manifests if m.kind == "ClusterPolicy"]
        return own + self.patches

    def _folder(self, folder: Path) -> None:
        paths = list(files.walk(folder))
        if not paths:
            hint = "give a file, or a folder with .yaml, .json, .md or .sh files"
            raise UsageError("the folder has no manifests", where=str(folder), hint=hint)
        for path in paths:
            if path.name in files.KUSTOMIZATIONS and not self._is_component(path):
                self._build(path.parent)
        for path in paths:
            if files.real(path) not in self.built:
                self._inside(path)

    def _is_component(self, path: Path) -> bool:
        """Whether it is only a part of other kustomizations, and nothing by itself."""
        source = self.disk.inside(path)
        return source is not None and _COMPONENT.search(source.text) is not None

    def _inside(self, path: Path) -> None:
        source = self.disk.inside(path)
        if source is None:
            return
        if _RELEVANT.search(source.text):
            self._source(source)
        else:
            self.skipped += 1

    def _build(self, folder: Path) -> None:
        """Evaluate a kustomization; what a later one builds upon counts as part of that one only."""
        file = files.kustomization_in(folder)
        if file is None or files.real(file) in self.built:
            return
        made = build(folder, self.disk)
        inner = {str(path.parent) for path in made.files if path.name in files.KUSTOMIZATIONS}
        self.manifests = [
            m
            for m in self.manifests
            if not m.build or m.build == str(folder) or str(files.real(Path(m.build))) not in inner
        ]
        self.manifests.extend(made.manifests)
        self.patches.extend(p for node in made.lost if (p := policy_of_patch(node)))
        self.built |= made.files

    def _source(self, source: Source | None) -> None:
        if source is None:
            return
        suffix = Path(source.file).suffix.lower()
        if suffix in _SCRIPTS or (not suffix and source.text.startswith("#!")):
            self._procedure(source, source.text, 1, 1)
        elif suffix in _PAGES:
            self._page(source)
        else:
            self._yaml(source)

    def _yaml(self, source: Source) -> None:
        found: list[Finding] = []
        nodes = self._documents(source, found)
        first = (
            first_of(nodes) if nodes or not found else leading_document(source.text, source.file)
        )
        if first is None or not is_object(first):
            self._without_kind(source, first, nodes, found)
            return
        self.disk.findings.extend(found)
        for node in nodes:
            self._document(node, source)

    def _documents(self, source: Source, found: list[Finding]) -> tuple[Node, ...]:
        """All documents of a named file; of one in a folder, those that speak of GPUs."""
        if source.named:
            return documents(source.text, source.file, found)
        parts = split(source.text, source.file)
        return tuple(
            node
            for text, origin in parts
            if len(parts) == 1 or _RELEVANT.search(text)
            for node in documents(text, source.file, found, origin)
        )

    def _without_kind(
        self, source: Source, first: Node | None, nodes: tuple[Node, ...], found: list[Finding]
    ) -> None:
        """A config, a patch, or some other document that is not ours."""
        policy = policy_of_patch(first) if first is not None else None
        if policy is not None:
            self.patches.append(policy)
        elif first is None and found:
            self.disk.findings.extend(found)
        elif _is_config(first, named=source.named):
            self.bare.append(config_text(source, self.disk))
        else:
            self.disk.findings.extend(found)
            for node in nodes:
                self._document(node, source)

    def _document(self, node: Node, source: Source) -> None:
        for manifest in manifests(node, named=source.named):
            self.manifests.append(manifest)

    def _page(self, source: Source) -> None:
        for block in shell.blocks(source.text, source.file):
            if block.language in shell.SHELLS:
                self._procedure(source, block.text, block.origin.line, block.origin.column)
            elif block.language in shell.YAMLS:
                self._example(block, source)

    def _example(self, block: shell.Block, source: Source) -> None:
        """YAML in a page: read where it is an object, and left alone where it is a fragment."""
        for node in documents(block.text, source.file, [], block.origin):
            if is_object(node):
                self._document(node, source)

    def _procedure(self, source: Source, text: str, line: int, column: int) -> None:
        origin = Mark(source.file, line, column)
        made = procedure(shell.commands(text, origin), self.disk, source.path)
        self.procedures.append(made)
        self.manifests.extend(replace(m, named=source.named) for m in made.manifests)
        self.patches.extend(made.policies)


def _is_config(first: Node | None, *, named: bool) -> bool:
    """Whether to take a document without a kind as a config: a named one is meant to be something."""
    if first is None:
        return named
    return looks_like_config(first) or (named and not is_json_patch(first))
