"""The agent of a node: gives the replicas of its GPUs to its kubelet."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rota.agent import config
from rota.agent.claims import Unclaimable, claimed
from rota.agent.config import ConfigRefused, Served
from rota.agent.doors import Hardware
from rota.agent.lock import only_agent
from rota.agent.logs import Logger
from rota.agent.service import Agent
from rota.agent.settings import Settings
from rota.config.findings import Finding, Level, Mark
from rota.config.load import Loaded
from rota.errors import KubeletError
from rota.gpu.health import Change
from rota.jobs.folder import LOCK

if TYPE_CHECKING:
    from rota.agent.offenders import End
    from rota.agent.order import Wish
    from rota.agent.turns import Turns
    from rota.kubelet.manager import PluginManager

INTRODUCTION = 0.3
"""Seconds that turns wait for the kubelet at the start; they can do without it."""


class NodeAgent(Agent):
    """One agent of one node. `run` serves until `stop` is called."""

    _needs = "rota.kubelet.manager"

    def __init__(self, settings: Settings, log: Logger) -> None:
        """Nothing is opened yet."""
        super().__init__(settings, log)
        self._manager: PluginManager | None = None

    def snapshot(self) -> Mapping[str, Any]:
        """As every agent's, with what the kubelet is told."""
        statuses = self._manager.status() if self._manager else ()
        return {
            **super().snapshot(),
            "ready": bool(statuses) and all(status.registered for status in statuses),
            "resources": [
                {"name": s.listing.resource.name, "registered": s.registered,
                 "replicas": [{"id": i, "unhealthy": why} for i, why in s.listing.states.items()]}
                for s in statuses
            ],
        }  # fmt: skip

    def _only(self) -> AbstractContextManager[None]:
        return _alone(self._settings)

    def _claim(self, stack: AsyncExitStack) -> None:
        """Tell agents for local jobs to leave the GPUs of this node alone."""
        gpus = [gpu.uuid for gpu in self._inventory.gpus]
        try:
            stack.enter_context(claimed(self._settings.claims_dir, gpus))
        except Unclaimable as error:
            self._log.warning("local jobs may be given the same GPUs", reason=str(error))

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

    async def _introduce(self, loaded: Loaded) -> None:
        """Let the kubelet know the replicas before all that turns need is imported."""
        if self._manager is None:
            return
        with suppress(ConfigRefused, TimeoutError):  # whoever applies it tells why it is refused
            await self._serve(config.fit(loaded, self._inventory, str(self._settings.config or "")))
            async with asyncio.timeout(INTRODUCTION):
                await self._manager.wait_registered()
        await asyncio.to_thread(importlib.import_module, "rota.agent.turns")

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
            end=self._ender(),
        )

    def _ender(self) -> End | None:
        """What ends a client that is over its limit on a full GPU; nobody can here."""
        return None

    def _wish(self, client: str) -> Wish:
        """What a client was given besides its replicas: nothing that this agent could know."""
        from rota.agent.order import Wish

        return Wish()

    def _pass_on(self, change: Change) -> None:
        assert self._manager is not None
        self._manager.set_health(change.uuid, change.healthy, change.reason)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Nobody else serves this kubelet, and nobody else runs turns from this folder."""
    turns = only_agent(settings.run_dir / LOCK, "runtime folder", "--run-dir")
    with only_agent(settings.kubelet_dir), turns:
        yield
