"""Who needs memory that is not there, and how much: what must come free before it can go on. Pure.

Two need it. A client in host memory that wants the GPU needs all that it had. A client on the GPU
that works and has not spent its limit may ask for the rest at any moment; nobody can see a program's
allocation fail, so its room is made as soon as idle clients can make it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rota.gatekeeper.ballast import Stand
from rota.memory.limits import Row

SLACK = 256 * 2**20
"""Bytes beside what a process had, for its way back: a restore that lacks one page is lost."""

UNKNOWN = 1 << 60
"""Bytes of which nobody knows how many they are: whoever has them needs all that there can be."""

TRIFLE = 16 * 2**20
"""Bytes for which nobody is paged out: readings differ by as much."""


@dataclass(frozen=True, slots=True)
class Room:
    """One GPU as it was read last. All in bytes.

    Attributes:
        rows: client → its row in the table of limits.
        free: what nobody has, ballast included.
        most: what clients can have at most.
    """

    rows: Mapping[str, Row]
    free: int
    most: int

    @classmethod
    def of(cls, stand: Stand | None) -> Room | None:
        """What a reading comes to; None where the GPU could not be read."""
        if stand is None or stand.shares is None or stand.occupancy is None:
            return None
        where = stand.occupancy
        most = where.total - where.unmanaged - max(0, where.system)
        return cls({row.client: row for row in stand.shares.rows}, where.free + stand.held, most)

    def use(self, client: str) -> int:
        """What a client uses."""
        return self.rows[client].use if client in self.rows else 0

    def unspent(self, client: str) -> int:
        """What is kept for a client on the GPU, and it does not use."""
        row = self.rows.get(client)
        return max(0, row.guaranteed - row.use) if row else 0

    def back(self, size: int, processes: int) -> int:
        """What a client needs that comes back with so many bytes: some slack, if there can be any."""
        if size >= UNKNOWN:
            return self.most
        return min(size + SLACK * processes, max(size, self.most))


def missing_to_return(
    room: Room, need: int, held: Mapping[str, int], beside: Collection[str]
) -> tuple[int, int]:
    """What must come free before a client can come back that needs so much.

    Args:
        room: the GPU.
        need: what it needs there.
        held: client → what is held for others that come back.
        beside: who works on that GPU: their unspent shares are spared if that can be.

    Returns:
        The bytes that should come free, and those that must. Zero or less: it is there.
    """
    must = need + sum(held.values()) - room.free
    return must + sum(room.unspent(client) for client in beside), must


def missing_to_go_on(room: Room, client: str, held: Mapping[str, int], out: Collection[str]) -> int:
    """What must come free before a client on the GPU can have all of its limit.

    Zero where it has no limit: what it might want nobody knows.
    """
    row = room.rows.get(client)
    if row is None or row.limit is None:
        return 0
    others = [name for name in room.rows if name != client and name not in (*out, *held)]
    kept = sum(room.unspent(name) for name in others) + sum(held.values())
    missing = row.headroom + kept - room.free
    return missing if missing > TRIFLE else 0
