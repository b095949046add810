"""What is to be held on one GPU: how its memory is shared, among whom, and what comes next.

`GpuTerms` is what a config and the clients say, `Stretch` what the turns are about to do, and
`weigh` what both and a reading of the GPU come to: the table of limits and the ballast to hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rota.memory.ballast import Grain, Plan, Standing, plan
from rota.memory.limits import Claim, Pool, Row, Shares, shares
from rota.memory.occupancy import measured_reserve
from rota.model import GpuMemory


@dataclass(frozen=True, slots=True)
class GpuTerms:
    """How the memory of one GPU is shared, and among whom.

    Attributes:
        pool: the GPU; its `unmanaged` is measured, not told.
        claims: who holds replicas of it, in the order in which they came.
        strangers: pids of unmanaged processes. A process that is neither a client's nor named here
            has just come: it is nobody's for the moment, and cuts nobody's limit.
        hard: limits are held by ballast; otherwise they are only watched.
        auto: the reserve is measured; `pool.reserve` is not looked at.
    """

    pool: Pool
    claims: tuple[Claim, ...] = ()
    strangers: frozenset[int] = frozenset()
    hard: bool = True
    auto: bool = True

    @property
    def gpu(self) -> str:
        """Its UUID."""
        return self.pool.gpu

    @property
    def limited(self) -> bool:
        """Somebody on it has a limit."""
        return any(self.pool.wanted(claim) is not None for claim in self.claims)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the turns do on one GPU from now on, until the next stretch.

    Attributes:
        owners: pid → client, of the processes that have a gate.
        open_to: the clients whose gates are open, or are to be opened.
        starting: client → how many of its processes have no context yet.
        restoring: client → bytes that it brings back from host memory.
        out: the clients that are paged out: nothing is kept for them.
        held: client → bytes that are held for it until it comes back.
    """

    owners: Mapping[int, str] = field(default_factory=dict)
    open_to: frozenset[str] = frozenset()
    starting: Mapping[str, int] = field(default_factory=dict)
    restoring: Mapping[str, int] = field(default_factory=dict)
    out: frozenset[str] = frozenset()
    held: Mapping[str, int] = field(default_factory=dict)

    def can_allocate(self, client: str) -> bool:
        """Its gates are open; or it has a process without a gate, in a stretch for such."""
        for_starters = any(one in self.starting for one in self.open_to)
        return client in self.open_to or (for_starters and client in self.starting)


@dataclass(frozen=True, slots=True)
class Reading:
    """A GPU at one moment.

    Attributes:
        memory: total, used and free bytes.
        processes: pid → bytes that it uses.
        held: ballast that is held, in bytes; a part of what is used.
    """

    memory: GpuMemory
    processes: Mapping[int, int] = field(default_factory=dict)
    held: int = 0

    @property
    def system(self) -> int:
        """What neither a process nor ballast accounts for."""
        return self.memory.total - self.memory.free - self.held - sum(self.processes.values())

    def use(self, owners: Mapping[int, str]) -> dict[str, int]:
        """Client → bytes."""
        found: Counter[str] = Counter()
        for pid, size in self.processes.items():
            if pid in owners:
                found[owners[pid]] += size
        return dict(found)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a reading comes to: who is due what, and what to hold for it."""

    shares: Shares
    plan: Plan


def weigh(
    terms: GpuTerms, stretch: Stretch, reading: Reading, system: int, grain: Grain
) -> Weighed:
    """The table of a GPU, and the ballast to hold in the coming stretch.

    While no client has a gate there, any of them may start, unseen at first.

    Args:
        terms: how its memory is shared.
        stretch: what comes.
        reading: as it is now.
        system: what the driver takes, in bytes, as far as it is known; for an `auto` reserve.
        grain: in which pieces ballast is held.
    """
    strange = sum(reading.processes.get(pid, 0) for pid in terms.strangers)
    pool = replace(terms.pool, unmanaged=strange)
    if terms.auto:
        pool = replace(pool, reserve=min(pool.total, measured_reserve(system, pool.context)))
    table = shares(pool, terms.claims, reading.use(stretch.owners))
    free, held = reading.memory.free, reading.held
    standings = [
        Standing(
            row.client,
            use=row.use,
            limit=row.limit if terms.hard else None,
            guaranteed=_kept_for(row, stretch, hard=terms.hard),
            can_allocate=not stretch.owners or stretch.can_allocate(row.client),
            context=_to_start(stretch, row.client) * pool.context if terms.hard else 0,
            restoring=stretch.restoring.get(row.client, 0),
        )
        for row in table.rows
    ]
    if stretch.held:
        standings = _yielded(standings, stretch, free + held)
    return Weighed(table, plan(standings, free, held, grain))


def _kept_for(row: Row, stretch: Stretch, *, hard: bool) -> int:
    """What nobody else may take from a client in that stretch, what it uses included.

    While somebody is restored all other gates are closed: nothing need be kept from anybody.
    """
    if row.client in stretch.held:
        return row.use + stretch.held[row.client]
    return row.guaranteed if hard and not (stretch.restoring or row.client in stretch.out) else 0


def _yielded(standings: Sequence[Standing], stretch: Stretch, physical: int) -> list[Standing]:
    """The same where less is kept for those who use nothing now, if what is held wants it.

    Limits that are oversold cannot all be there: first comes what is held for who comes back, then
    what is due to who has the turn, and then in proportion what the others have not spent.
    """
    others = [s for s in standings if not s.can_allocate and s.client not in stretch.held]
    wards = sum(s.ward for s in others)
    room = max(0, physical - sum(s.ward for s in standings if s not in others))
    if wards <= room:
        return list(standings)
    return [
        replace(s, guaranteed=s.use + s.ward * room // wards) if s in others and s.ward else s
        for s in standings
    ]


def _to_start(stretch: Stretch, client: str) -> int:
    """How many of its processes may make a context: one, unseen, while nobody has a gate."""
    return stretch.starting.get(client, 0) if stretch.owners else 1


def to_wire(terms: GpuTerms) -> dict[str, Any]:
    """As plain values."""
    return asdict(terms) | {"strangers": sorted(terms.strangers)}


def from_wire(raw: Mapping[str, Any]) -> GpuTerms:
    """Read them. KeyError, TypeError or ValueError where that is none of ours."""
    return GpuTerms(
        Pool(**raw["pool"]),
        tuple(Claim(**claim) for claim in raw["claims"]),
        frozenset(int(pid) for pid in raw["strangers"]),
        hard=bool(raw["hard"]),
        auto=bool(raw["auto"]),
    )
