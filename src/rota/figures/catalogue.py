"""Every metric that Rota has: its name, its kind, what it means, and where its value is.

From this one list come what `/metrics` tells, the reference page, and the dashboards and alerts, so
that none of them names a metric that is not there. Names follow Prometheus: base units, `_total`
for counters, parts 0 to 1.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rota.figures.model import ClientFigures, GpuFigures, Histogram, Snapshot, State, Times

T = TypeVar("T")

Value = float | int | bool | None | Histogram | Mapping[str, "float | Times"]
"""Of one series; with a mapping, of one series for each value of the extra label; None: no series."""


class Kind(enum.StrEnum):
    """Prometheus's kinds."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"  # a sum and a count, without quantiles


@dataclass(frozen=True, slots=True)
class Metric(Generic[T]):
    """One metric.

    Attributes:
        name: as it is exposed, `_total` included.
        kind: what Prometheus may do with it.
        meaning: one sentence, for the help text and the reference.
        value: its value, of whatever it is about.
        extra: a label besides those of what it is about; empty for none.
    """

    name: str
    kind: Kind
    meaning: str
    value: Callable[[T], Value]
    extra: str = ""


CLIENT_LABELS = ("namespace", "pod", "container", "client", "gpu", "gpu_uuid")
"""Of a client on a GPU. `client` is its id; a local job has no namespace, pod and container."""

GPU_LABELS = ("gpu", "gpu_uuid")
"""Of a GPU: its index and its UUID."""

C, G, H, S = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM, Kind.SUMMARY

CLIENT: tuple[Metric[ClientFigures], ...] = (
    Metric("rota_gpu_seconds_total", C, "GPU seconds of the client: time in which its kernels ran, as the driver says; turn seconds where it does not say.",
           lambda c: c.gpu_seconds_total),
    Metric("rota_turn_seconds_total", C, "Time in the client's own turns, less what it was seen idle. Where two are on the GPU at once, each has its part.",
           lambda c: c.turn_seconds_total),
    Metric("rota_client_utilization_ratio", G, "The part of the GPU's last second or so that the client had.",
           lambda c: c.utilization),
    Metric("rota_wait_seconds_total", C, "Time in which the client wanted the GPU at a closed gate.",
           lambda c: c.wait_seconds_total),
    Metric("rota_waiting_seconds", G, "How long the client has been waiting now; 0 if it does not wait.",
           lambda c: c.waiting),
    Metric("rota_turn_wait_seconds", H, "How long the client waited before each of its turns.",
           lambda c: c.waits),
    Metric("rota_turns_total", C, "Turns of the client, by how they ended: expired, yielded, preempted, exited, failed.",
           lambda c: dict(c.turns), "end"),
    Metric("rota_gate_seconds", S, "How often the client's gates were opened and closed, and how long that took.",
           lambda c: {"open": c.gate_open, "close": c.gate_close}, "op"),
    Metric("rota_gate_failures_total", C, "How often the client's gates would not close or open.",
           lambda c: c.gate_failures_total),
    Metric("rota_client_ungated", G, "1 while the client's gates stay open whoever's turn it is; its turns mean nothing then.",
           lambda c: c.state is State.UNGATED),
    Metric("rota_client_processes", G, "Processes of the client on the GPU.",
           lambda c: len(c.processes)),
    Metric("rota_memory_used_bytes", G, "GPU memory that the client's processes use.",
           lambda c: c.memory_bytes),
    Metric("rota_memory_limit_bytes", G, "The most GPU memory that the client may use; no series where it has no limit.",
           lambda c: c.memory_limit_bytes),
    Metric("rota_paged_out_bytes", G, "GPU memory of the client that is in host memory.",
           lambda c: c.paged_out_bytes),
    Metric("rota_client_replicas", G, "Replicas of the GPU that the client holds.",
           lambda c: c.replicas),
    Metric("rota_share_ratio", G, "The client's replicas over all replicas of the GPU.",
           lambda c: c.share),
    Metric("rota_weight", G, "The factor on the client's share of time.",
           lambda c: c.weight),
    Metric("rota_power_estimate_watts", G, "An estimate: the client's part of the GPU's power, by its part of the GPU time of the last second.",
           lambda c: c.power_watts),
)  # fmt: skip
"""Of each client on each GPU."""

GPU: tuple[Metric[GpuFigures], ...] = (
    Metric("rota_gpu_utilization_ratio", G, "The part of the driver's last sample in which a kernel ran.",
           lambda g: g.utilization),
    Metric("rota_gpu_busy_seconds_total", C, "Time in which a kernel ran, by the driver's utilization, since the agent came.",
           lambda g: g.busy_seconds_total),
    Metric("rota_gpu_memory_total_bytes", G, "Memory of the GPU.",
           lambda g: g.memory_total_bytes),
    Metric("rota_gpu_memory_used_bytes", G, "Memory of the GPU that is used, ballast included.",
           lambda g: g.memory_used_bytes),
    Metric("rota_gpu_memory_free_bytes", G, "Memory of the GPU that is free.",
           lambda g: g.memory_free_bytes),
    Metric("rota_gpu_ballast_bytes", G, "Memory that is held so that nobody takes what belongs to somebody else.",
           lambda g: g.ballast_bytes),
    Metric("rota_gpu_memory_utilization_ratio", G, "The part of the driver's last sample in which memory was read or written.",
           lambda g: g.memory_utilization),
    Metric("rota_gpu_temperature_celsius", G, "Temperature of the GPU.",
           lambda g: g.temperature_celsius),
    Metric("rota_gpu_power_watts", G, "Power that the board draws.",
           lambda g: g.power_watts),
    Metric("rota_gpu_power_limit_watts", G, "Power that the board may draw.",
           lambda g: g.power_limit_watts),
    Metric("rota_gpu_sm_clock_hertz", G, "Clock of the multiprocessors.",
           lambda g: g.sm_clock_hertz),
    Metric("rota_gpu_memory_clock_hertz", G, "Clock of the memory.",
           lambda g: g.memory_clock_hertz),
    Metric("rota_gpu_xids_total", C, "Errors that the driver reported since the agent came, by NVIDIA's number.",
           lambda g: {str(xid): float(count) for xid, count in g.xids.items()}, "xid"),
    Metric("rota_gpu_healthy", G, "1 while the GPU is well.",
           lambda g: g.healthy),
    Metric("rota_gpu_replicas", G, "Into how many replicas the GPU is cut.",
           lambda g: g.replicas),
    Metric("rota_gpu_waiting_clients", G, "Clients that wait for the GPU now.",
           lambda g: len(g.waiting)),
    Metric("rota_gpu_turns_on", G, "1 while the clients of the GPU take turns.",
           lambda g: not g.turns_off),
    Metric("rota_gpu_turns_off_info", G, "Why the clients of the GPU take no turns, while they take none.",
           lambda g: {g.turns_off: 1.0} if g.turns_off else {}, "why"),
    Metric("rota_gpu_info", G, "The GPU's product, with the value 1.",
           lambda g: {g.product: 1.0}, "product"),
)  # fmt: skip
"""Of each GPU."""


def _by_process(agent: float | None, gatekeeper: float | None) -> dict[str, float]:
    found = {"agent": agent, "gatekeeper": gatekeeper}
    return {name: value for name, value in found.items() if value is not None}


OWN: tuple[Metric[Snapshot], ...] = (
    Metric("rota_info", G, "The version of Rota, with the value 1.",
           lambda s: {s.own.version: 1.0}, "version"),
    Metric("rota_driver_info", G, "The version of the NVIDIA driver, with the value 1.",
           lambda s: {s.driver_version: 1.0}, "driver_version"),
    Metric("rota_emulated", G, "1 where the GPUs are emulated: then no figure is of a real GPU.",
           lambda s: s.emulated),
    Metric("rota_ready", G, "1 while all that is to be served is served.",
           lambda s: s.ready),
    Metric("rota_start_time_seconds", G, "When the agent began, in seconds since 1970.",
           lambda s: s.own.started),
    Metric("rota_gatekeeper_up", G, "1 while a gatekeeper answers.",
           lambda s: not s.own.gatekeeper_problem),
    Metric("rota_gatekeeper_starts_total", C, "How often a gatekeeper was started or found; once is right.",
           lambda s: s.own.gatekeeper_starts),
    Metric("rota_cpu_seconds_total", C, "Processor time of Rota's processes.",
           lambda s: _by_process(s.own.agent_cpu_seconds, s.own.gatekeeper_cpu_seconds), "process"),
    Metric("rota_resident_memory_bytes", G, "Resident memory of Rota's processes.",
           lambda s: _by_process(s.own.agent_memory_bytes, s.own.gatekeeper_memory_bytes), "process"),
    Metric("rota_config_generation", G, "How often a config was served; 0: none yet.",
           lambda s: s.own.config_generation),
    Metric("rota_config_refused_total", C, "How often a config was refused.",
           lambda s: s.own.config_refused),
    Metric("rota_config_in_error", G, "1 while the config on disk is refused and an earlier one is served.",
           lambda s: bool(s.own.config_refused_now)),
    Metric("rota_config_findings", G, "Warnings and notes about the config that is served.",
           lambda s: s.own.config_findings),
    Metric("rota_stream_viewers", G, "Connections that read the stream of turns now.",
           lambda s: s.own.viewers),
)  # fmt: skip
"""Of Rota itself, once a node."""

SCRAPE = "rota_scrape_seconds"
"""The one metric that is not in a snapshot: how long the scrape before this one took."""

SCRAPE_MEANING = "How long the last scrape took."


def every() -> tuple[Metric[Any], ...]:
    """All metrics."""
    return (*CLIENT, *GPU, *OWN)


def names() -> frozenset[str]:
    """Every series name, as a query may use it."""
    found = {SCRAPE}
    for metric in every():
        if metric.kind is Kind.HISTOGRAM:
            found |= {metric.name + end for end in ("_bucket", "_sum", "_count")}
        elif metric.kind is Kind.SUMMARY:
            found |= {metric.name + end for end in ("_sum", "_count")}
        else:
            found.add(metric.name)
    return frozenset(found)
