"""Every Event that Rota writes: its reason, whether it is a warning, and how often it may come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One kind of Event.

    Attributes:
        name: as `kubectl get events` shows it.
        about: which objects it is written on.
        means: one sentence for the reference.
        warning: Warning, or Normal.
        quiet: seconds between two of them on one object; what happens meanwhile is counted.
        urgent: it is written before those that are not.
    """

    name: str
    about: str
    means: str
    warning: bool = True
    quiet: float = 300.0
    urgent: bool = False


CONFIG_REFUSED = Reason(
    "ConfigRefused", "node, ConfigMap", "an edit was refused and why; the last good config stays",
    quiet=0.0, urgent=True,
)  # fmt: skip
CONFIG_SERVED = Reason(
    "ConfigServed", "node", "an edit was checked and is served", warning=False, quiet=0.0,
    urgent=True,
)  # fmt: skip
BAD_ANNOTATION = Reason("BadAnnotation", "pod", "a `rota.dev/` annotation is not taken", quiet=0.0)
UNGATED = Reason("Ungated", "pod", "it takes no turns, and why; it runs beside the others")
OVER_LIMIT = Reason("OverMemoryLimit", "pod", "it uses more GPU memory than its limit")
LESS_MEMORY = Reason(
    "LessMemory", "pod", "its limit is less than `rota.dev/memory` asks for: others came before"
)
UNMANAGED = Reason("UnmanagedGpuUse", "pod", "it uses a GPU without holding a replica of it")
PAGED_OUT = Reason(
    "PagedOut", "pod", "it was idle, and its GPU memory is in host memory: somebody else needs it",
    warning=False,
)  # fmt: skip
PAGED_IN = Reason(
    "PagedIn", "pod", "its GPU memory is back on the GPU, and it goes on", warning=False
)
WAITS_FOR_MEMORY = Reason(
    "WaitsForGpuMemory", "pod", "it wants the GPU, is paged out, and nobody is idle to make room"
)
LOST = Reason(
    "LostByDriver", "pod", "the driver lost it on its way to or from host memory: it cannot go on",
    quiet=0.0, urgent=True,
)  # fmt: skip
EVICTED = Reason(
    "EvictedForGpuMemory", "pod", "it was furthest over its limit, and the GPU was nearly full",
    quiet=0.0, urgent=True,
)  # fmt: skip
PLUGIN_RESTARTED = Reason(
    "PluginRestarted", "node", "NVIDIA's plugin was restarted to read an edit that checks out",
    warning=False, quiet=0.0, urgent=True,
)  # fmt: skip
PLUGIN_NOT_BACK = Reason(
    "PluginNotBack", "node", "NVIDIA's plugin was restarted and is not ready again",
    quiet=0.0, urgent=True,
)  # fmt: skip

ALL = (
    CONFIG_REFUSED,
    CONFIG_SERVED,
    BAD_ANNOTATION,
    UNGATED,
    OVER_LIMIT,
    LESS_MEMORY,
    UNMANAGED,
    PAGED_OUT,
    PAGED_IN,
    WAITS_FOR_MEMORY,
    LOST,
    EVICTED,
    PLUGIN_RESTARTED,
    PLUGIN_NOT_BACK,
)


def table() -> str:
    """The Events as a table, for the reference page."""
    lines = ["| reason | type | on | means |", "| --- | --- | --- | --- |"]
    for one in ALL:
        kind = "Warning" if one.warning else "Normal"
        lines.append(f"| `{one.name}` | {kind} | {one.about} | {one.means} |")
    return "\n".join(lines)
