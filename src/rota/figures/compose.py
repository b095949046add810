"""One snapshot from all that is known. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rota.clients.picture import ClientOnGpu, ProcessKey
from rota.figures.facts import Facts
from rota.figures.fares import GateState, Standing
from rota.figures.model import (
    ClientFigures,
    GpuFigures,
    Kind,
    OwnFigures,
    ProcessFigures,
    Snapshot,
    State,
)
from rota.figures.readings import Reading
from rota.figures.seconds import GpuSeconds, Key
from rota.figures.waits import AllWaits, Waits
from rota.model import Gpu

UNMANAGED = "unmanaged"
"""Before the GPU's UUID: the id of the one client that all unmanaged processes of a GPU are."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that a snapshot is made of.

    Attributes:
        at: seconds since 1970.
        facts: what the agent knows.
        gates: the gatekeeper's state.
        readings: what the driver says, by GPU.
        busy: GPU → seconds in which it was busy.
        own: what is known of Rota itself.
        commands: pid → command line, where it may be shown.
    """

    at: float
    facts: Facts
    gates: GateState
    readings: Mapping[str, Reading]
    busy: Mapping[str, float]
    own: OwnFigures
    commands: Mapping[ProcessKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holder:
    """A client on a GPU, unmanaged ones included, before there are any figures of it."""

    client: str
    gpu: str
    kind: Kind
    replicas: int
    processes: tuple[ProcessKey, ...]
    starting: tuple[ProcessKey, ...]
    labels: Mapping[str, str]

    @property
    def key(self) -> Key:
        """As the accounts know it."""
        return self.client, self.gpu


def holders(facts: Facts) -> Iterator[Holder]:
    """Who is on the GPUs, and who holds replicas of them, by GPU and client."""
    for gpu in facts.gpus:
        for one in facts.picture.on(gpu.uuid):
            yield _managed(one)
        strangers = [p for p in facts.picture.unmanaged if p.gpu == gpu.uuid and not p.pending]
        if strangers:
            keys = tuple(one.process for one in strangers)
            yield Holder(f"{UNMANAGED}/{gpu.uuid}", gpu.uuid, Kind.UNMANAGED, 0, keys, (), {})


def _managed(one: ClientOnGpu) -> Holder:
    labels = dict(one.labels)
    kind = Kind.JOB if "job" in labels else Kind.POD
    return Holder(one.client, one.gpu, kind, len(one.replicas), one.processes, one.starting, labels)


def compose(known: Known, seconds: GpuSeconds, waits: AllWaits) -> Snapshot:
    """The snapshot."""
    facts = known.facts
    here = list(holders(facts))
    busy = _busy(seconds, here)
    clients = tuple(_client(one, known, seconds, waits[one.key], busy[one.gpu]) for one in here)
    return Snapshot(
        at=known.at,
        node=facts.node,
        emulated=facts.emulated,
        driver_version=facts.driver_version,
        ready=facts.ready,
        gpus=tuple(_gpu(gpu, known) for gpu in facts.gpus),
        clients=clients,
        own=known.own,
    )


def _gpu(gpu: Gpu, known: Known) -> GpuFigures:
    facts, reading = known.facts, known.readings.get(gpu.uuid, Reading())
    memory, vitals = reading.memory, reading.vitals
    return GpuFigures(
        uuid=gpu.uuid,
        index=gpu.index,
        minor=gpu.minor,
        product=gpu.product,
        pci_bus_id=gpu.pci_bus_id,
        replicas=facts.replicas.get(gpu.uuid, 0),
        healthy=gpu.uuid not in facts.unhealthy,
        why_unhealthy=facts.unhealthy.get(gpu.uuid, ""),
        turns_mode=facts.mode,
        turns_off=facts.off.get(gpu.uuid, ""),
        holder=known.gates.holder(gpu.uuid),
        waiting=known.gates.waiting(gpu.uuid),
        utilization=vitals.utilization,
        busy_seconds_total=known.busy.get(gpu.uuid, 0.0),
        memory_total_bytes=memory.total if memory else gpu.memory_bytes or None,
        memory_used_bytes=memory.used if memory else None,
        memory_free_bytes=memory.free if memory else None,
        ballast_bytes=known.gates.ballast(gpu.uuid),
        temperature_celsius=vitals.temperature_celsius,
        power_watts=vitals.power_watts,
        power_limit_watts=vitals.power_limit_watts,
        sm_clock_hertz=vitals.sm_clock_hertz,
        memory_clock_hertz=vitals.memory_clock_hertz,
        memory_utilization=vitals.memory_utilization,
        xids=dict(facts.xids.get(gpu.uuid, {})),
        last_xid=facts.last_xids.get(gpu.uuid, 0),
    )


def _client(
    holder: Holder, known: Known, seconds: GpuSeconds, waits: Waits, busy: float
) -> ClientFigures:
    facts, gates, labels = known.facts, known.gates, holder.labels
    reading = known.readings.get(holder.gpu, Reading())
    standing = gates.standing(holder.client, holder.gpu)
    processes = _processes(holder.processes, reading, known.commands)
    replicas = facts.replicas.get(holder.gpu, 0)
    weight, priority = facts.weights.get(holder.client, (1.0, "standard"))
    at = gates.at if gates.at is not None else 0.0
    state, why = _state(holder, standing, facts)
    half, most = waits.percentiles(at, 0.5, 0.95)
    utilization = seconds.recent(holder.key)
    return ClientFigures(
        client=holder.client,
        gpu=holder.gpu,
        kind=holder.kind,
        namespace=labels.get("namespace", ""),
        pod=labels.get("pod", ""),
        container=labels.get("container", ""),
        job=labels.get("job", ""),
        user=labels.get("user", ""),
        state=state,
        why=why,
        replicas=holder.replicas,
        share=holder.replicas / replicas if replicas else 0.0,
        weight=weight,
        priority=priority,
        processes=processes,
        gpu_seconds_total=seconds.total(holder.key),
        turn_seconds_total=seconds.turns(holder.key),
        utilization=utilization,
        wait_seconds_total=waits.total,
        waiting=waited_now(standing, at),
        turn_since=standing.since + gates.offset if standing.since is not None else None,
        turns=dict(waits.ends),
        waits=waits.histogram,
        wait_p50=half,
        wait_p95=most,
        gate_open=standing.opening,
        gate_close=standing.closing,
        gate_failures_total=standing.failures,
        memory_bytes=sum(one.memory_bytes for one in processes),
        memory_limit_bytes=standing.limit,
        paged_out_bytes=standing.paged,
        power_watts=_power(reading.vitals.power_watts, utilization, busy),
    )


def waited_now(standing: Standing, at: float) -> float:
    """For how long it has been waiting; 0 if it does not wait."""
    return max(0.0, at - standing.waits) if standing.waits is not None else 0.0


def _state(holder: Holder, standing: Standing, facts: Facts) -> tuple[State, str]:
    """What it does now, and why it is ungated or stays in host memory."""
    if not holder.processes:
        return (State.STARTING, "") if holder.starting else (State.ABSENT, "")
    if holder.kind is Kind.UNMANAGED and not standing.known:
        return State.UNGATED, "holds no replica of this GPU"
    why = standing.ungated or facts.off.get(holder.gpu, "")
    if why:
        return State.UNGATED, why
    if standing.paged:
        return State.PAGED, standing.stays
    if standing.wants:
        return (State.TURN if standing.open else State.WAITS), ""
    return State.IDLE, ""


def _processes(
    keys: Sequence[ProcessKey], reading: Reading, commands: Mapping[ProcessKey, str]
) -> tuple[ProcessFigures, ...]:
    return tuple(
        ProcessFigures(key.pid, reading.processes.get(key.pid, 0), commands.get(key, ""))
        for key in keys
    )


def _power(watts: float | None, utilization: float, busy: float) -> float | None:
    """A client's part of its GPU's power: as its part of what all had of the last second."""
    if watts is None:
        return None
    return watts * utilization / busy if busy else 0.0


def _busy(seconds: GpuSeconds, here: Iterable[Holder]) -> dict[str, float]:
    """GPU → what all its clients had of the last second."""
    busy: defaultdict[str, float] = defaultdict(float)
    for one in here:
        busy[one.gpu] += seconds.recent(one.key)
    return busy
