"""From a text to a `Config`: the whole text is judged, and every mistake in it is told.

Only two things come out: a config with what is to be said about it, or a `ConfigError` with all
errors and their places. Whatever the text is, nothing else is ever raised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rota.config import values
from rota.config.document import Mapping, Node, Scalar, Sequence, SyntaxProblem, read_first
from rota.config.findings import Finding, Level, Mark
from rota.config.flags import resolve
from rota.config.keys import fields
from rota.config.manifest import inner_config, is_config_map
from rota.config.nvidia import read_flags, read_imex, read_resources, read_version
from rota.config.opening import opened, why
from rota.config.report import Report, listed, nearest
from rota.config.schema import Config
from rota.config.settings import read_settings
from rota.config.sharing import read_sharing
from rota.errors import RotaError, UsageError

MAX_BYTES = 1 << 20
"""The largest text that is looked at: what a ConfigMap can hold."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config, and the warnings and notes about its text in the order of the text."""

    config: Config
    findings: tuple[Finding, ...] = ()


class ConfigError(RotaError):
    """The text cannot be served. `findings` has every error with its place, and the warnings."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        self.errors = tuple(found for found in findings if found.level is Level.ERROR)
        first = self.errors[0]
        super().__init__(first.message, where=str(first.mark), hint=first.hint)

    def __str__(self) -> str:
        return "\n".join(
            f"{found.mark}: {found.message}" + (f" ({found.hint})" if found.hint else "")
            for found in self.errors
        )


def load_text(
    text: str,
    file: str,
    *,
    cli: Table[str, object] = {},
    env: Table[str, str] = {},
    origin: Mark | None = None,
) -> Loaded:
    """Load a config from its text.

    Args:
        text: YAML or JSON. Only its first document counts.
        file: its name in messages.
        cli: flags of the command line by their `Flag.name`; None for those not given.
        env: the environment, for NVIDIA's variables.
        origin: where the text begins in `file` when it is part of a larger one.

    Raises:
        ConfigError: NVIDIA's plugin would refuse it, or the key `rota` is wrong.
    """
    if len(text) > MAX_BYTES:
        raise _too_large(origin or Mark(file, 1, 1))
    try:
        first, second = read_first(text, file, origin)
    except SyntaxProblem as problem:
        raise _single("syntax", problem.mark, problem.what, problem.hint) from None
    return _load(first, second, file, cli, env)


def load_path(
    path: str | Path,
    *,
    key: str | None = None,
    cli: Table[str, object] = {},
    env: Table[str, str] = {},
) -> Loaded:
    """Load a config from a file, a ConfigMap's manifest, or a folder that one is mounted on.

    Args:
        path: the file, or the folder; `FOLDER/KEY` is a file as well.
        key: which of the ConfigMap's configs; not needed where there is one.
        cli: as in `load_text`.
        env: as in `load_text`.

    Raises:
        ConfigError: as `load_text`, or the file is not UTF-8.
        UsageError: there is no such file, it cannot be read, or the folder leaves a choice.
    """
    text, file, origin = read_path(path, key)
    return load_text(text, file, cli=cli, env=env, origin=origin)


def read_path(path: str | Path, key: str | None = None) -> tuple[str, str, Mark | None]:
    """The text of the config that `path` and `key` mean, its file, and where in it it begins.

    Raises:
        ConfigError: the file is not UTF-8, or too large.
        UsageError: as `load_path`.
    """
    chosen = config_file(Path(path), key)
    text, file = _read(chosen), str(chosen)
    with suppress(SyntaxProblem):
        root = read_first(text, file)[0] if "ConfigMap" in text else None
        if is_config_map(root):
            inner = inner_config(root, file, key)
            return inner.text, file, inner.origin
    if key is not None and chosen == Path(path):
        raise UsageError(f"is one config, so it has no key `{key}`", where=file)
    return text, file, None


def _read(chosen: Path) -> str:
    try:
        with opened(chosen) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = f"cannot be read: {why(error)}"
        raise UsageError(what, where=str(chosen), hint=_beside(chosen)) from None
    if len(data) > MAX_BYTES:
        raise _too_large(Mark(str(chosen), 1, 1))
    return _decoded(data, str(chosen))


def config_file(path: Path, key: str | None = None) -> Path:
    """The file that `path` and `key` mean; a mounted ConfigMap's own `..` names are no keys.

    Raises:
        UsageError: there is no such file, or there are several and no `key` chooses.
    """
    try:
        if not path.is_dir():
            return path
        keys = _keys(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None
    if key is not None and key in keys:
        return path / key
    hint = f"there is {listed(keys)}" if keys else "mount a ConfigMap with a config in it"
    if key is not None:
        raise UsageError(f"has no key `{key}`", where=str(path), hint=hint)
    if len(keys) == 1:
        return path / keys[0]
    if not keys:
        raise UsageError("has no config in it", where=str(path), hint=hint)
    what = f"holds several configs: {', '.join(keys)}"
    raise UsageError(what, where=str(path), hint=f"name one, such as {path / keys[0]}")


def _load(
    root: Node | None,
    second: Mark | None,
    file: str,
    cli: Table[str, object],
    env: Table[str, str],
) -> Loaded:
    report = Report()
    start = root.mark if root else Mark(file, 1, 1)
    if second:
        message = "a second document begins here; NVIDIA's plugin and Rota ignore it"
        report.warning("second-document", second, message, "keep one document a config")
    _infinities(root, report)
    config = _config(root, start, cli, env, report)
    if report.failed:
        raise ConfigError(report.findings)
    return Loaded(config, report.findings)


def _config(
    root: Node | None,
    start: Mark,
    cli: Table[str, object],
    env: Table[str, str],
    report: Report,
) -> Config:
    top = values.mapping(root, "the config", report)
    found = fields(top, "", report) if top else {}
    nodes = {key: entry.value for key, entry in found.items()}
    read_version(found.get("version"), report)
    flags, said = resolve(cli, env, read_flags(nodes.get("flags"), report))
    gpus, migs = read_resources(nodes.get("resources"), report)
    sharing = read_sharing(nodes.get("sharing"), report)
    rota = read_settings(nodes.get("rota"), report)
    read_imex(found.get("imex"), report)
    report.add(said)
    if "version" not in found and not (root and top is None):
        report.note("no-version", start, "no `version`, which means v1", "write `version: v1`")
    if sharing.strategy == "none" and not report.failed:
        message = "nothing is shared: each GPU stays one"
        report.note("nothing-shared", start, message, "add `sharing.timeSlicing.resources`")
    return Config(flags, gpus, migs, sharing, rota)


def _infinities(root: Node | None, report: Report) -> None:
    """JSON has no infinity and no NaN: one of them anywhere, and Go refuses the whole text."""
    stack, seen = [root] if root else [], set[int]()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            stack.extend(entry.value for entry in node.entries)
        elif isinstance(node, Sequence):
            stack.extend(node.items)
        elif isinstance(node, Scalar) and _is_infinite(node):
            message = f"{values.shown(node)} is no number that JSON knows"
            report.error("not-a-number", node.mark, message, "write a number, or put it in quotes")


def _is_infinite(node: Scalar) -> bool:
    return isinstance(node.value, float) and not math.isfinite(node.value)


def _keys(folder: Path) -> list[str]:
    """What may be a config: not what a mounted ConfigMap keeps for itself, and no page or script."""
    names = (item for item in folder.iterdir() if not item.name.startswith(".."))
    kinds = ("", ".yaml", ".yml", ".json", ".conf", ".cfg")
    return sorted(item.name for item in names if not item.is_dir() and item.suffix in kinds)


def _beside(missing: Path) -> str:
    """What is there instead of a file that is not."""
    try:
        near = nearest(missing.name, _keys(missing.parent))
    except (OSError, ValueError):
        return ""
    return f"did you mean {missing.parent / near}?" if near not in (None, missing.name) else ""


def _decoded(data: bytes, file: str) -> str:
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        mark = Mark(file, before.count(b"\n") + 1, column)
        what = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        raise _single("not-utf8", mark, what, "save the file as UTF-8") from None


def _too_large(mark: Mark) -> ConfigError:
    return _single("too-large", mark, f"larger than {MAX_BYTES >> 20} MiB", "is this a config?")


def _single(rule: str, mark: Mark, what: str, hint: str = "") -> ConfigError:
    return ConfigError((Finding(rule, Level.ERROR, mark, what, hint),))
