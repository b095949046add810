"""A made-up agent: two clients that take turns on one GPU, at times that a test can reckon with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rota.figures.model import (
    ClientFigures,
    GpuFigures,
    OwnFigures,
    Snapshot,
    State,
    TurnFigures,
    TurnPage,
)

GPU = "GPU-0"
BEGAN = 1_700_000_000.0
GIB = 1 << 30


def turn(number: int, client: str, start: float, end: float, **more: float) -> TurnFigures:
    """A turn; times in seconds after BEGAN."""
    facts = {"waited": 0.1, "closing": 0.002, "used": end - start} | more
    return TurnFigures(number, client, GPU, BEGAN + start, BEGAN + end, "expired", **facts)


def client(name: str, **more: object) -> ClientFigures:
    made = ClientFigures(client=name, gpu=GPU, state=State.IDLE, share=0.5, memory_bytes=GIB)
    return replace(made, **more)  # type: ignore[arg-type]


def snapshot(at: float, *clients: ClientFigures, **more: object) -> Snapshot:
    """A snapshot, `at` in seconds after BEGAN."""
    gpu = GpuFigures(
        GPU, 0, product="NVIDIA H200", replicas=2, utilization=0.97,
        memory_total_bytes=141 * GIB, memory_used_bytes=3 * GIB, memory_free_bytes=138 * GIB,
    )  # fmt: skip
    made = Snapshot(
        BEGAN + at, "node-1", True, "580.159.04", True, (gpu,), clients, OwnFigures("0.1.0")
    )
    return replace(made, **more)  # type: ignore[arg-type]


@dataclass
class Agent:
    """Tells what is due at its own time, which passes only while somebody sleeps."""

    snapshots: list[Snapshot]
    made: list[TurnFigures]
    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    interrupt_at: float = float("inf")

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self.now >= self.interrupt_at:
            raise KeyboardInterrupt

    def state(self) -> Snapshot:
        due = [one for one in self.snapshots if one.at - BEGAN <= self.now + 1e-6]
        return due[-1]

    def turns(self, since: int | None = None) -> TurnPage:
        due = [one for one in self.made if one.end - BEGAN <= self.now + 1e-6]
        following = due[-1].number + 1 if due else 0
        page = [one for one in due if one.number >= since][:2] if since is not None else []
        if page:
            return TurnPage(page[0].number, page[-1].number + 1, tuple(page))
        return TurnPage(following, following)
