"""What every agent does: brings up its GPUs, serves a config, and follows what changes.

Three things can change while it runs: the config, the health of a GPU, and the wish of whoever
started it. Each has a task that does nothing else; what they share is the `Served` that says what
is given out now. To whom it is given out (a kubelet's containers, local jobs) is the matter of the
agents that are made from this one.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from rota.agent import config, health
from rota.agent.config import ConfigRefused, Served
from rota.agent.doors import Hardware
from rota.agent.logs import Logger, log_finding
from rota.agent.opening import Opening
from rota.agent.settings import Settings
from rota.agent.watch import ConfigWatch
from rota.config.load import Loaded
from rota.gpu.health import Change, HealthTracker, XidFilter
from rota.model import Inventory

if TYPE_CHECKING:
    from rota.agent.tell import View
    from rota.agent.turns import Turns
    from rota.jobs.peer import Access

RESTART = 1.0
"""Seconds until a task that failed is started again."""


class Agent(ABC):
    """One agent. `run` serves until `stop` is called."""

    _needs: ClassVar[str]
    """The module that is imported while the driver comes up, since it is needed after that."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._log = log
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._opening: Opening | None = None
        self._served = Served()
        self._watch: ConfigWatch | None = None
        self._turns: Turns | None = None
        self._hardware: Hardware | None = None
        self._tracker = HealthTracker(())
        self._generation = 0
        self._refused = 0
        self._refused_now = ""

    def stop(self) -> None:
        """End `run` cleanly."""
        self._stop.set()

    def reload(self) -> None:
        """Read the config again now (SIGHUP)."""
        self._reload.set()

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            RotaError: it cannot serve: a config that cannot be read at the start, no GPU under
                `failOnInitError`, another agent, no plugin folder.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(self._only())
            self._log.info("starting", node=self._settings.node, pid=os.getpid())
            if self._settings.config is not None:
                self._watch = ConfigWatch(self._settings.config)
            await self._prepare(stack)
            if self._settings.listen:
                self._tell(stack)
            opening = self._opening = Opening(self._settings, self._log)
            stack.push_async_callback(opening.close)
            loaded = await self._first()
            if loaded is None:
                return
            importlib.import_module(self._needs)
            needed = loaded.config.flags.fail_on_init_error
            hardware = await opening.found(self._stop, needed=needed)
            if hardware is None:
                return
            stack.callback(hardware.close)
            self._hardware = hardware
            await self._begin(stack, hardware, loaded)
            if not self._settings.listen:
                await asyncio.to_thread(importlib.import_module, "rota.agent.tell")
                self._tell(stack)
            await self._until_stopped(hardware)
        self._log.info("stopped")

    def snapshot(self) -> Mapping[str, Any]:
        """What is served now, as plain values. Safe from any thread."""
        no_turns = self._turns.off if self._turns else {}
        return {
            "node": self._settings.node,
            "emulated": self._inventory.emulated,
            "config": {
                "path": str(self._settings.config or ""),
                "generation": self._generation,
                "refused": self._refused,
                "refused_now": self._refused_now,
                "findings": [str(finding) for finding in self._served.findings],
            },
            "gpus": [
                {"index": gpu.index, "uuid": gpu.uuid, "product": gpu.product,
                 "healthy": self._tracker.healthy(gpu.uuid), "no_turns": no_turns.get(gpu.uuid, "")}
                for gpu in self._inventory.gpus
            ],
        }  # fmt: skip

    @property
    def _inventory(self) -> Inventory:
        """The GPUs; none before they are found."""
        return self._opening.inventory if self._opening else Inventory()

    async def _prepare(self, stack: AsyncExitStack) -> None:  # noqa: B027
        """Make what the config is read from; a file needs nothing."""

    async def _first(self) -> Loaded | None:
        """The config to begin with; None when stopped before there is one.

        Raises:
            ConfigRefused: it cannot be read.
        """
        return self._read()

    def _read(self) -> Loaded:
        """The config as it is now.

        Raises:
            ConfigRefused: it cannot be read.
        """
        return config.read(self._settings)

    def _tell(self, stack: AsyncExitStack) -> None:
        """Tell figures and status to whoever asks, from here on to the end."""
        from rota.agent.tell import Teller

        teller = Teller(self._settings, self._log, self.snapshot, self._view)
        stack.callback(teller.close)
        teller.listen(self._may_look())
        telling = asyncio.create_task(self._keep("figures", teller.run))

        async def end() -> None:
            telling.cancel()
            await asyncio.wait({telling})

        stack.push_async_callback(end)

    def _view(self) -> View:
        """What there is by now, for whoever shows it."""
        from rota.agent.tell import View

        door = self._hardware.door if self._hardware else None
        return View(self._inventory, self._served, self._tracker, self._turns, door)

    def _may_look(self) -> Access:
        """Who may read figures in the agent's own folder."""
        from rota.jobs.peer import Access

        return Access()

    async def _begin(self, stack: AsyncExitStack, hardware: Hardware, loaded: Loaded) -> None:
        """Serve for the first time; here a config that does not fit is the end."""
        xids = XidFilter.from_env(self._settings.environ)
        for word in xids.malformed:
            self._log.warning("health checks: not understood, ignored", word=word)
        self._tracker = HealthTracker((gpu.uuid for gpu in self._inventory.gpus), xids)
        if self._inventory.emulated:
            self._log.warning("the GPU is emulated", gpus=len(self._inventory.gpus))
        self._claim(stack)
        await self._connect(stack, hardware)
        await self._introduce(loaded)
        self._turns = self._make_turns(hardware)
        await self._apply_first(loaded)

    @abstractmethod
    def _only(self) -> AbstractContextManager[None]:
        """Be the only agent of its kind here.

        Raises:
            Taken: another one is.
        """

    @abstractmethod
    def _claim(self, stack: AsyncExitStack) -> None:
        """Settle with other agents of this machine who gives out which GPU.

        Raises:
            Taken: there is nothing left for this one.
        """

    @abstractmethod
    async def _connect(self, stack: AsyncExitStack, hardware: Hardware) -> None:
        """Make what gives replicas to programs; it serves from the first `_serve` on."""

    async def _introduce(self, loaded: Loaded) -> None:  # noqa: B027
        """Serve what can be served before all that turns need is imported."""

    @abstractmethod
    async def _serve(self, served: Served) -> None:
        """Give out what is served now.

        Raises:
            ConfigRefused: it cannot be given out.
        """

    @abstractmethod
    def _make_turns(self, hardware: Hardware) -> Turns:
        """What keeps the turns going; it begins with `run`."""

    @abstractmethod
    def _pass_on(self, change: Change) -> None:
        """The health of a GPU has changed, and with it what is given out."""

    async def _until_stopped(self, hardware: Hardware) -> None:
        door, tracker, watch, turns = hardware.door, self._tracker, self._watch, self._turns
        assert turns is not None
        async with asyncio.TaskGroup() as group:
            tasks = [
                self._keep("health", lambda: self._errors(hardware)),
                self._keep("recovery", lambda: health.watch_recovery(door, tracker, self._changed)),
                self._keep("reload", self._reloads),
                self._keep("turns", turns.run),
            ]
            if watch is not None:
                tasks.append(self._keep("config", lambda: watch.follow(self._try)))
            running = [group.create_task(task) for task in tasks]
            await self._stop.wait()
            self._log.info("stopping")
            for task in running:
                task.cancel()

    async def _keep(self, name: str, make: Any) -> None:
        """Run a task again whenever it fails: a fault in one takes none of the others down."""
        while True:
            try:
                await make()
            except Exception as error:
                self._log.error("fault; starting again", task=name, exc_info=error)
            await asyncio.sleep(RESTART)

    def _errors(self, hardware: Hardware) -> Coroutine[Any, Any, None]:
        return health.watch_errors(hardware.door, self._tracker, self._changed, self._log)

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            await self._try()

    async def _try(self) -> None:
        """Read the config again, and serve it if it can be served."""
        try:
            await self._apply(self._read())
        except ConfigRefused as error:
            self._refuse(error)

    def _refuse(self, error: ConfigRefused) -> None:
        self._refused += 1
        self._refused_now = error.what
        for finding in error.findings:
            log_finding(self._log, finding)
        self._log.error("config refused; the last good one stays", refused=self._refused)

    async def _apply_first(self, loaded: Loaded) -> None:
        """Serve for the first time.

        Raises:
            ConfigRefused: it does not fit this node.
        """
        await self._apply(loaded)

    def _now_served(self, served: Served) -> None:  # noqa: B027
        """A config is served from now on."""

    async def _apply(self, loaded: Loaded) -> None:
        served = config.fit(loaded, self._inventory, str(self._settings.config or ""))
        for finding in served.findings:
            log_finding(self._log, finding)
        await self._serve(served)
        if self._turns:
            said = served.config.rota
            self._turns.configure(said.turns, said.memory, served.plan.resources, said.paging)
        self._served, self._refused_now = served, ""
        self._generation += 1
        names = {resource.name: len(resource.replicas) for resource in served.plan.resources}
        self._log.info("config served", generation=self._generation, replicas=names)
        self._now_served(served)

    def _changed(self, change: Change) -> None:
        self._pass_on(change)
        if change.healthy:
            out = round(change.seconds_out, 1)
            self._log.info("GPU well again", gpu=change.uuid, reason=change.reason, seconds_out=out)
        else:
            self._log.error("GPU unhealthy", gpu=change.uuid, reason=change.reason)
