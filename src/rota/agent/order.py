"""What the gatekeeper is told: who is on the GPUs, and what each is due. Pure, but for rights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rota.clients.picture import ClientOnGpu, Picture, ProcessKey, Unmanaged
from rota.config.schema import Paging, Turns
from rota.gatekeeper.journal import Process
from rota.gatekeeper.messages import ClientSpec, Node, PagingSettings, Settings
from rota.gpu.capability import Rights, own_rights, why_no_paging, why_no_turns
from rota.memory.terms import GpuTerms
from rota.model import Inventory
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
        pageable: it may be paged out while it is idle.
    """

    weight: float = 1.0
    priority: Priority = Priority.STANDARD
    ending: bool = False
    memory: int | None = None
    pageable: bool = True


Wishes = Callable[[str], Wish]
"""A client's id → its wish."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the config and the hardware say about turns.

    Attributes:
        settings: the key `rota.turns`.
        reasons: GPU → why its programs cannot take turns; empty where they can.
    """

    settings: Turns = field(default_factory=Turns)
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


def with_memory(
    node: Node, terms: tuple[GpuTerms, ...], paging: PagingSettings | None = None
) -> Node:
    """The same node with its memory. Where limits or room are held, turns never overlap. Pure."""
    settings, paging = node.settings, paging or PagingSettings()
    held = any(each.hard and each.limited for each in terms)
    if held or (paging.enabled and terms):
        settings = replace(settings, handing="disjoint")
    return replace(node, settings=settings, memory=terms, paging=paging)


def paging_of(
    settings: Paging, inventory: Inventory, shared: Collection[str], rights: Rights | None = None
) -> PagingSettings:
    """What the config and the hardware say about paging.

    Args:
        settings: the key `rota.paging`.
        inventory: the node's GPUs.
        shared: the GPUs whose memory is looked after.
        rights: of the process that would page; read now where None.
    """
    judged = None if inventory.emulated else rights or own_rights()
    off: dict[str, str] = {}
    for gpu in inventory.gpus:
        why = why_no_paging(gpu, inventory.driver_version, judged)
        if why or gpu.uuid not in shared:
            off[gpu.uuid] = why or "its GPU is not shared, so nobody needs its memory"
    return PagingSettings(
        settings.enabled,
        settings.idle_after,
        settings.host_memory_bytes,
        settings.host_memory_part,
        off,
    )


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
    starting = _processes(coming)
    return ClientSpec(id_, share, _processes(keys), starting, wish.ending, why, wish.pageable)


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
