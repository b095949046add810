"""Figures as short text, a column each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rota.figures.model import ClientFigures, GpuFigures, Kind

NONE = "-"

Cell = Callable[[ClientFigures], str]


def gib(size: int | None) -> str:
    """GiB with one digit, and none from 100 on."""
    if size is None:
        return NONE
    value = size / (1 << 30)
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}"


def length(seconds: float | None) -> str:
    """A length of time in five characters at most."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 99.95 else f"{seconds / 60:.0f}m"


def percent(part: float | None) -> str:
    """A part as a percentage without a digit."""
    return NONE if part is None else f"{100 * part:.0f}%"


def name(one: ClientFigures) -> str:
    """The pod, the job, or that it is nobody's."""
    return one.pod or one.job or (one.client if one.kind is not Kind.UNMANAGED else "unmanaged")


def owner(one: ClientFigures) -> str:
    """The namespace of a pod, the user of a job."""
    return one.namespace or one.user or NONE


def memory(one: ClientFigures) -> str:
    """Used and limit."""
    return f"{gib(one.memory_bytes)}/{gib(one.memory_limit_bytes)}G"


def columns(
    clients: Sequence[ClientFigures], gpus: Sequence[GpuFigures], wide: bool
) -> Mapping[str, Cell]:
    """Heading → what stands below it, in the order of `kubectl top`."""
    indexes = {gpu.uuid: str(gpu.index) for gpu in gpus}
    pods = any(one.kind is Kind.POD for one in clients)
    found: dict[str, Cell] = {
        "NAMESPACE" if pods else "USER": owner,
        "POD" if pods else "JOB": name,
        "GPU": lambda one: indexes.get(one.gpu, "?"),
        "STATE": lambda one: str(one.state),
        "SHARE": lambda one: percent(one.share),
        "GPU%": lambda one: percent(one.utilization),
        "MEM/LIMIT": memory,
        "WAIT95": lambda one: length(one.wait_p95),
    }
    return found | _wide() if wide else found


def _wide() -> dict[str, Cell]:
    return {
        "WAIT50": lambda one: length(one.wait_p50),
        "GPU-SEC": lambda one: f"{one.gpu_seconds_total:.1f}",
        "TURNS": lambda one: str(sum(one.turns.values())),
        "WEIGHT": lambda one: f"{one.weight:g}",
        "CLASS": lambda one: one.priority,
        "PAGED": lambda one: gib(one.paged_out_bytes) if one.paged_out_bytes else NONE,
        "WATTS": lambda one: NONE if one.power_watts is None else f"~{one.power_watts:.0f}",
        "CONTAINER": lambda one: one.container or NONE,
        "PIDS": lambda one: ",".join(str(each.pid) for each in one.processes) or NONE,
    }


def plain(text: str) -> str:
    """On one line whatever is in it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
