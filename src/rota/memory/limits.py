"""What each client may use of one GPU, in bytes that add up.

A replica is a share of memory as of time: replicas × (total − reserve) ÷ replicas of the GPU, times
`oversubscribe`. A client may ask for a figure of its own, at most what nobody has claimed. What
unmanaged processes use is nobody's share: it comes out of what is unclaimed, and where that is too
little, out of all limits in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rota.errors import RotaError
from rota.memory.sizes import shown


class MemoryRefused(RotaError):
    """A client cannot have the memory that it asks for."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The memory of one GPU as it is to be shared. All sizes in bytes.

    Attributes:
        gpu: its UUID, for messages.
        total: as the driver reports it.
        replicas: how many replicas are made of this GPU.
        reserve: what the driver and the contexts of starting processes need; a configured figure,
            or (`auto`) a measured one.
        unmanaged: what processes without a replica use now.
        oversubscribe: limits may add up to this much of the GPU, 1.0 or more.
        limited: False under `limit: none`: only figures of a client's own are limits.
        context: what one CUDA context needs; no client is admitted with less.
    """

    gpu: str
    total: int
    replicas: int
    reserve: int = 0
    unmanaged: int = 0
    oversubscribe: float = 1.0
    limited: bool = True
    context: int = 0

    @property
    def base(self) -> int:
        """What there is to share on an otherwise empty GPU."""
        return max(0, self.total - self.reserve)

    @property
    def room(self) -> int:
        """What there is to share now: all clients together can never have more at a time."""
        return max(0, self.base - self.unmanaged)

    @property
    def nominal(self) -> int:
        """What limits might add up to if nothing unmanaged were here."""
        return self._times(self.base)

    @property
    def capacity(self) -> int:
        """What limits may add up to now."""
        return self._times(self.room)

    def share(self, replicas: int) -> int:
        """The limit of a client with so many replicas, as long as unmanaged use leaves room."""
        return min(self.base, self.nominal * replicas // self.replicas)

    def wanted(self, claim: Claim) -> int | None:
        """What a client would have on an empty GPU; None: it has no limit."""
        if claim.own is not None:
            return claim.own
        return self.share(claim.replicas) if self.limited else None

    def _times(self, size: int) -> int:
        return int(size * Fraction(str(self.oversubscribe)))


@dataclass(frozen=True, slots=True)
class Claim:
    """What one client asks of the GPU.

    Attributes:
        client: its id.
        replicas: the replicas of this GPU that it holds.
        own: a figure of its own in bytes (annotation `rota.dev/memory`); None: its share.
    """

    client: str
    replicas: int = 1
    own: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One client in the table. All in bytes; limit = use + headroom − over.

    Attributes:
        client: its id.
        limit: what it may use; None: no limit.
        guaranteed: the part of it that is there for it at any time, without paging anybody out.
        use: what its processes use.
        headroom: what it may still take.
        over: what it uses beyond its limit.
    """

    client: str
    limit: int | None
    guaranteed: int
    use: int
    headroom: int
    over: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Who is due what of one GPU.

    reserve + unmanaged + all limits + unclaimed = total + oversold, to the byte.

    Attributes:
        rows: the clients in the order in which they came.
        total: the GPU's memory.
        reserve: kept for the driver and for contexts.
        unmanaged: used by processes without a replica (at most what the reserve leaves).
        unclaimed: in nobody's limit now.
        oversold: what limits may add up to beyond the memory that there is.
    """

    rows: tuple[Row, ...]
    total: int
    reserve: int
    unmanaged: int
    unclaimed: int
    oversold: int

    def row(self, client: str) -> Row:
        """The row of a client that is in the table."""
        return next(row for row in self.rows if row.client == client)


def limits(pool: Pool, claims: Sequence[Claim]) -> dict[str, int | None]:
    """Client → limit in bytes, None without one. `claims` in the order in which they came.

    Who came first has its claim first. Where unmanaged processes took what had been claimed, all
    limits shrink in proportion.
    """
    promised = _promises(pool, claims)
    claimed = sum(size or 0 for size in promised.values())
    if claimed <= pool.capacity:
        return {client: _at_most(size, pool.room) for client, size in promised.items()}
    return {
        client: size and min(pool.room, size * pool.capacity // claimed)
        for client, size in promised.items()
    }


def unclaimed(pool: Pool, claims: Sequence[Claim]) -> int:
    """The most that a newcomer may have as a figure of its own, in bytes.

    Nothing while unmanaged processes use what was promised: it would come out of others' limits.
    """
    claimed = sum(size or 0 for size in _promises(pool, claims).values())
    return max(0, min(pool.room, pool.capacity - claimed))


def admit(pool: Pool, claims: Sequence[Claim], newcomer: Claim) -> int | None:
    """The limit that a newcomer gets beside those who are there; None: no limit.

    Raises:
        MemoryRefused: it asks for more than is unclaimed, or for less than a context needs, or
            nothing that could be used is left for its share.
    """
    if newcomer.own is not None:
        _check_own(pool, claims, newcomer, newcomer.own)
    limit = limits(pool, [*claims, newcomer])[newcomer.client]
    if limit is not None and limit <= pool.context:
        what = f"{newcomer.client} would get {shown(limit)} of {pool.gpu}, too little for a context"
        hint = (
            "lower the figures that others ask for, make fewer replicas, or end unmanaged processes"
        )
        raise MemoryRefused(what, where=newcomer.client, hint=hint)
    return limit


def shares(pool: Pool, claims: Sequence[Claim], use: Mapping[str, int]) -> Shares:
    """The table of one GPU. `use` has the bytes that each client's processes use."""
    due = limits(pool, claims)
    reserve = pool.total - pool.base
    return Shares(
        tuple(_row(pool, client, limit, use.get(client, 0)) for client, limit in due.items()),
        pool.total,
        reserve,
        pool.base - pool.room,
        pool.capacity - sum(limit or 0 for limit in due.values()),
        pool.capacity - pool.room,
    )


def _check_own(pool: Pool, claims: Sequence[Claim], newcomer: Claim, own: int) -> None:
    most = unclaimed(pool, claims)
    if own <= pool.context:
        what = f"{newcomer.client} asks for {shown(own)} of {pool.gpu}"
        hint = f"a CUDA context alone needs {shown(pool.context)}: ask for more than that"
        raise MemoryRefused(what, where=newcomer.client, hint=hint)
    if own > most:
        what = f"{newcomer.client} asks for {shown(own)} of {pool.gpu}, where {shown(most)} is unclaimed"
        hint = f"ask for at most {most} bytes, or for none to get a share"
        raise MemoryRefused(what, where=newcomer.client, hint=hint)


def _promises(pool: Pool, claims: Sequence[Claim]) -> dict[str, int | None]:
    """What each would have if nothing unmanaged were here; who came first has its claim first."""
    promised: dict[str, int | None] = {}
    left = pool.nominal
    for claim in claims:
        wanted = pool.wanted(claim)
        promised[claim.client] = wanted if wanted is None else min(wanted, left)
        left -= promised[claim.client] or 0
    return promised


def _row(pool: Pool, client: str, limit: int | None, use: int) -> Row:
    if limit is None:
        return Row(client, None, 0, use, max(0, pool.room - use), 0)
    guaranteed = limit * pool.room // pool.capacity if pool.capacity else 0
    return Row(client, limit, guaranteed, use, max(0, limit - use), max(0, use - limit))


def _at_most(size: int | None, most: int) -> int | None:
    return None if size is None else min(size, most)
