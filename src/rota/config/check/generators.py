"""kustomize's configMapGenerator: files and literals as a ConfigMap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rota.config.check.files import Disk, real
from rota.config.check.world import Manifest
from rota.config.document import Entry, Mapping, Node, Scalar, Sequence, find, text_of
from rota.config.findings import Mark


def generated(
    entry: Node, root: Mapping, folder: Path, disk: Disk, build: str
) -> tuple[Manifest, set[Path]]:
    """The ConfigMap that one entry of `configMapGenerator` makes, and the files it reads."""
    name = text_of(find(entry, "name")) or ""
    namespace = text_of(find(entry, "namespace")) or ""
    files = dict(_files(entry, folder))
    data = [*_from_files(files, disk), *_literals(entry)]
    place = find(entry, "name") or entry
    meta = Mapping(place.mark, (Entry("name", place.mark, Scalar(place.mark, name, name)),))
    node = Mapping(
        entry.mark,
        (
            Entry("kind", entry.mark, Scalar(entry.mark, "ConfigMap", "ConfigMap")),
            Entry("metadata", place.mark, meta),
            Entry("data", entry.mark, Mapping(entry.mark, tuple(data))),
        ),
    )
    hashed = not (_no_suffix(find(entry, "options")) or _no_suffix(root.get("generatorOptions")))
    made = Manifest(node, "ConfigMap", name, namespace, build, name, hashed)
    return made, {real(path) for path, _ in files.values()}


def text_entry(key: str, file: str, text: str) -> Entry:
    """A key whose value is a whole file: like a `|` literal that is all of the file."""
    start = Mark(file, 1, 1)
    return Entry(key, start, Scalar(start, text, text, block=True, body=start))


def _files(entry: Node, folder: Path) -> Iterator[tuple[str, tuple[Path, Mark]]]:
    listed = find(entry, "files")
    for item in listed.items if isinstance(listed, Sequence) else ():
        text = text_of(item) or ""
        key, mark, path = text.partition("=")
        yield (key if mark else Path(text).name), (folder / (path if mark else text), item.mark)


def _from_files(files: dict[str, tuple[Path, Mark]], disk: Disk) -> Iterator[Entry]:
    for key, (path, asked) in files.items():
        source = disk.inside(path, asked)
        if source is not None:
            yield text_entry(key, source.file, source.text)


def _literals(entry: Node) -> Iterator[Entry]:
    listed = find(entry, "literals")
    for item in listed.items if isinstance(listed, Sequence) else ():
        key, _, value = (text_of(item) or "").partition("=")
        yield Entry(key, item.mark, Scalar(item.mark, value, value))


def _no_suffix(options: Node | None) -> bool:
    value = find(options, "disableNameSuffixHash")
    return isinstance(value, Scalar) and value.value is True
