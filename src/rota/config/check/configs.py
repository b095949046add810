"""Configs, wherever they stand: bare files and the keys of ConfigMaps."""

from __future__ import annotations

from dataclasses import replace

from rota.config.check.files import Disk, Source
from rota.config.check.parsing import standing_at
from rota.config.check.registry import found
from rota.config.check.world import ConfigMap, ConfigText, Manifest
from rota.config.document import (
    Entry,
    Mapping,
    Node,
    Scalar,
    SyntaxProblem,
    embedded_origin,
    find,
    read_first,
    text_of,
)
from rota.config.findings import Finding, Mark
from rota.config.load import ConfigError, load_text
from rota.config.schema import Config

_OURS = {"sharing", "flags", "rota"}
_MAYBE = {"version", "resources", "imex"}
_OTHERS = {"mig-configs", "kind"}


def looks_like_config(node: Node) -> bool:
    """Whether a document without a kind is meant as a config of the device plugin."""
    if not isinstance(node, Mapping):
        return False
    keys = {entry.key for entry in node.entries}
    versioned = (text_of(node.get("version")) or "").startswith("v1") and not keys & _OTHERS
    return bool(keys & _OURS) or versioned or ("version" in keys and keys <= _MAYBE)


def config_text(source: Source, disk: Disk) -> ConfigText:
    """A bare file as a config."""
    start = Mark(source.file, 1, 1)
    config, findings = _loaded(source.text, start)
    disk.findings.extend(findings)
    return ConfigText("", None, start, _first(source.text, start), config)


def config_map(
    manifest: Manifest, named: set[str], disk: Disk
) -> tuple[ConfigMap, list[ConfigText]]:
    """A ConfigMap, and the configs in it.

    Args:
        manifest: the ConfigMap.
        named: the ConfigMaps that policies name, whose every key is a config.
        disk: takes the findings.
    """
    data = find(manifest.node, "data")
    entries = data.entries if isinstance(data, Mapping) else ()
    keys = tuple(dict.fromkeys(entry.key for entry in entries))
    wanted = manifest.name in named or _holds_configs(entries, alone=manifest.named)
    made = ConfigMap(manifest, keys, wanted)
    if not wanted:
        return made, []
    disk.findings.extend(_shape(manifest, entries))
    return made, [_key(entry, made, disk) for entry in entries if text_of(entry.value) is not None]


def _holds_configs(entries: tuple[Entry, ...], *, alone: bool) -> bool:
    """Whether one value looks like a config; or none says anything, and a person named the file."""
    first = [_first(text_of(e.value) or "", e.mark) for e in entries]
    meant = [node for node in first if node is not None]
    nested = any(looks_like_config(entry.value) for entry in entries)
    return nested or any(map(looks_like_config, meant)) or (alone and not any(map(_says, meant)))


def _key(entry: Entry, owner: ConfigMap, disk: Disk) -> ConfigText:
    scalar = entry.value
    assert isinstance(scalar, Scalar)
    text = str(scalar.value)
    config, findings = _loaded(text, embedded_origin(scalar) or scalar.mark)
    node = _first(text, embedded_origin(scalar) or scalar.mark)
    if not scalar.block:
        findings = tuple(replace(finding, mark=scalar.mark) for finding in findings)
        node = standing_at(scalar.mark, node) if node is not None else None
    disk.findings.extend(findings)
    return ConfigText(entry.key, owner, entry.mark, node, config)


def _loaded(text: str, origin: Mark) -> tuple[Config | None, tuple[Finding, ...]]:
    try:
        loaded = load_text(text, origin.file, origin=origin)
    except ConfigError as error:
        return None, error.findings
    return loaded.config, loaded.findings


def _first(text: str, origin: Mark) -> Node | None:
    try:
        return read_first(text, origin.file, origin)[0]
    except SyntaxProblem:
        return None


def _says(node: Node) -> bool:
    return not isinstance(node, Scalar) or node.value is not None


def _shape(manifest: Manifest, entries: tuple[Entry, ...]) -> list[Finding]:
    findings = [
        found(
            "configmap-value",
            entry.value.mark,
            f"the value of `{entry.key}` is not text, so the API refuses the ConfigMap",
            f"write `{entry.key}: |` and indent the config below it",
        )
        for entry in entries
        if text_of(entry.value) is None
    ]
    data = find(manifest.node, "data")
    if data is not None and not isinstance(data, Mapping) and _says(data):
        findings.append(found("configmap-value", data.mark, "data must be a map of keys to texts"))
    return findings
