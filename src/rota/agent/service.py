"""The agent: serves this node's GPUs to its kubelet, and follows what changes.

Four things can change while it runs: the config, the kubelet, the health of a GPU, and the wish of
whoever started it. Each has a task that does nothing else; what they share is the plugin manager,
and the `Served` that says what is advertised now.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rota.agent import config, health
from rota.agent.claims import Unclaimable, claimed
from rota.agent.config import ConfigRefused, Served
from rota.agent.doors import Hardware, open_hardware
from rota.agent.lock import only_agent
from rota.agent.logs import Logger, log_finding
from rota.agent.settings import Settings
from rota.agent.watch import ConfigWatch
from rota.config.findings import Finding, Level, Mark
from rota.config.load import Loaded
from rota.errors import GpuError, KubeletError
from rota.gpu.health import Change, HealthTracker, XidFilter
from rota.jobs.folder import LOCK
from rota.model import Inventory

if TYPE_CHECKING:
    from rota.agent.tell import View
    from rota.agent.turns import Turns, Wish
    from rota.jobs.peer import Access
    from rota.kubelet.manager import PluginManager

RETRY_GPU = 10.0
"""Seconds between looks for a GPU under `failOnInitError: false`."""

INTRODUCTION = 0.3
"""Seconds that turns wait for the kubelet at the start; they can do without it."""

RESTART = 1.0
"""Seconds until a task that failed is started again."""


class Agent:
    """One agent. `run` serves until `stop` is called."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._log = log
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._inventory = Inventory()
        self._served = Served()
        self._watch: ConfigWatch | None = None
        self._manager: PluginManager | None = None
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
            looking = self._look_ahead(stack)
            loaded = await self._first()
            if loaded is None:
                return
            self._warm()
            hardware = await self._open(loaded, looking)
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
        manager = self._manager
        statuses = manager.status() if manager else ()
        no_turns = self._turns.off if self._turns else {}
        return {
            "node": self._settings.node,
            "emulated": self._inventory.emulated,
            "ready": bool(statuses) and all(status.registered for status in statuses),
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
            "resources": [
                {"name": s.listing.resource.name, "registered": s.registered,
                 "replicas": [{"id": i, "unhealthy": why} for i, why in s.listing.states.items()]}
                for s in statuses
            ],
        }  # fmt: skip

    async def _prepare(self, stack: AsyncExitStack) -> None:
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

    def _look_ahead(self, stack: AsyncExitStack) -> asyncio.Task[Hardware]:
        """Let the driver come up while the config is read and all else is imported."""
        looking = asyncio.create_task(asyncio.to_thread(self._look))

        async def close() -> None:
            with suppress(Exception):  # whoever wanted the GPU has heard of it
                (await looking).close()

        stack.push_async_callback(close)
        return looking

    async def _open(self, loaded: Loaded, looking: asyncio.Task[Hardware]) -> Hardware | None:
        """The GPUs, as soon as there are any; None when stopped before."""
        told = ""
        while not self._stop.is_set():
            try:
                return await looking
            except GpuError as error:
                if loaded.config.flags.fail_on_init_error:
                    raise
                if str(error) != told:
                    self._log.error("no GPU to serve; looking again", reason=str(error))
                told = str(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_GPU)
            looking = asyncio.create_task(asyncio.to_thread(self._look))
        return None

    def _look(self) -> Hardware:
        hardware = open_hardware(self._settings, self._log)
        try:
            self._inventory = hardware.door.inventory()
            if not self._inventory.gpus:
                raise GpuError(
                    "this node has no NVIDIA GPU",
                    hint="the agent belongs on GPU nodes; --emulate serves a GPU that is not there",
                )
        except BaseException:
            hardware.close()
            raise
        return hardware

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

    async def _introduce(self, loaded: Loaded) -> None:
        """Let the kubelet know the replicas before all that turns need is imported."""
        if self._manager is None:
            return
        with suppress(ConfigRefused, TimeoutError):  # whoever applies it tells why it is refused
            await self._serve(config.fit(loaded, self._inventory, str(self._settings.config or "")))
            async with asyncio.timeout(INTRODUCTION):
                await self._manager.wait_registered()
        await asyncio.to_thread(importlib.import_module, "rota.agent.turns")

    def _only(self) -> AbstractContextManager[None]:
        return _alone(self._settings)

    def _claim(self, stack: AsyncExitStack) -> None:
        """Tell agents for local jobs to leave the GPUs of this node alone."""
        gpus = [gpu.uuid for gpu in self._inventory.gpus]
        try:
            stack.enter_context(claimed(self._settings.claims_dir, gpus))
        except Unclaimable as error:
            self._log.warning("local jobs may be given the same GPUs", reason=str(error))

    def _warm(self) -> None:
        """Import what is needed when the driver has come up."""
        importlib.import_module("rota.kubelet.manager")

    async def _connect(self, stack: AsyncExitStack, hardware: Hardware) -> None:
        """Make what gives replicas to programs; it serves from the first `_serve` on."""
        from rota.kubelet import sockets
        from rota.kubelet.manager import PluginManager
        from rota.kubelet.pod_resources import ids_in_use

        sockets.checked_length(sockets.hidden_name(self._settings.kubelet_dir))
        self._manager = PluginManager(
            self._settings.kubelet_dir,
            in_use=lambda: ids_in_use(self._settings.pod_resources),
            extra_env=hardware.environment,
            cdi_folder=self._settings.cdi_dir,
            log=self._log,
            allocated=self._allocated,
        )
        stack.push_async_callback(self._manager.stop)

    def _allocated(self) -> None:
        if self._turns:
            self._turns.expect()

    async def _serve(self, served: Served) -> None:
        """Give out what is served now.

        Raises:
            ConfigRefused: the CDI spec that its strategy wants cannot be written.
        """
        from rota.kubelet.cdi import CdiError

        assert self._manager is not None
        try:
            await self._manager.serve(served.plan.resources, served.config, self._inventory)
        except CdiError as error:
            place = Mark(error.where)
            found = Finding("cdi-not-writable", Level.ERROR, place, error.what, error.hint)
            raise ConfigRefused((found,)) from None
        except KubeletError as error:
            self._log.error("not served yet; trying on", reason=str(error))

    def _make_turns(self, hardware: Hardware) -> Turns:
        from rota.agent.turns import Turns
        from rota.clients.sightings import Place
        from rota.kubelet.pod_resources import list_pods

        return Turns(
            hardware.door,
            self._inventory,
            Place.of(self._settings.kubelet_dir),
            self._settings.run_dir,
            emulated=self._settings.emulated_gpu if self._inventory.emulated else None,
            log=self._log,
            lister=lambda: list_pods(self._settings.pod_resources),
            wishes=self._wish,
            spawn=not self._settings.gatekeeper_elsewhere,
        )

    def _wish(self, client: str) -> Wish:
        """What a client was given besides its replicas: nothing that this agent could know."""
        from rota.agent.turns import Wish

        return Wish()

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

    def _now_served(self, served: Served) -> None:
        """A config is served from now on."""

    async def _apply(self, loaded: Loaded) -> None:
        served = config.fit(loaded, self._inventory, str(self._settings.config or ""))
        for finding in served.findings:
            log_finding(self._log, finding)
        await self._serve(served)
        if self._turns:
            said = served.config.rota
            self._turns.configure(said.turns, said.memory, served.plan.resources)
        self._served, self._refused_now = served, ""
        self._generation += 1
        names = {resource.name: len(resource.replicas) for resource in served.plan.resources}
        self._log.info("config served", generation=self._generation, replicas=names)
        self._now_served(served)

    def _pass_on(self, change: Change) -> None:
        assert self._manager is not None
        self._manager.set_health(change.uuid, change.healthy, change.reason)

    def _changed(self, change: Change) -> None:
        self._pass_on(change)
        if change.healthy:
            out = round(change.seconds_out, 1)
            self._log.info("GPU well again", gpu=change.uuid, reason=change.reason, seconds_out=out)
        else:
            self._log.error("GPU unhealthy", gpu=change.uuid, reason=change.reason)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Nobody else serves this kubelet, and nobody else runs turns from this folder."""
    turns = only_agent(settings.run_dir / LOCK, "runtime folder", "--run-dir")
    with only_agent(settings.kubelet_dir), turns:
        yield
