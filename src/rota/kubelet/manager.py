"""The room's front: makes what the kubelet is served equal to what the config makes.

The agent says which resources there are, and which devices fail; everything between that and the
kubelet is decided here. One call at a time changes the set; a resource that stays keeps its socket
and its streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

from rota.config.schema import Config
from rota.errors import KubeletError
from rota.kubelet import cdi, sockets
from rota.kubelet.driver_files import DriverFiles
from rota.kubelet.holders import Holders, InUse
from rota.kubelet.listing import Listing, listing_of
from rota.kubelet.plugin import Counters, ResourcePlugin
from rota.kubelet.rules import Rules
from rota.kubelet.watch import FolderWatch
from rota.model import Gpu, Inventory, Resource

PLUGIN_FOLDER = Path("/var/lib/kubelet/device-plugins")

DRAIN_LOOK = 1.0
"""Seconds between questions who still holds what, while something is being drained."""


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """How one resource fares now.

    Attributes:
        listing: its replicas and their states.
        socket: where it is served.
        registered: the kubelet that is there knows it.
        streams: how many clients watch.
        counters: what happened so far (live: they go on counting).
    """

    listing: Listing
    socket: Path
    registered: bool
    streams: int
    counters: Counters


class PluginManager:
    """All device plugins of one node.

    Args:
        folder: the kubelet's device plugin folder.
        in_use: asks who holds what (`pod_resources.ids_in_use` in practice); None where nobody can
            be asked: then what was allocated counts as held until the resource goes.
        extra_env: for every container.
        cdi_folder: where the CDI spec goes, under a strategy that uses one.
        host: where this process sees the host's `/`.
        log: structured; by default structlog's own.
        allocated: called, in the event loop, after every allocation.
    """

    def __init__(
        self,
        folder: Path = PLUGIN_FOLDER,
        *,
        in_use: InUse | None = None,
        extra_env: Mapping[str, str] | None = None,
        cdi_folder: Path = cdi.CDI_FOLDER,
        host: Path = Path("/"),
        log: structlog.typing.FilteringBoundLogger | None = None,
        allocated: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._extra_env = dict(extra_env or {})
        self._cdi_folder = cdi_folder
        self._host = host
        self._log = log or structlog.get_logger("rota.kubelet")
        self._holders = Holders(in_use, self._log, heard=allocated)
        self._held: Mapping[str, frozenset[str]] = {}
        self._ailing: dict[str, str] = {}
        self._plugins: dict[str, ResourcePlugin] = {}
        self._numa_of: Callable[[Gpu], int | None] = lambda _: None
        self._spec: Path | None = None
        self._watch: FolderWatch | None = None
        self._drain: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def serve(
        self, resources: tuple[Resource, ...], config: Config, inventory: Inventory
    ) -> None:
        """Make the served set equal to `resources`, answered by the rules of `config`.

        New resources are served and then register in the background (`wait_registered`); those
        that are gone stop; those that stay only show their new replicas. Replicas that a pod
        holds though the config has them no more stay listed, unhealthy, until it has ended.

        Raises:
            KubeletError: the CDI spec cannot be written (nothing was changed), or a socket cannot
                be had: another plugin serves there, or there is no folder (everything else is
                served, and this one is tried again and again).
        """
        async with self._lock:
            rules = self._rules(config, inventory)
            self._keep_spec(rules, inventory)
            self._numa_of = cache(rules.files.numa_node)
            self._held = await self._holders.held()
            wanted = {resource.name: resource for resource in resources}
            for name, plugin in self._plugins.items():
                if name in wanted:
                    plugin.show(self._listing(wanted[name]), rules)
            await self._end([name for name in self._plugins if name not in wanted])
            if self._watch is None:
                sockets.sweep(self._folder)
                self._watch = FolderWatch(self._folder, self._look)
                self._watch.start()
            new = [r for name, r in wanted.items() if name not in self._plugins]
            try:
                await self._begin(new, rules)
            finally:
                self._keep_draining()

    def set_health(self, uuid: str, healthy: bool, reason: str = "") -> None:
        """Mark a GPU, and so every replica of it and of its MIG devices, or one MIG device.

        Every resource that has one of them tells its watchers. Devices that nobody has are
        remembered for a config to come.

        Args:
            uuid: of the GPU or the MIG device.
            healthy: whether it can be used.
            reason: for the log, and for whoever asks for a replica of it.
        """
        if healthy:
            self._ailing.pop(uuid, None)
        else:
            self._ailing[uuid] = reason or "its GPU is marked unhealthy"
        for plugin in self._plugins.values():
            plugin.show(self._listing(plugin.board.listing.resource))

    async def wait_registered(self) -> None:
        """Until the kubelet knows every resource. Bound it with `asyncio.timeout`."""
        for plugin in tuple(self._plugins.values()):
            await plugin.registered.wait()

    def status(self) -> tuple[ResourceStatus, ...]:
        """Every resource as it fares now. Safe from any thread."""
        return tuple(
            ResourceStatus(p.board.listing, p.public, p.registered.is_set(), p.streams, p.counters)
            for p in tuple(self._plugins.values())
        )

    async def stop(self) -> None:
        """End every stream, remove every socket and the CDI spec. Twice is once."""
        async with self._lock:
            if self._drain:
                self._drain.cancel()
                await asyncio.wait([self._drain])
                self._drain = None
            if self._watch:
                self._watch.close()
                self._watch = None
            await self._end(list(self._plugins))
            self._remove_spec()

    def _rules(self, config: Config, inventory: Inventory) -> Rules:
        files = DriverFiles(config.flags.nvidia_driver_root, inventory.emulated, self._host)
        return Rules.of(config, files, self._extra_env)

    def _listing(self, resource: Resource) -> Listing:
        held = self._held.get(resource.name, ())
        return listing_of(resource, self._ailing, held, self._numa_of)

    def _keep_spec(self, rules: Rules, inventory: Inventory) -> None:
        if any(strategy.startswith("cdi-") for strategy in rules.flags.device_list_strategy):
            self._spec = cdi.write(self._cdi_folder, cdi.spec(inventory, rules.files))
        else:
            self._remove_spec()

    def _remove_spec(self) -> None:
        if self._spec:
            self._spec.unlink(missing_ok=True)
            self._spec = None

    async def _begin(self, resources: list[Resource], rules: Rules) -> None:
        """Start new ones. All of them, whatever becomes of one; then say what went wrong first."""
        errors: list[KubeletError] = []
        for resource in resources:
            listing = self._listing(resource)
            plugin = ResourcePlugin(self._folder, listing, rules, self._holders, self._log)
            self._plugins[resource.name] = plugin
            try:
                await plugin.start()
            except KubeletError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _end(self, names: list[str]) -> None:
        going = [self._plugins.pop(name) for name in names]
        await asyncio.gather(*(plugin.stop() for plugin in going))
        for plugin in going:
            self._log.info("no longer served", resource=plugin.name)

    def _look(self) -> None:
        for plugin in self._plugins.values():
            plugin.look()

    def _draining(self) -> bool:
        return any(plugin.board.listing.draining for plugin in self._plugins.values())

    def _keep_draining(self) -> None:
        if self._draining() and (self._drain is None or self._drain.done()):
            self._drain = asyncio.create_task(self._watch_drain(), name="drain")

    async def _watch_drain(self) -> None:
        """Ask who still holds what, until nothing is left to be drained."""
        while self._draining():
            await asyncio.sleep(DRAIN_LOOK)
            held = await self._holders.held()
            self._held = held
            for plugin in self._plugins.values():
                plugin.show(self._listing(plugin.board.listing.resource))
