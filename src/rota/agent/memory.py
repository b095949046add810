"""Who is due how much of each GPU's memory: from replicas, wishes and the config to terms.

Who came first has its claim first, so the order in which clients came is remembered here. What a
limit comes to is worked out where the GPU is read, by the gatekeeper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from rota.clients.picture import Picture
from rota.config.schema import Memory as MemorySettings
from rota.emulation.device import CONTEXT_BYTES
from rota.memory.limits import Claim, MemoryRefused, Pool
from rota.memory.limits import admit as admitted
from rota.memory.sizes import CONTEXT
from rota.memory.terms import GpuTerms
from rota.model import Inventory, Replica, Resource

Own = Callable[[str], int | None]
"""A client's id → the bytes of its own that it was given on each GPU; None: its share."""


Asked: TypeAlias = tuple[str, Sequence[Replica], int | None]
"""A client's id, what it holds or would hold, and the bytes that it asks for on each GPU."""


def context_bytes(inventory: Inventory) -> int:
    """What a CUDA context takes on these GPUs, in bytes."""
    return CONTEXT_BYTES if inventory.emulated else CONTEXT


@dataclass(frozen=True, slots=True)
class Cut:
    """How the memory of a node's GPUs is cut. Pure.

    Attributes:
        settings: the key `rota.memory`.
        totals: device → its memory in bytes, of those that are shared.
        replicas: device → how many replicas it has.
        hard: the devices on which limits can be held.
        context: what a CUDA context takes, in bytes.
    """

    settings: MemorySettings = field(default_factory=MemorySettings)
    totals: Mapping[str, int] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    hard: frozenset[str] = frozenset()
    context: int = 0

    @property
    def holds(self) -> bool:
        """On some GPU everybody's limit is held."""
        return (
            self.settings.enforce == "hard" and self.settings.limit == "share" and bool(self.hard)
        )

    def pool(self, gpu: str) -> Pool:
        """One GPU as it is to be shared."""
        return Pool(
            gpu,
            self.totals[gpu],
            self.replicas[gpu],
            reserve=self.settings.reserve or 0,
            oversubscribe=self.settings.oversubscribe,
            limited=self.settings.limit == "share",
            context=self.context,
        )

    def terms(self, gpu: str, claims: Sequence[Claim], strangers: Iterable[int]) -> GpuTerms:
        """What the gatekeeper is told of that GPU.

        An edit may leave fewer replicas than are held: then each is a smaller part.
        """
        pool = self.pool(gpu)
        held = sum(claim.replicas for claim in claims)
        return GpuTerms(
            replace(pool, replicas=max(pool.replicas, held)),
            tuple(claims),
            frozenset(strangers),
            hard=self.settings.enforce == "hard" and gpu in self.hard,
            auto=self.settings.reserve is None,
        )


def cut_of(
    settings: MemorySettings,
    inventory: Inventory,
    resources: Iterable[Resource],
    gated: Iterable[str],
    context: int,
) -> Cut:
    """How a config cuts the memory of a node.

    Args:
        settings: the key `rota.memory`.
        inventory: the GPUs; a MIG device has memory of its own, which is no GPU's to hold.
        resources: what is served.
        gated: the GPUs whose programs take turns.
        context: what a CUDA context takes, in bytes.
    """
    whole = {gpu.uuid: gpu.memory_bytes for gpu in inventory.gpus if not gpu.mig_enabled}
    shared = [resource for resource in resources if resource.shared]
    counts = {gpu: sum(resource.replicas_of(gpu) for resource in shared) for gpu in whole}
    counts = {gpu: count for gpu, count in counts.items() if count > 1 and whole[gpu]}
    totals = {gpu: whole[gpu] for gpu in counts}
    return Cut(settings, totals, counts, frozenset(gated) & counts.keys(), context)


def admit(cut: Cut, there: Sequence[Asked], newcomer: Asked) -> None:
    """Can a newcomer have its memory on each of its GPUs, beside those that are there?

    What unmanaged processes use is not looked at: limits shrink by it while they are there.

    Raises:
        MemoryRefused: it asks for more than is unclaimed, too little for a context, or for a limit
            on a GPU that is not shared.
    """
    client, replicas, own = newcomer
    for gpu in dict.fromkeys(replica.device for replica in replicas):
        if gpu in cut.totals:
            claims = [claim for each in there if (claim := _claim(each, gpu)).replicas]
            pool = cut.terms(gpu, [*claims, _claim(newcomer, gpu)], ()).pool
            reserve = cut.settings.reserve or cut.context
            admitted(replace(pool, reserve=reserve), claims, _claim(newcomer, gpu))
        elif own is not None:
            what = f"{client} asks for a limit, and {gpu} is not shared"
            raise MemoryRefused(what, where="--memory", hint="it has all of its memory")


def _claim(asked: Asked, gpu: str) -> Claim:
    client, replicas, own = asked
    return Claim(client, sum(replica.device == gpu for replica in replicas), own)


class Ledger:
    """Remembers who came when."""

    def __init__(self) -> None:
        """Nobody has come yet."""
        self._order: dict[str, None] = {}

    def terms(self, cut: Cut, picture: Picture, own: Own) -> tuple[GpuTerms, ...]:
        """What the gatekeeper is told of all GPUs whose memory is shared."""
        there = {one.client for one in picture.clients}
        self._order = {one: None for one in self._order if one in there}
        self._order |= dict.fromkeys(one.client for one in picture.clients)
        return tuple(self._of(gpu, cut, picture, own) for gpu in cut.totals)

    def _of(self, gpu: str, cut: Cut, picture: Picture, own: Own) -> GpuTerms:
        held = {one.client: len(one.replicas) for one in picture.on(gpu)}
        claims = [Claim(one, held[one], own(one)) for one in self._order if one in held]
        strangers = (
            one.process.pid for one in picture.unmanaged if one.gpu == gpu and not one.pending
        )
        return cut.terms(gpu, claims, strangers)
