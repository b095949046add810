"""Turns: tells the gatekeeper who is on the GPUs and what each is due, and keeps it running.

What is known about clients (a picture, ten times a second) and what the config wants go in; the
whole node goes out, each time it changed. Nothing here decides whose turn it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rota.agent.logs import Logger
from rota.agent.memory import Asked, Cut, Ledger, admit, context_bytes, cut_of
from rota.agent.offenders import End, Offenders
from rota.agent.order import Order, Wish, Wishes, node_of, paging_of, reasons, with_memory
from rota.agent.pages import Pages, Step
from rota.clients.picture import LocalJob, Picture
from rota.clients.sightings import Place, Sightings
from rota.clients.starters import DeviceFiles
from rota.clients.watch import ClientWatch, Lister
from rota.config.schema import Memory as MemorySettings
from rota.config.schema import Paging
from rota.config.schema import Turns as TurnSettings
from rota.gatekeeper.messages import PagingSettings
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.supervisor import Supervisor
from rota.gpu.doors import InventoryDoor
from rota.model import Inventory, Resource


class Turns:
    """Keeps turns going on one node.

    Args:
        door: tells the processes of the GPUs.
        inventory: the GPUs.
        place: where the kubelet leaves its traces.
        run_dir: the folder shared with the gatekeeper.
        emulated: the folder of the emulated GPU; None on a real one.
        log: where troubles are told.
        lister: asks the kubelet who holds what; None where there is no kubelet.
        jobs: the local jobs of now.
        wishes: what a client was given besides its replicas.
        spawn: start a gatekeeper; otherwise it has a container of its own.
        end: ends a client that is over its limit; None where nobody can.
    """

    def __init__(
        self,
        door: InventoryDoor,
        inventory: Inventory,
        place: Place,
        run_dir: Path,
        *,
        emulated: Path | None,
        log: Logger,
        lister: Lister | None = None,
        jobs: Callable[[], Sequence[LocalJob]] = tuple,
        wishes: Wishes = lambda _: Wish(),
        spawn: bool = True,
        end: End | None = None,
    ) -> None:
        """Nothing runs before `run`."""
        self._inventory = inventory
        self._cut = Cut()
        self._ledger = Ledger()
        self._paging = PagingSettings()
        self._offenders = Offenders(self.state, log, end)
        self._pages = Pages(self.state, log)
        gpus = [gpu.uuid for gpu in inventory.gpus]
        self._log = log
        self._wishes = wishes
        self._order = Order(reasons=reasons(inventory))
        self._supervisor = Supervisor(run_dir, emulated=emulated, spawn=spawn)
        files = DeviceFiles.of(inventory.gpus)
        if emulated:
            files = DeviceFiles.emulated(emulated, inventory.gpus)
        paged = PagedJournal(run_dir).pids
        sightings = Sightings(door, gpus, place, files=files, paged=paged)
        self._watch = ClientWatch(
            sightings, self._changed, log, lister=lister, jobs=jobs, hurry=lambda: self._cut.holds
        )
        for gpu in inventory.gpus:
            if why := self._order.reasons[gpu.uuid]:
                log.warning("no turns on this GPU", gpu=gpu.uuid, reason=why)

    @property
    def picture(self) -> Picture:
        """Who is on the GPUs now."""
        return self._watch.picture

    @property
    def off(self) -> Mapping[str, str]:
        """GPU → why there are no turns on it; empty where there are."""
        if self._order.settings.mode == "driver":
            return dict.fromkeys(self._order.reasons, "the config says `mode: driver`")
        problem = self._supervisor.problem
        return {gpu: why or problem for gpu, why in self._order.reasons.items()}

    @property
    def mode(self) -> str:
        """`exclusive` or `driver`, as the config says."""
        return self._order.settings.mode

    @property
    def gatekeeper(self) -> Supervisor:
        """What keeps the gatekeeper running."""
        return self._supervisor

    def wish(self, client: str) -> Wish:
        """What that client was given besides its replicas."""
        return self._wishes(client)

    @property
    def reasons(self) -> Mapping[str, str]:
        """GPU → why its programs cannot take turns whatever the config says; empty if they can."""
        return self._order.reasons

    @property
    def gates_unmanaged(self) -> bool:
        """Whether the config wants processes without a replica gated."""
        return self._order.settings.unmanaged == "gate"

    def configure(
        self,
        settings: TurnSettings,
        memory: MemorySettings | None = None,
        resources: Sequence[Resource] = (),
        paging: Paging | None = None,
    ) -> None:
        """Quantum, mode and the like, how memory is cut, and who is paged out, from now on."""
        self._order = Order(settings, self._order.reasons)
        gated = [gpu for gpu, why in self._order.reasons.items() if not why]
        if settings.mode == "driver":
            gated = []
        self._cut = cut_of(
            memory or MemorySettings(),
            self._inventory,
            resources,
            gated,
            context_bytes(self._inventory),
        )
        self._paging = paging_of(paging or Paging(), self._inventory, self._cut.totals)
        self._pages.wanted = self._paging.enabled
        self._offenders.evict = bool(memory and memory.evict)
        self._offenders.looks = bool(self._cut.totals)
        self._offenders.context = self._cut.context
        self._tell(self._watch.picture)

    def admit(self, there: Sequence[Asked], newcomer: Asked) -> None:
        """Can it have its memory beside those that are there?

        Raises:
            MemoryRefused: it cannot; the hint says what it can have.
        """
        admit(self._cut, there, newcomer)

    def wake(self) -> None:
        """A job came or went, or its wish changed."""
        self._watch.wake()
        self.retell()

    def retell(self) -> None:
        """A wish changed: the gatekeeper hears of it at once."""
        self._tell(self._watch.picture)

    def expect(self) -> None:
        """A replica was given out: its holder may come at any moment."""
        self._watch.expect()

    async def state(self) -> dict[str, Any]:
        """The gatekeeper's state. NoGatekeeper if there is none."""
        return await self._supervisor.state()

    async def page(self, client: str, *, out: bool) -> AsyncIterator[Step]:
        """Bring a client to host memory, or back, by hand; the steps until it is there.

        Raises:
            RotaError: it cannot be, and why.
        """
        await self._pages.reached(lambda: self._supervisor.page(client, out=out))
        async for step in self._pages.follow(client, out=out):
            yield step

    async def run(self) -> None:
        """Until cancelled; then every gate is open, and a gatekeeper of ours has ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run())
            group.create_task(self._watch.run())
            group.create_task(self._offenders.run())
            group.create_task(self._pages.run())

    def _changed(self, picture: Picture) -> None:
        known = {one.client for one in self._watch.picture.clients if one.processes}
        for one in picture.clients:
            if one.processes and one.client not in known:
                pids = [key.pid for key in one.processes]
                self._log.info("client on GPU", client=one.client, gpu=one.gpu, pids=pids)
        self._tell(picture)

    def _tell(self, picture: Picture) -> None:
        node = node_of(picture, self._order, self._wishes)
        terms = self._ledger.terms(self._cut, picture, lambda id_: self._wishes(id_).memory)
        self._supervisor.tell(with_memory(node, terms, self._paging))
