"""The one data model of what is shown. Frozen, plain values, the same in Python and as JSON.

Times are seconds since 1970 and lengths seconds, sizes bytes, parts 0 to 1. A figure that the
driver does not tell is None, never 0. Totals (`…_total`) only grow while their client is there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Kind(enum.StrEnum):
    """What a client is."""

    POD = "pod"
    JOB = "job"
    UNMANAGED = "unmanaged"  # all processes of a GPU that hold no replica, taken as one


class State(enum.StrEnum):
    """What a client does on a GPU now."""

    TURN = "turn"  # it works, and its gates are open
    WAITS = "waits"  # it wants the GPU, and its gates are closed
    IDLE = "idle"  # it does not want the GPU
    STARTING = "starting"  # it has no context yet
    PAGED = "paged"  # its GPU memory is in host memory
    UNGATED = "ungated"  # its gates stay open whoever's turn it is; `why` says why
    ABSENT = "absent"  # it holds replicas and has no process on the GPU


WAIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the wait histogram's buckets, in seconds; one more takes what is above."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often a length fell into each bucket.

    Attributes:
        bounds: upper bounds of the buckets, in seconds; the last bucket has none.
        counts: of each bucket, not cumulative; one more than there are bounds.
        seconds: the sum of all lengths.
    """

    bounds: tuple[float, ...] = WAIT_BOUNDS
    counts: tuple[int, ...] = (0,) * (len(WAIT_BOUNDS) + 1)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Times:
    """How often something was done, and how long that took in all."""

    count: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """One process on a GPU.

    Attributes:
        pid: in the host's pid namespace.
        memory_bytes: GPU memory; 0 where the driver does not say.
        command: its command line; empty where it is withheld (see `rota.web`) or cannot be read.
    """

    pid: int
    memory_bytes: int = 0
    command: str = ""


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One client on one GPU. One that holds replicas of two GPUs is there twice.

    Attributes:
        client: `<namespace>/<pod>/<container>`, `job/<name>`, or `unmanaged/<gpu>`.
        gpu: UUID of the GPU or MIG device.
        kind: what it is.
        namespace, pod, container: of a pod; empty otherwise.
        job, user: of a local job; empty otherwise.
        state: what it does now.
        why: why it is ungated, or stays in host memory; empty otherwise.
        replicas: how many it holds of this GPU.
        share: its replicas over all replicas of the GPU.
        weight: a factor on its share of time.
        priority: its class: `interactive`, `standard`, `batch`.
        processes: those on this GPU, by pid.
        gpu_seconds_total: time in which its kernels ran, as the driver says; where it does not, as
            the next.
        turn_seconds_total: time in its own turns less what it was seen idle; where two are on the
            GPU at once, each has its part. Rough for a client that is alone: it is looked at four
            times a second.
        utilization: GPU seconds over the last second or so.
        wait_seconds_total: for how long it wanted the GPU at a closed gate, the wait of now included.
        waiting: for how long it has been waiting now; 0 if it does not wait.
        turn_since: when its turn of now began; None if it has none.
        turns: how its turns ended → how many.
        waits: how long it waited before each turn that has ended.
        wait_p50, wait_p95: of its turns of the last minute; None if there were none.
        gate_open, gate_close: opening and closing of its gates.
        memory_bytes: what its processes use.
        memory_limit_bytes: the most it may use; None: it has no limit.
        paged_out_bytes: of its GPU memory that is in host memory.
        power_watts: an estimate: its part of the GPU's power by GPU time; None if not known.
    """

    client: str
    gpu: str
    kind: Kind = Kind.POD
    namespace: str = ""
    pod: str = ""
    container: str = ""
    job: str = ""
    user: str = ""
    state: State = State.ABSENT
    why: str = ""
    replicas: int = 1
    share: float = 0.0
    weight: float = 1.0
    priority: str = "standard"
    processes: tuple[ProcessFigures, ...] = ()
    gpu_seconds_total: float = 0.0
    turn_seconds_total: float = 0.0
    utilization: float = 0.0
    wait_seconds_total: float = 0.0
    waiting: float = 0.0
    turn_since: float | None = None
    turns: dict[str, int] = field(default_factory=dict)
    waits: Histogram = field(default_factory=Histogram)
    wait_p50: float | None = None
    wait_p95: float | None = None
    gate_open: Times = field(default_factory=Times)
    gate_close: Times = field(default_factory=Times)
    gate_failures_total: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    paged_out_bytes: int = 0
    power_watts: float | None = None


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """One GPU.

    Attributes:
        uuid, index, minor, product, pci_bus_id: as in `rota.model.Gpu`.
        replicas: into how many it is cut.
        healthy: it is well.
        why_unhealthy: why it is not; empty if it is.
        turns_mode: `exclusive` or `driver`, as the config says.
        turns_off: why there are no turns on it; empty where there are.
        holder: the client that has the turn; empty if none.
        waiting: the clients that wait for it, in no order.
        utilization: the part of the last sample in which a kernel ran.
        busy_seconds_total: time in which it worked for its clients since the agent came.
        memory_total_bytes, memory_used_bytes, memory_free_bytes: None where it has none of its own.
        ballast_bytes: memory that the agent holds so that nobody takes what is another's.
        temperature_celsius, power_watts, power_limit_watts: None where the driver does not say.
        sm_clock_hertz, memory_clock_hertz: likewise.
        memory_utilization: the part of the last sample in which memory was read or written.
        xids: Xid → how many of it since the agent came.
        last_xid: the last one; 0 if there was none.
    """

    uuid: str
    index: int
    minor: int = 0
    product: str = ""
    pci_bus_id: str = ""
    replicas: int = 0
    healthy: bool = True
    why_unhealthy: str = ""
    turns_mode: str = "exclusive"
    turns_off: str = ""
    holder: str = ""
    waiting: tuple[str, ...] = ()
    utilization: float | None = None
    busy_seconds_total: float = 0.0
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    ballast_bytes: int = 0
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    sm_clock_hertz: float | None = None
    memory_clock_hertz: float | None = None
    memory_utilization: float | None = None
    xids: dict[int, int] = field(default_factory=dict)
    last_xid: int = 0


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """Rota itself.

    Attributes:
        version: of this program.
        started: when the agent began.
        gatekeeper_starts: how often a gatekeeper was started or found, since then.
        gatekeeper_problem: why there is none now; empty while one answers.
        agent_cpu_seconds, gatekeeper_cpu_seconds: processor time so far; None if not to be read.
        agent_memory_bytes, gatekeeper_memory_bytes: resident memory.
        config_generation: how often a config was served; 0: none yet.
        config_refused: how often one was refused, since the agent came.
        config_refused_now: why the one on disk is not served; empty if it is.
        config_findings: warnings and notes of the one that is served.
        viewers: connections to the stream now.
    """

    version: str = ""
    started: float = 0.0
    gatekeeper_starts: int = 0
    gatekeeper_problem: str = ""
    agent_cpu_seconds: float | None = None
    gatekeeper_cpu_seconds: float | None = None
    agent_memory_bytes: int | None = None
    gatekeeper_memory_bytes: int | None = None
    config_generation: int = 0
    config_refused: int = 0
    config_refused_now: str = ""
    config_findings: int = 0
    viewers: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a node at one moment.

    Attributes:
        at: that moment, in seconds since 1970.
        node: the node's name.
        emulated: there is no such GPU here. Whoever shows this snapshot must say so.
        driver_version: such as `580.159.04`; empty when unknown.
        ready: what is to be served is served.
        gpus: in index order.
        clients: by GPU and client.
        own: Rota itself.
    """

    at: float = 0.0
    node: str = ""
    emulated: bool = False
    driver_version: str = ""
    ready: bool = False
    gpus: tuple[GpuFigures, ...] = ()
    clients: tuple[ClientFigures, ...] = ()
    own: OwnFigures = field(default_factory=OwnFigures)


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """One turn that has ended.

    Attributes:
        number: turns are numbered from 0 for as long as the agent runs.
        client: whose turn it was.
        gpu: UUID of the GPU.
        start, end: when its gates were open, and when closed again; seconds since 1970.
        why: why it ended: `expired`, `yielded`, `preempted`, `exited`, `failed`.
        waited: how long the client had wanted the GPU before `start`.
        closing: how long its gates took to close.
        used: `end - start` less the time in which it was seen idle.
    """

    number: int
    client: str
    gpu: str
    start: float
    end: float
    why: str
    waited: float
    closing: float
    used: float


@dataclass(frozen=True, slots=True)
class TurnPage:
    """Turns in the order in which they ended.

    Attributes:
        first: the number of the first; more than was asked for where older ones are gone.
        next: the number to go on with.
        turns: at most as many as one page holds.
    """

    first: int = 0
    next: int = 0
    turns: tuple[TurnFigures, ...] = ()
