"""The config that a person wants applied: a config of its own, or a ConfigMap's manifest."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rota.cluster.chosen import DEFAULT
from rota.config.check import Report, check
from rota.config.load import ConfigError, load_text
from rota.config.opening import opened, why
from rota.config.schema import Config
from rota.errors import UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """What a file says.

    Attributes:
        data: the ConfigMap's texts, by key.
        key: for nodes whose label names none; empty where it was not said.
        name: the ConfigMap's; empty where the file is a config of its own.
        namespace: likewise.
        report: what `rota check` says of it.
    """

    data: Mapping[str, str]
    key: str
    report: Report
    name: str = ""
    namespace: str = ""

    @property
    def good(self) -> bool:
        """It can be served."""
        return self.report.exit_code() == 0


def read_source(path: str, key: str) -> Source:
    """Read it, and check it.

    Args:
        path: a file.
        key: the key that a person chose; empty for none.

    Raises:
        UsageError: it cannot be read, has no config in it, or leaves open which is the default.
    """
    if Path(path).is_dir():
        hint = "name the config in it, or the manifest of a ConfigMap"
        raise UsageError("is a folder", where=path, hint=hint)
    report = check([path], io.BytesIO())
    text = _text(path)
    document = _document(text)
    if not (isinstance(document, dict) and document.get("kind") == "ConfigMap"):
        _refuse_others(path, text, document, report)
        return Source({key or "any": text}, key or "any", report)
    data = {str(name): str(each) for name, each in (document.get("data") or {}).items()}
    meta = document.get("metadata") or {}
    name, namespace = str(meta.get("name") or ""), str(meta.get("namespace") or "")
    return Source(data, _key(data, key, path), report, name, namespace)


def configs(data: Mapping[str, str]) -> dict[str, Config]:
    """What each text says; those that cannot be read are left out."""
    found = {}
    for key, text in data.items():
        with suppress(ConfigError):
            found[key] = load_text(text, key).config
    return found


def _refuse_others(path: str, text: str, document: object, report: Report) -> None:
    """`rota check` reads pods, quotas and pages too, and has nothing to object to a good one."""
    what = str(document.get("kind") or "") if isinstance(document, dict) else ""
    if not what and report.exit_code() == 0:
        try:
            load_text(text, path)
        except ConfigError:
            what = "text"
    if what:
        hint = "name a config of the device plugin, or the manifest of a ConfigMap"
        raise UsageError(f"has no config in it, but a {what}", where=path, hint=hint)


def _text(path: str) -> str:
    try:
        with opened(Path(path)) as file:
            return file.read().decode("utf-8-sig", "replace")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {why(error)}", where=path) from None


def _document(text: str) -> object:
    """The first document; None where there is none, which `rota check` has told."""
    try:
        return next(iter(YAML(typ="safe", pure=True).load_all(text)), None)
    except YAMLError:
        return None


def _key(data: Mapping[str, str], key: str, path: str) -> str:
    if not data:
        raise UsageError("this ConfigMap has no config in it", where=path)
    if key and key not in data:
        hint = f"there is {', '.join(data)}"
        raise UsageError(f"has no key `{key}`", where=path, hint=hint)
    if key or len(data) == 1:
        return key or next(iter(data))
    if DEFAULT in data:
        return DEFAULT
    raise UsageError(
        f"holds several configs ({', '.join(data)}), and none is the default",
        where=path,
        hint="choose that of nodes whose label names none with --set configKey=KEY",
    )
