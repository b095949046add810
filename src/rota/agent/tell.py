"""Tells what an agent knows: its status, and the figures of its clients and GPUs.

To this machine over a socket in the agent's own folder, and over TCP where an address was named.
Counting begins with the agent where an address was named, since somebody will scrape it; else with
the first question.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rota.agent.config import Served
from rota.agent.logs import Logger
from rota.agent.settings import Settings
from rota.clients.picture import Picture
from rota.errors import GpuError
from rota.figures.facts import Config, Facts
from rota.figures.reader import figures_socket
from rota.gatekeeper.client import no_gatekeeper
from rota.gpu.health import HealthTracker
from rota.gpu.vitals import Vitals, vitals_of
from rota.jobs.peer import Access as SocketAccess
from rota.jobs.peer import listen as listen_here
from rota.model import GpuMemory, GpuProcess, Inventory
from rota.scheduling.log import Turn
from rota.web.access import Access, Token
from rota.web.address import listen, parse_address
from rota.web.server import Listener, Tls, WebServer
from rota.web.source import Source

if TYPE_CHECKING:
    from rota.agent.turns import Turns
    from rota.figures.collect import Collector
    from rota.gpu.doors import InventoryDoor


@dataclass(frozen=True, slots=True)
class View:
    """What the agent has by now.

    Attributes:
        inventory: its GPUs.
        served: the config that is served.
        tracker: the health of its GPUs.
        turns: whoever keeps the turns; None before they begin.
        door: to the driver; None before it is open.
    """

    inventory: Inventory
    served: Served
    tracker: HealthTracker
    turns: Turns | None
    door: InventoryDoor | None


Status = Callable[[], Mapping[str, Any]]


class AgentNode:
    """The agent as the figures know it: what it knows, its gatekeeper, and its driver."""

    def __init__(self, settings: Settings, status: Status, view: Callable[[], View]) -> None:
        """Nothing is asked yet."""
        self._settings, self._status, self._view = settings, status, view
        self._version = program_version()

    def facts(self) -> Facts:
        """What the agent knows now."""
        view, status = self._view(), self._status()
        turns, inventory, tracker = view.turns, view.inventory, view.tracker
        config = status["config"]
        return Facts(
            node=self._settings.node or platform.node(),
            version=self._version,
            emulated=inventory.emulated,
            driver_version=inventory.driver_version,
            ready=bool(status["ready"]),
            gpus=inventory.gpus if view.door else (),
            replicas=_replicas(view.served),
            unhealthy={gpu: out.reason for gpu, out in tracker.unhealthy.items()},
            xids=tracker.xids,
            last_xids=tracker.last_xids,
            mode=turns.mode if turns else "exclusive",
            off=turns.off if turns else {},
            picture=turns.picture if turns else Picture(),
            weights=_weights(turns) if turns else {},
            config=Config(
                config["generation"],
                config["refused"],
                config["refused_now"],
                len(config["findings"]),
            ),
            gatekeeper_starts=turns.gatekeeper.starts if turns else 0,
            gatekeeper_problem=turns.gatekeeper.problem if turns else "not started",
            gatekeeper_pid=turns.gatekeeper.pid if turns else None,
        )

    async def state(self) -> dict[str, Any]:
        """The gatekeeper's state. NoGatekeeper if there is none."""
        turns = self._view().turns
        if turns is None:
            raise no_gatekeeper(self._settings.run_dir)
        return await turns.state()

    async def turns(self, since: int) -> tuple[int, list[Turn]]:
        """A page of its turn log. NoGatekeeper if there is none."""
        turns = self._view().turns
        if turns is None:
            raise no_gatekeeper(self._settings.run_dir)
        return await turns.gatekeeper.turns(since)

    def memory(self, gpu: str) -> GpuMemory:
        """As the driver's."""
        return self._door.memory(gpu)

    def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        """As the driver's."""
        return self._door.processes(gpu)

    def accounts(self, gpu: str) -> Mapping[int, float]:
        """As the driver's."""
        return self._door.accounts(gpu)

    def vitals(self, gpu: str) -> Vitals:
        """As the driver's."""
        return vitals_of(self._door, gpu)

    @property
    def _door(self) -> InventoryDoor:
        door = self._view().door
        if door is None:
            raise GpuError("the driver is not open")
        return door


class Teller:
    """Serves an agent's figures.

    Args:
        settings: the agent's.
        log: where it says where it listens.
        status: what the agent serves, as plain values.
        view: what the agent has by now.
    """

    def __init__(
        self, settings: Settings, log: Logger, status: Status, view: Callable[[], View]
    ) -> None:
        self._settings, self._log, self._status = settings, log, status
        self._node = AgentNode(settings, status, view)
        self._collector: Collector | None = None
        self._counting: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []
        self.port = 0

    def listen(self, here: SocketAccess) -> None:
        """Take the sockets, so that whoever comes from now on is heard.

        Args:
            here: who may read the socket in the agent's own folder.

        Raises:
            UsageError: the address, the token or the certificate cannot be used.
        """
        self._listen_here(here)
        if self._settings.listen:
            self._listen_there()

    async def run(self) -> None:
        """Serve until cancelled."""
        from rota.figures.collect import Collector

        self._collector = Collector(self._node, self._node)
        source = Source(self._collector, self._status, dcgm_names=self._settings.dcgm_names)
        server = WebServer(source, program_version(), wanted=self._count)
        if self._settings.listen:
            await self._count()
        try:
            async with asyncio.TaskGroup() as group:
                for listener in self._listeners:
                    group.create_task(server.run(listener))
        finally:
            if self._counting:
                self._counting.cancel()

    def close(self) -> None:
        """Let go of all sockets. Twice is once."""
        for listener in self._listeners:
            listener.sock.close()
        figures_socket(self._settings.run_dir).unlink(missing_ok=True)

    async def _count(self) -> None:
        """Keep counting from here on."""
        if self._counting is None or self._counting.done():
            assert self._collector is not None
            self._counting = asyncio.create_task(self._collector.run(), name="figures")
            self._counting.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._log.error("fault; figures stand still", exc_info=error)

    def _listen_here(self, here: SocketAccess) -> None:
        path = figures_socket(self._settings.run_dir)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sock = listen_here(path, here)
        except OSError as error:
            self._log.warning("no figures for `rota top` here", socket=str(path), reason=str(error))
            return
        self._listeners.append(Listener(sock, Access(local=True)))

    def _listen_there(self) -> None:
        address = parse_address(self._settings.listen)
        tls = Tls(*self._settings.tls) if self._settings.tls else None
        token = Token(self._settings.token_file) if self._settings.token_file else None
        for given in (tls, token):
            if given:
                given.check()
        sock = listen(address)
        sock.setblocking(False)
        self.port = int(sock.getsockname()[1])
        self._listeners.append(Listener(sock, Access(address.loopback, token), tls))
        self._log.info(
            "status",
            address=self._settings.listen,
            port=self.port,
            tls=bool(tls),
            token=bool(token),
        )


def program_version() -> str:
    """Of this program; empty where it was not installed."""
    with suppress(PackageNotFoundError):
        return version("rota")
    return ""


def _replicas(served: Served) -> dict[str, int]:
    found: dict[str, int] = {}
    for resource in served.plan.resources:
        for replica in resource.replicas:
            found[replica.device] = found.get(replica.device, 0) + 1
    return found


def _weights(turns: Turns) -> dict[str, tuple[float, str]]:
    clients = {one.client for one in turns.picture.clients}
    wishes = {client: turns.wish(client) for client in clients}
    return {client: (wish.weight, str(wish.priority)) for client, wish in wishes.items()}
