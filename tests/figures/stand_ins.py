"""A node for the tests: what an agent, its gatekeeper and its driver would say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rota.clients.picture import ClientOnGpu, Picture, ProcessKey, Unmanaged, Why
from rota.errors import GpuError
from rota.figures.facts import Facts
from rota.gatekeeper.client import NoGatekeeper
from rota.gpu.vitals import Vitals
from rota.model import Gpu, GpuMemory, GpuProcess, Replica
from rota.scheduling.log import Turn

GIB = 1 << 30
UUID = "GPU-1"
GPU = Gpu(UUID, 0, 0, "NVIDIA H200", 141 * GIB, (9, 0), "0000:c1:00.0")


def pod(name: str, *pids: int, starting: int = 0, replicas: int = 1) -> ClientOnGpu:
    labels = (("namespace", "default"), ("pod", name), ("container", "main"))
    return ClientOnGpu(
        f"default/{name}/main",
        UUID,
        tuple(Replica(UUID, number) for number in range(replicas)),
        tuple(ProcessKey(pid, 1) for pid in pids),
        labels,
        (ProcessKey(starting, 1),) if starting else (),
    )


def job(name: str, *pids: int) -> ClientOnGpu:
    keys = tuple(ProcessKey(pid, 1) for pid in pids)
    labels = (("job", name), ("user", "ada"))
    return ClientOnGpu(f"job/{name}", UUID, (Replica(UUID, 3),), keys, labels)


def stranger(pid: int, *, pending: bool = False) -> Unmanaged:
    return Unmanaged(UUID, ProcessKey(pid, 1), Why.NOBODY, pending, ())


def told(
    *,
    wants: bool = True,
    open: bool = True,  # noqa: A002
    since: float | None = None,
    used: float = 0.0,
    waits: float | None = None,
    waited: float = 0.0,
    ungated: str = "",
) -> dict[str, Any]:
    """A client as the gatekeeper describes it."""
    fare = {
        "wants": wants, "open": open, "since": since, "used": used, "waits": waits,
        "waited": waited, "beside": 1,
    }  # fmt: skip
    calls = {"open": [2, 0.001], "close": [3, 0.006], "failures": 1}
    return {"ungated": ungated, "fares": {UUID: fare}, "calls": calls}


@dataclass
class StandIn:
    """A node and its driver, all of which a test may change at any time."""

    picture: Picture = field(default_factory=Picture)
    clients: dict[str, Any] = field(default_factory=dict)
    log: list[Turn] = field(default_factory=list)
    served: dict[int, float] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)
    memory_table: dict[str, Any] = field(default_factory=dict)
    utilization: float = 0.5
    starts: int = 1
    at: float = 100.0
    gatekeeper: bool = True
    driver: bool = True

    def facts(self) -> Facts:
        return Facts(
            node="here",
            gpus=(GPU,),
            replicas={UUID: 4},
            picture=self.picture,
            off=self.off,
            weights={"default/a/main": (2.0, "batch")},
            gatekeeper_starts=self.starts,
            gatekeeper_problem="" if self.gatekeeper else "it hangs",
        )

    async def state(self) -> dict[str, Any]:
        if not self.gatekeeper:
            raise NoGatekeeper("none")
        return {
            "at": self.at,
            "wall": self.at + 1000.0,
            "turns": len(self.log),
            "gpus": {UUID: {"holder": None, "waiting": []}},
            "clients": self.clients,
            "memory": self.memory_table,
        }

    async def turns(self, since: int) -> tuple[int, list[Turn]]:
        if not self.gatekeeper:
            raise NoGatekeeper("none")
        page = self.log[since : since + 2]
        return min(since, len(self.log)) + len(page), page

    def memory(self, gpu: str) -> GpuMemory:
        self._answer()
        return GpuMemory(141 * GIB, 41 * GIB, 100 * GIB)

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        self._answer()
        return tuple(GpuProcess(pid, GIB) for pid in (7, 8, 9))

    def accounts(self, gpu: str) -> Mapping[int, float]:
        self._answer()
        return self.served

    def vitals(self, gpu: str) -> Vitals:
        self._answer()
        return Vitals(power_watts=300.0, utilization=self.utilization)

    def _answer(self) -> None:
        if not self.driver:
            raise GpuError("the driver hangs")
