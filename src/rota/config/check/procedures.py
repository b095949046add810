"""What a script's kubectl commands bring into the cluster, and take out of it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rota.config.check.files import Disk, Source, is_file, is_folder, real
from rota.config.check.generators import text_entry
from rota.config.check.parsing import documents, manifests, standing_at
from rota.config.check.policies import LABEL, policy_of_patch
from rota.config.check.registry import found
from rota.config.check.shell import Command
from rota.config.check.steps import Call, call, known
from rota.config.check.world import Manifest, NodeLabel, Policy, Step
from rota.config.document import Entry, Mapping, Node, Scalar
from rota.config.findings import Level


@dataclass(slots=True)
class Procedure:
    """The steps of one script or fenced block, and the objects that they make."""

    steps: list[Step] = field(default_factory=list)
    labels: list[NodeLabel] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)


def procedure(commands: Iterable[Command], disk: Disk, path: Path | None) -> Procedure:
    """Understand the commands of a script that lies at `path`."""
    made = Procedure()
    folder = path.parent if path is not None else Path()
    for command in commands:
        asked = call(command)
        if asked is not None:
            _Translator(made, disk, folder, command, asked).translate()
    return made


@dataclass(slots=True)
class _Translator:
    made: Procedure
    disk: Disk
    folder: Path
    command: Command
    call: Call

    def translate(self) -> None:
        namespace = self.call.flag("--namespace")
        patch = self._patch() if self.call.verb == "patch" else None
        for kind, name in self.call.objects or [("", "")]:
            step = Step(
                self.call.verb,
                kind,
                name,
                namespace,
                self.command.words,
                self.command.mark,
                patch,
            )
            self.made.steps.append(step)
            self._effect(step)
        if self.command.document:
            self._document(namespace)

    def _effect(self, step: Step) -> None:
        if step.verb == "create configmap" and step.name:
            self.made.manifests.append(self._created(step))
        elif step.verb == "label" and step.kind == "node":
            self.made.labels.extend(self._labels())
        elif step.kind == "clusterpolicy" and step.patch is not None:
            policy = policy_of_patch(step.patch, step.name)
            if policy is not None:
                self.made.policies.append(policy)

    def _labels(self) -> Iterator[NodeLabel]:
        for word in self.call.rest:
            key, equals, value = word.partition("=")
            if equals and key == LABEL and known(value):
                yield NodeLabel(value, self.command.mark)

    def _document(self, namespace: str) -> None:
        if self.call.verb not in ("apply", "create", "replace"):
            return
        place = self.command.document_at
        file = self.command.mark.file
        for node in documents(self.command.document, file, self.disk.findings, place):
            for manifest in manifests(node):
                own = manifest.namespace or namespace
                self.made.manifests.append(replace(manifest, namespace=own))

    def _patch(self) -> Node | None:
        mark = self.command.mark
        for text in self.call.flags.get("--patch", []):
            nodes = documents(text, mark.file, [])
            return standing_at(mark, nodes[0]) if nodes else None
        source = self._source(self.call.flag("--patch-file"))
        nodes = documents(source.text, source.file, self.disk.findings) if source else ()
        return nodes[0] if nodes else None

    def _created(self, step: Step) -> Manifest:
        mark = self.command.mark
        data = [*self._files(), *self._literals()]
        name = Scalar(mark, step.name, step.name)
        parts = (
            Entry("kind", mark, Scalar(mark, "ConfigMap", "ConfigMap")),
            Entry("metadata", mark, Mapping(mark, (Entry("name", mark, name),))),
            Entry("data", mark, Mapping(mark, tuple(data))),
        )
        node = Mapping(mark, parts)
        return Manifest(node, "ConfigMap", step.name, step.namespace, written_name=step.name)

    def _files(self) -> Iterator[Entry]:
        for word in self.call.flags.get("--from-file", []):
            key, equals, name = word.partition("=")
            name = name if equals else word
            source = self._source(known(name))
            if source is not None:
                yield text_entry(key if equals else Path(name).name, source.file, source.text)

    def _source(self, name: str) -> Source | None:
        """A file that the command names, seen from the script's folder or one above it."""
        if not name or name.startswith("-"):
            return None
        mark = self.command.mark
        around = (self.folder, *self.folder.parents, *real(self.folder).parents)
        for folder in around:
            if is_file(folder / name):
                return self.disk.inside(folder / name, mark)
        if not is_folder(self.folder / name):
            what = f"there is no file {name} beside this, nor in a folder above"
            self.disk.findings.append(found("file-missing", mark, what, level=Level.WARNING))
        return None

    def _literals(self) -> Iterator[Entry]:
        mark = self.command.mark
        for word in self.call.flags.get("--from-literal", []):
            key, _, value = word.partition("=")
            yield Entry(key, mark, Scalar(mark, value, value))
