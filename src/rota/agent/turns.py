"""Turns: tells the gatekeeper who is on the GPUs and what each is due, and keeps it running.

What is known about clients (a picture, ten times a second) and what the config wants go in; the
whole node goes out, each time it changed. Nothing here decides whose turn it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rota.agent.logs import Logger
from rota.agent.memory import Asked, Cut, Ledger, admit, context_bytes, cut_of
from rota.agent.offenders import End, Offenders
from rota.clients.picture import ClientOnGpu, LocalJob, Picture, ProcessKey, Unmanaged
from rota.clients.sightings import Place, Sightings
from rota.clients.starters import DeviceFiles
from rota.clients.watch import ClientWatch, Lister
from rota.config.schema import Memory as MemorySettings
from rota.config.schema import Turns as TurnSettings
from rota.gatekeeper.journal import Process
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gatekeeper.supervisor import Supervisor
from rota.gpu.capability import Rights, own_rights, why_no_turns
from rota.gpu.doors import InventoryDoor
from rota.memory.terms import GpuTerms
from rota.model import Inventory, Resource
from rota.scheduling.terms import Priority, Rules, Share

UNMANAGED = "unmanaged/"
"""Before the GPU's UUID: the id of the one client that all unmanaged processes of a GPU are."""

HIDDEN = "a process of it is hidden in /proc"
"""Why a client is not gated whose processes cannot be told from others with the same pid."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client was given besides its replicas.

    Attributes:
        weight: a factor on its share.
        priority: its class.
        ending: it is being ended: its gates are opened at once, and stay open.
        memory: bytes of its own on each of its GPUs; None: its share.
    """

    weight: float = 1.0
    priority: Priority = Priority.STANDARD
    ending: bool = False
    memory: int | None = None


Wishes = Callable[[str], Wish]
"""A client's id → its wish."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the config and the hardware say about turns.

    Attributes:
        settings: the key `rota.turns`.
        reasons: GPU → why its programs cannot take turns; empty where they can.
    """

    settings: TurnSettings = field(default_factory=TurnSettings)
    reasons: Mapping[str, str] = field(default_factory=dict)


def reasons(inventory: Inventory, rights: Rights | None = None) -> dict[str, str]:
    """Why the programs of each GPU, and of its MIG devices, cannot take turns; "" if they can.

    Args:
        inventory: the node's GPUs. Emulated gates need no rights.
        rights: of this process; read now where None.
    """
    judged = None if inventory.emulated else rights or own_rights()
    found: dict[str, str] = {}
    for gpu in inventory.gpus:
        why = why_no_turns(gpu, inventory.driver_version, judged)
        found |= dict.fromkeys((gpu.uuid, *(mig.uuid for mig in gpu.mig_devices)), why)
    return found


def node_of(picture: Picture, order: Order, wishes: Wishes) -> Node:
    """The node as the gatekeeper is told it. Pure."""
    specs = [_client(id_, parts, order, wishes(id_)) for id_, parts in _by_client(picture)]
    if order.settings.unmanaged == "gate":
        specs += _strangers(picture.unmanaged, order)
    rules = Rules(quantum=order.settings.quantum, minimum=order.settings.minimum)
    return Node(Settings(mode=order.settings.mode, rules=rules), tuple(specs))


def with_memory(node: Node, terms: tuple[GpuTerms, ...]) -> Node:
    """The same node with its memory. Where limits are held, turns never overlap. Pure."""
    settings = node.settings
    if any(each.hard and each.limited for each in terms):
        settings = replace(settings, handing="disjoint")
    return replace(node, settings=settings, memory=terms)


def _by_client(picture: Picture) -> Iterable[tuple[str, Sequence[ClientOnGpu]]]:
    """Clients that have a process on a GPU, or one that starts, each with its parts."""
    found: dict[str, list[ClientOnGpu]] = {}
    for part in picture.clients:
        if part.processes or part.starting:
            found.setdefault(part.client, []).append(part)
    return found.items()


def _client(id_: str, parts: Sequence[ClientOnGpu], order: Order, wish: Wish) -> ClientSpec:
    coming = frozenset(key for part in parts for key in part.starting)
    keys = coming.union(*(part.processes for part in parts))
    share = {p.gpu: Share(len(p.replicas), wish.weight, wish.priority) for p in parts}
    why = _why(keys, share, order)
    return ClientSpec(id_, share, _processes(keys), _processes(coming), wish.ending, why)


def _strangers(unmanaged: Iterable[Unmanaged], order: Order) -> list[ClientSpec]:
    """All unmanaged processes of a GPU as one client of the smallest share."""
    by_gpu: dict[str, set[ProcessKey]] = {}
    for one in unmanaged:
        if not one.pending:
            by_gpu.setdefault(one.gpu, set()).add(one.process)
    return [
        ClientSpec(
            UNMANAGED + gpu, {gpu: Share()}, _processes(keys), ungated=_why(keys, [gpu], order)
        )
        for gpu, keys in sorted(by_gpu.items())
    ]


def _processes(keys: Iterable[ProcessKey]) -> frozenset[Process]:
    return frozenset(Process(key.pid, key.started) for key in keys if key.started)


def _why(keys: Iterable[ProcessKey], gpus: Iterable[str], order: Order) -> str:
    """Why a client is not gated: its GPU, or a process that /proc hides."""
    off = next((why for gpu in gpus if (why := order.reasons.get(gpu, ""))), "")
    return off or (HIDDEN if any(not key.started for key in keys) else "")


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
        self._offenders = Offenders(self.state, log, end)
        gpus = [gpu.uuid for gpu in inventory.gpus]
        self._log = log
        self._wishes = wishes
        self._order = Order(reasons=reasons(inventory))
        self._supervisor = Supervisor(run_dir, emulated=emulated, spawn=spawn)
        files = DeviceFiles.of(inventory.gpus)
        if emulated:
            files = DeviceFiles.emulated(emulated, inventory.gpus)
        sightings = Sightings(door, gpus, place, files=files)
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
    ) -> None:
        """Quantum, mode and the like, and how memory is cut, from now on."""
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

    async def run(self) -> None:
        """Until cancelled; then every gate is open, and a gatekeeper of ours has ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run())
            group.create_task(self._watch.run())
            group.create_task(self._offenders.run())

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
        self._supervisor.tell(with_memory(node, terms))
