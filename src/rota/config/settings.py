"""The key `rota`: strict, since nobody but Rota reads it.

A table says how each key is read; what no table can say (one key against another) follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rota.config import values
from rota.config.keys import strict_fields
from rota.config.quantities import (
    QuantityError,
    format_duration,
    parse_duration,
    parse_percent,
    parse_size,
)
from rota.config.report import Report, did_you_mean
from rota.config.scalars import shorten
from rota.config.schema import Allocation, Jobs, Memory, Paging, RotaSettings, Turns
from rota.config.tree import Entry, Node, Scalar

_Reader = Callable[[Node, str, Report], Any]
"""Reads a node that is not null; None, after it said so, for one that is not accepted."""


def read_settings(node: Node | None, report: Report) -> RotaSettings:
    """What the key `rota` says, over the defaults."""
    block = values.mapping(node, "rota", report)
    found = strict_fields(block, "rota", report) if block else {}
    turns = _section(found.get("turns"), "rota.turns", report)
    allocation = _section(found.get("allocation"), "rota.allocation", report)
    memory = _section(found.get("memory"), "rota.memory", report)
    paging = _section(found.get("paging"), "rota.paging", report)
    jobs = _section(found.get("jobs"), "rota.jobs", report)
    settings = RotaSettings(
        turns=_turns(turns),
        allocation=Allocation(**_plain(allocation)),
        memory=Memory(**_plain(memory)),
        paging=_paging(paging),
        jobs=Jobs(**_plain(jobs)),
    )
    _check_turns(turns, settings.turns, report)
    _check_memory(memory, settings, report)
    return settings


_DEFAULT = "auto"
"""What a reader gives for a word that means the default."""

_Values = dict[str, tuple[Entry, Any]]
"""Field of the dataclass → the entry and its value."""


def _section(entry: Entry | None, place: str, report: Report) -> _Values:
    block = values.mapping(entry.value if entry else None, place, report)
    found: _Values = {}
    for key, inner in strict_fields(block, place, report).items() if block else ():
        if values.is_null(inner.value):
            continue
        value = _READERS[f"{place}.{key}"](inner.value, key, report)
        if value is not None:
            found[key] = (inner, value)
    return found


def _plain(section: _Values) -> dict[str, Any]:
    return {key: value for key, (_, value) in section.items() if value != _DEFAULT}


def _turns(section: _Values) -> Turns:
    turns = Turns(**_plain(section))
    if "minimum" not in section and turns.minimum > turns.quantum:
        return Turns(turns.mode, turns.quantum, turns.quantum, turns.unmanaged)
    return turns


def _paging(section: _Values) -> Paging:
    plain = _plain(section)
    host = plain.get("hostMemory", 0.5)
    return Paging(
        enabled=plain.get("enabled", False),
        idle_after=plain.get("idleAfter", 60.0),
        host_memory_bytes=host if isinstance(host, int) else None,
        host_memory_part=host if isinstance(host, float) else 0.5,
    )


def _check_turns(section: _Values, turns: Turns, report: Report) -> None:
    if turns.minimum > turns.quantum and "minimum" in section:
        minimum, quantum = format_duration(turns.minimum), format_duration(turns.quantum)
        message = f"`minimum` ({minimum}) is longer than `quantum` ({quantum})"
        mark = section["minimum"][0].value.mark
        report.error("minimum-over-quantum", mark, message, f"write {quantum} at most")


def _check_memory(section: _Values, settings: RotaSettings, report: Report) -> None:
    if settings.memory.oversubscribe > 1 and not settings.paging.enabled:
        message = "`oversubscribe` above 1.0 wants paging, since idle clients must make room"
        mark = section["oversubscribe"][0].value.mark
        report.error(
            "oversubscribe-without-paging", mark, message, "set `rota.paging.enabled: true`"
        )
    if settings.memory.evict and settings.memory.enforce == "hard":
        message = "`evict` does nothing where `enforce` is `hard`: nobody can take too much there"
        mark = section["evict"][0].mark
        report.warning("evict-without-report", mark, message, "set `enforce: report`, or remove it")


def _choice(*choices: str) -> _Reader:
    def read(node: Node, what: str, report: Report) -> str | None:
        text = values.string(node, what, report)
        if text is None or text in choices:
            return text
        message = f"`{what}` is `{shorten(text)}`"
        report.error("bad-value", node.mark, message, did_you_mean(text, choices))
        return None

    return read


def _choices(*choices: str) -> _Reader:
    one = _choice(*choices)

    def read(node: Node, what: str, report: Report) -> tuple[str, ...] | None:
        items = values.sequence(node, what, report)
        if items is None:
            return None
        read = [one(item, what, report) for item in items.items]
        return tuple(dict.fromkeys(word for word in read if word is not None))

    return read


def _quantity(node: Node, what: str, report: Report, parse: Callable[[str], Any]) -> Any:
    if not isinstance(node, Scalar) or isinstance(node.value, bool):
        message = f"`{what}` is {values.shown(node)}, not a quantity"
        report.error(values.RULE, node.mark, message, "write such as `100ms`, `4Gi` or `50%`")
        return None
    try:
        return parse(node.text.strip())
    except QuantityError as error:
        report.error("bad-value", node.mark, f"`{what}`: {error.what}", error.hint)
        return None


def _duration(zero: bool) -> _Reader:
    def read(node: Node, what: str, report: Report) -> float | None:
        seconds: float | None = _quantity(node, what, report, parse_duration)
        if seconds == 0 and not zero:
            report.error(
                "bad-value", node.mark, f"`{what}` must be more than nothing", "write `100ms`"
            )
            return None
        return seconds

    return read


def _size_or_auto(node: Node, what: str, report: Report) -> int | str | None:
    if isinstance(node, Scalar) and node.value == "auto":
        return _DEFAULT
    size: int | None = _quantity(node, what, report, parse_size)
    return size


def _size_or_part(node: Node, what: str, report: Report) -> int | float | None:
    is_part = isinstance(node, Scalar) and node.text.strip().endswith("%")
    amount: int | float | None = _quantity(
        node, what, report, parse_percent if is_part else parse_size
    )
    if amount == 0:
        report.error("bad-value", node.mark, f"`{what}` must be more than nothing", "write `50%`")
        return None
    return amount


def _factor(node: Node, what: str, report: Report) -> float | None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"`{what}` is {values.shown(node)}, not a number"
        report.error(values.RULE, node.mark, message, "write such as `1.5`")
        return None
    if not 1 <= value <= 100:
        message = f"`{what}` is {values.shown(node)}"
        report.error("bad-value", node.mark, message, "write 1.0 (nothing) to 100")
        return None
    return float(value)


def _quota(node: Node, what: str, report: Report) -> int | str | None:
    """`none`, which is the default, or a number of replicas."""
    if isinstance(node, Scalar) and node.value == "none":
        return _DEFAULT
    count = values.integer(node, what, report)
    if count is not None and count < 0:
        message = f"`{what}` is {values.shown(node)}, less than nothing"
        report.error("bad-value", node.mark, message, "write 0 or more, or none")
        return None
    return count


def _quotas(node: Node, what: str, report: Report) -> tuple[tuple[str, int | None], ...] | None:
    block = values.mapping(node, what, report)
    if block is None:
        return None
    read = {entry.key: _quota(entry.value, shorten(entry.key), report) for entry in block.entries}
    for entry in block.doubles():
        message = f"`{shorten(entry.key)}` is given more than once; the last one counts"
        report.warning("double-key", entry.mark, message, "keep one")
    return tuple(
        (user, None if count == _DEFAULT else int(count))
        for user, count in read.items()
        if count is not None
    )


_READERS: dict[str, _Reader] = {
    "rota.turns.mode": _choice("exclusive", "driver"),
    "rota.turns.quantum": _duration(zero=False),
    "rota.turns.minimum": _duration(zero=True),
    "rota.turns.unmanaged": _choice("allow", "gate"),
    "rota.allocation.policy": _choice("distributed", "packed"),
    "rota.allocation.spread": _choice("preferred", "required"),
    "rota.memory.limit": _choice("share", "none"),
    "rota.memory.enforce": _choice("hard", "report"),
    "rota.memory.reserve": _size_or_auto,
    "rota.memory.oversubscribe": _factor,
    "rota.memory.evict": values.boolean,
    "rota.memory.hints": _choices("jax", "cupy", "pytorch"),
    "rota.paging.enabled": values.boolean,
    "rota.paging.idleAfter": _duration(zero=False),
    "rota.paging.hostMemory": _size_or_part,
    "rota.jobs.quota": _quota,
    "rota.jobs.quotas": _quotas,
}
