"""`enforce: report`: who uses more than its limit, and whom to end before the GPU is full.

Nothing is held here, so a client can go beyond its limit; it is shown, counted and told. With
`evict: true` the worst offender is ended before the GPU is full. A client within its limit never
is, whoever filled the GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rota.memory.limits import Row
from rota.memory.sizes import shown


@dataclass(frozen=True, slots=True)
class Offender:
    """A client over its limit. All in bytes.

    Attributes:
        client: its id.
        use: what its processes use.
        limit: what it may use.
        over: the difference.
    """

    client: str
    use: int
    limit: int
    over: int

    def __str__(self) -> str:
        return (
            f"{self.client} uses {shown(self.use)}, {shown(self.over)} more than its limit "
            f"of {shown(self.limit)}"
        )


def offenders(rows: Sequence[Row]) -> tuple[Offender, ...]:
    """Who is over its limit, the worst first.

    Worst is who took most beyond its limit; among equals, who has the smaller limit, then who came
    last (`rows` are in the order in which the clients came).
    """
    found = [
        (row.over, -row.limit, place, Offender(row.client, row.use, row.limit, row.over))
        for place, row in enumerate(rows)
        if row.limit is not None and row.use > row.limit
    ]
    return tuple(entry[-1] for entry in sorted(found, key=lambda entry: entry[:3], reverse=True))


def low_water(total: int, context: int = 0) -> int:
    """The free bytes below which the GPU counts as full: 2 % of it, and room for one context."""
    return max(total // 50, context)


def to_evict(
    rows: Sequence[Row], free: int, low: int, ending: Collection[str] = ()
) -> Offender | None:
    """Whom to end now, if anybody: the worst offender, once less than `low` bytes are free.

    Nobody more is ended while what those in `ending` will give back is enough.
    """
    coming = sum(row.use for row in rows if row.client in ending)
    if free + coming >= low:
        return None
    return next((one for one in offenders(rows) if one.client not in ending), None)
