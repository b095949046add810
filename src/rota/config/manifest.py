"""A ConfigMap's manifest where a config is expected: the config is in it.

NVIDIA's parser takes such a file for an empty config, since it knows none of its keys, and shares
nothing. Who names a manifest means the config inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from rota.config.document import Mapping, Node, Scalar, find, text_of
from rota.config.findings import Mark
from rota.config.report import listed
from rota.errors import UsageError


@dataclass(frozen=True, slots=True)
class Inner:
    """A config inside a manifest, and where its text begins."""

    text: str
    origin: Mark


def is_config_map(root: Node | None) -> bool:
    """Whether a document is a ConfigMap's manifest."""
    return text_of(find(root, "kind")) == "ConfigMap" and find(root, "apiVersion") is not None


def inner_config(root: Node | None, file: str, key: str | None) -> Inner:
    """The config under `key` of a ConfigMap; the only one without a key.

    Raises:
        UsageError: there is no such key, or there are several and none was chosen.
    """
    data = find(root, "data")
    entries = data.entries if isinstance(data, Mapping) else ()
    configs = {entry.key: entry.value for entry in entries if isinstance(entry.value, Scalar)}
    chosen = _chosen(tuple(configs), file, key)
    scalar = configs[chosen]
    return Inner(str(scalar.text), scalar.body or scalar.mark)


def _chosen(keys: tuple[str, ...], file: str, key: str | None) -> str:
    if not keys:
        raise UsageError("this ConfigMap has no config in it", where=file)
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        what = f"this ConfigMap holds several configs: {', '.join(keys)}"
        raise UsageError(what, where=file, hint=f"choose one with --config-key, such as {keys[0]}")
    if key not in keys:
        raise UsageError(f"has no key `{key}`", where=file, hint=f"there is {listed(keys)}")
    return key
