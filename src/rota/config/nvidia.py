"""NVIDIA's part of a config: `version`, `flags`, `resources`, `imex`; `sharing` has its own file.

Accepted is what NVIDIA's parser accepts (k8s-device-plugin v0.20), and refused what it refuses,
but with every mistake at once, each with its place and a way out.
"""

from __future__ import annotations

from rota.config import values
from rota.config.flags import BY_PATH, FileValue, Flag, Value
from rota.config.keys import exact_fields, fields
from rota.config.quantities import QuantityError, parse_duration
from rota.config.report import Report
from rota.config.scalars import shorten
from rota.config.schema import ResourcePattern
from rota.config.sharing import resource_name
from rota.config.tree import Entry, Mapping, Node, Scalar, Sequence

_BOOLEANS = frozenset(
    ("gdrcopyEnabled", "gdsEnabled", "mofedEnabled", "useNodeFeatureAPI", "oneshot", "noTimestamp")
)


def read_version(entry: Entry | None, report: Report) -> None:
    """`version` is `v1`, or not there, which is v1 as well."""
    if entry is None:
        return
    version = values.stringified(entry.value, "version", report)
    if version not in (None, "", "v1"):
        message = f"unknown version: {shorten(str(version))}"
        report.error("unknown-version", entry.value.mark, message, "write `version: v1`")


def read_flags(node: Node | None, report: Report) -> dict[str, FileValue]:
    """What the file says of the flags that Rota obeys, by their path; of others, a note."""
    found: dict[str, FileValue] = {}
    _flags(node, "flags", found, report)
    return found


def _flags(node: Node | None, place: str, found: dict[str, FileValue], report: Report) -> None:
    block = values.mapping(node, place, report)
    if block is None:
        return
    for key, entry in fields(block, place, report).items():
        path = f"{place}.{key}"
        if path in ("flags.plugin", "flags.gfd"):
            _flags(entry.value, path, found, report)
        elif values.is_null(entry.value):
            continue
        elif path in BY_PATH:
            value = _flag_value(BY_PATH[path], entry.value, key, report)
            if value is not None:
                found[path] = FileValue(value, entry.value.mark)
        else:
            _other_flag(path, key, entry, report)


def _flag_value(flag: Flag, node: Node, key: str, report: Report) -> Value | None:
    if flag.kind == "bool":
        return values.boolean(node, key, report)
    if flag.kind != "choices":
        return values.stringified(node, key, report)
    if isinstance(node, Sequence):
        words = [values.string(item, key, report) for item in node.items]
        return tuple(word or "" for word in words)
    return values.string(node, key, report)


def _other_flag(path: str, key: str, entry: Entry, report: Report) -> None:
    """A flag of NVIDIA's that Rota does not act on: its type counts, its value does not."""
    if key in _BOOLEANS:
        values.boolean(entry.value, key, report)
    elif key == "sleepInterval":
        _interval(entry.value, key, report)
    else:
        values.stringified(entry.value, key, report)
    message = f"Rota does not act on `{path}`"
    report.note("flag-not-acted-on", entry.mark, message)


def _interval(node: Node, key: str, report: Report) -> None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return
    text = values.string(node, key, report)
    if text is None or text.lstrip("+-") == "0":
        return
    try:
        parse_duration(text.removeprefix("-").removeprefix("+"))
    except QuantityError as error:
        report.error("bad-duration", node.mark, f"`{key}`: {error.what}", error.hint)


def read_resources(
    node: Node | None, report: Report
) -> tuple[tuple[ResourcePattern, ...], tuple[ResourcePattern, ...]]:
    """The patterns for whole GPUs, and those for MIG devices."""
    block = values.mapping(node, "resources", report)
    if block is None:
        return (), ()
    found = fields(block, "resources", report)
    gpus = _patterns(found.get("gpus"), "resources.gpus[]", report)
    migs = _patterns(found.get("mig"), "resources.mig[]", report)
    if gpus or migs:
        message = "NVIDIA's plugin ignores everything under `resources`; Rota honours it"
        report.note("resources-ignored-by-nvidia", block.mark, message)
    return gpus, migs


def _patterns(entry: Entry | None, place: str, report: Report) -> tuple[ResourcePattern, ...]:
    node = values.sequence(entry.value if entry else None, place.removesuffix("[]"), report)
    read = [_pattern(item, place, report) for item in node.items] if node else []
    return tuple(pattern for pattern in read if pattern)


def _pattern(node: Node, place: str, report: Report) -> ResourcePattern | None:
    if not isinstance(node, Mapping) and not values.is_null(node):
        values.mapping(node, f"an entry of `{place.removesuffix('[]')}`", report)
        return None
    found = exact_fields(node, place, report) if isinstance(node, Mapping) else {}
    if "pattern" not in found:
        report.error("no-pattern", node.mark, _MUST_HAVE.format("pattern"), _PATTERN_HINT)
    if "name" not in found:
        report.error("no-name", node.mark, _MUST_HAVE.format("name"), _PATTERN_HINT)
    text, full = None, None
    if "pattern" in found:
        text = _pattern_text(found["pattern"].value, report)
    if "name" in found:
        full = resource_name(found["name"].value, "name", report)
    return None if text is None or full is None else ResourcePattern(text, full)


_MUST_HAVE = "an entry under `resources` must have `{}`"
_PATTERN_HINT = 'such as `pattern: "*"` with `name: nvidia.com/gpu`'


def _pattern_text(node: Node, report: Report) -> str | None:
    return "" if values.is_null(node) else values.string(node, "pattern", report)


def read_imex(entry: Entry | None, report: Report) -> None:
    """`imex` is checked as NVIDIA does, and not acted on."""
    block = values.mapping(entry.value if entry else None, "imex", report)
    if entry is None or block is None:
        return
    found = fields(block, "imex", report)
    if "required" in found:
        values.boolean(found["required"].value, "required", report)
    if "channelIDs" in found:
        _channels(found["channelIDs"].value, report)
    report.note("imex-not-acted-on", entry.mark, "Rota does not act on `imex`")


def _channels(node: Node, report: Report) -> None:
    listed = values.sequence(node, "channelIDs", report)
    items = listed.items if listed else ()
    channels = [values.integer(item, "channelIDs", report) or 0 for item in items]
    if channels not in ([], [0]):
        report.error("bad-imex", node.mark, "`channelIDs` must be [] or [0]", "write `[0]`")
