"""What a pod may ask for besides its replicas: `rota.dev/…` annotations. Pure.

No annotation is ever needed. A value that makes no sense counts as the default, and is told: a pod
that started must not fail for a slip in a wish. `table()` is the reference page's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from rota.config.quantities import QuantityError, parse_size
from rota.scheduling.terms import Priority

PREFIX = "rota.dev/"
WEIGHT = PREFIX + "weight"
CLASS = PREFIX + "class"
MEMORY = PREFIX + "memory"
PAGING = PREFIX + "paging"
KNOWN = (WEIGHT, CLASS, MEMORY, PAGING)

LIGHTEST = 0.01
HEAVIEST = 100.0
"""The bounds of a weight, as for local jobs."""

SHOWN = 60


@dataclass(frozen=True, slots=True)
class PodWish:
    """What the containers of a pod were given besides their replicas.

    Attributes:
        weight: a factor on each container's share of time.
        priority: its class.
        memory: GPU memory in bytes for each container on each GPU; None: its share.
        pageable: it may be paged out while it is idle.
    """

    weight: float = 1.0
    priority: Priority = Priority.STANDARD
    memory: int | None = None
    pageable: bool = True


@dataclass(frozen=True, slots=True)
class BadValue:
    """One annotation that is not taken.

    Attributes:
        key: the annotation.
        what: what is wrong with it, and what counts instead.
    """

    key: str
    what: str


def ours(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that are meant for us."""
    return {key: value for key, value in annotations.items() if key.startswith(PREFIX)}


def parse(annotations: Mapping[str, str]) -> tuple[PodWish, tuple[BadValue, ...]]:
    """A pod's wish, and what of it is not taken."""
    given = ours(annotations)
    bad: list[BadValue] = []
    weight = _weight(given, bad)
    priority = _priority(given, bad)
    memory = _memory(given, bad)
    pageable = _pageable(given, bad)
    bad += [_unknown(key) for key in sorted(given) if key not in KNOWN]
    return PodWish(weight, priority, memory, pageable), tuple(bad)


def _weight(given: Mapping[str, str], bad: list[BadValue]) -> float:
    text = given.get(WEIGHT, "1").strip()
    try:
        weight = float(text)
    except ValueError:
        weight = float("nan")
    if LIGHTEST <= weight <= HEAVIEST:
        return weight
    wanted = f"a number from {LIGHTEST:g} to {HEAVIEST:g}"
    bad.append(_refused(WEIGHT, given[WEIGHT], wanted, "1"))
    return 1.0


def _priority(given: Mapping[str, str], bad: list[BadValue]) -> Priority:
    text = given.get(CLASS, Priority.STANDARD).strip()
    try:
        return Priority(text)
    except ValueError:
        wanted = ", ".join(Priority)
        bad.append(_refused(CLASS, given[CLASS], f"one of {wanted}", Priority.STANDARD))
        return Priority.STANDARD


def _memory(given: Mapping[str, str], bad: list[BadValue]) -> int | None:
    if MEMORY not in given:
        return None
    try:
        size = parse_size(given[MEMORY].strip())
    except QuantityError:
        size = 0
    if size > 0:
        return size
    bad.append(_refused(MEMORY, given[MEMORY], "a size such as 8Gi", "its share"))
    return None


def _pageable(given: Mapping[str, str], bad: list[BadValue]) -> bool:
    text = given.get(PAGING, "auto").strip()
    if text not in ("auto", "never"):
        bad.append(_refused(PAGING, given[PAGING], "auto or never", "auto"))
    return text != "never"


def _refused(key: str, value: str, wanted: str, default: str) -> BadValue:
    shown = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
    return BadValue(key, f"{key}: {shown!r} is not taken; write {wanted}. It counts as {default}")


def _unknown(key: str) -> BadValue:
    names = [known.removeprefix(PREFIX) for known in KNOWN]
    near = difflib.get_close_matches(key.removeprefix(PREFIX).lower(), names, n=1)
    hint = f"did you mean {PREFIX}{near[0]}?" if near else f"there is {', '.join(KNOWN)}"
    return BadValue(key, f"{key[: 2 * SHOWN]} is no annotation of Rota's; {hint}")


def table() -> str:
    """The annotations as a table, for the reference page."""
    rows = [
        (WEIGHT, f"{LIGHTEST:g} to {HEAVIEST:g}", "1", "a factor on the share of time"),
        (CLASS, ", ".join(Priority), Priority.STANDARD, "who goes first; see below"),
        (MEMORY, "a size: `8Gi`, `500M`", "its share", "GPU memory of each container on each GPU"),
        (PAGING, "auto, never", "auto", "whether it may be paged out while it is idle"),
    ]
    lines = ["| annotation | values | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{key}` | {values} | {default} | {what} |" for key, values, default, what in rows]
    return "\n".join(lines)
