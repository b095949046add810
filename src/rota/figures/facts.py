"""What the collector is told of a node: all that other rooms know and that does not need asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rota.clients.picture import Picture
from rota.model import Gpu, GpuMemory, GpuProcess
from rota.scheduling.log import Turn


@dataclass(frozen=True, slots=True)
class Config:
    """What has become of the config; see `OwnFigures`."""

    generation: int = 0
    refused: int = 0
    refused_now: str = ""
    findings: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """A node at one moment.

    Attributes:
        node: its name.
        version: of this program.
        emulated: its GPUs are.
        driver_version: of the NVIDIA driver.
        ready: what is to be served is served.
        gpus: in index order.
        replicas: GPU → into how many it is cut.
        unhealthy: GPU → why it is not well; without those that are.
        xids: GPU → Xid → how many of it came.
        last_xids: GPU → the last one.
        mode: `exclusive` or `driver`.
        off: GPU → why there are no turns on it; empty where there are.
        picture: who is on the GPUs.
        weights: client → its weight and class, where it was given any.
        config: what has become of the config.
        gatekeeper_starts: how often one was started or found.
        gatekeeper_problem: why there is none; empty while one answers.
        gatekeeper_pid: its process; None while there is none.
    """

    node: str = ""
    version: str = ""
    emulated: bool = False
    driver_version: str = ""
    ready: bool = False
    gpus: tuple[Gpu, ...] = ()
    replicas: Mapping[str, int] = field(default_factory=dict)
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    xids: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    last_xids: Mapping[str, int] = field(default_factory=dict)
    mode: str = "exclusive"
    off: Mapping[str, str] = field(default_factory=dict)
    picture: Picture = field(default_factory=Picture)
    weights: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    config: Config = field(default_factory=Config)
    gatekeeper_starts: int = 0
    gatekeeper_problem: str = ""
    gatekeeper_pid: int | None = None


class Node(Protocol):
    """The agent, as far as figures need it."""

    def facts(self) -> Facts:
        """What it knows now. Does not block."""
        ...

    async def state(self) -> dict[str, Any]:
        """The gatekeeper's state, as `rota.gatekeeper.state` describes it.

        Raises:
            RotaError: there is no gatekeeper.
        """
        ...

    async def turns(self, since: int) -> tuple[int, list[Turn]]:
        """A page of the gatekeeper's turn log, and the number to go on with; raises alike."""
        ...


class Door(Protocol):
    """What is asked of the driver. Each call may block and may raise `GpuError`."""

    def memory(self, gpu: str) -> GpuMemory:
        """Total, used and free bytes."""
        ...

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """Who has memory on it."""
        ...

    def accounts(self, gpu: str) -> Mapping[int, float]:
        """Pid → seconds that it was served."""
        ...
