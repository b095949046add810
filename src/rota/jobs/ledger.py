"""Who holds which replicas, and who is next. Pure: no clock, no processes, no users' names.

The line is first come, first served, and nobody in it is starved. Whoever finds no room keeps what
they could use from everybody behind them: later jobs get only replicas of devices that no earlier
one waits for. Whoever waits for their own user's quota keeps nothing from others, but later jobs of
the same user stay behind them; whoever waits for a GPU to be well again keeps nothing. So everybody
in line is served once enough of the jobs before them have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rota.config.schema import Allocation
from rota.errors import RotaError
from rota.model import Device, Replica, Resource
from rota.replicas.preferred import Chooser

Blocked = Literal["room", "quota", "health"]
"""What one in line waits for: that others end, that jobs of the same user end, or a sick GPU."""


class Refused(RotaError):
    """It could not be served however long it waited."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One job in line.

    Attributes:
        job: its id.
        uid: whose it is.
        count: how many replicas, at least 1.
        device: UUID of the device that they must be of; empty for any.
    """

    job: str
    uid: int
    count: int = 1
    device: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one job holds."""

    job: str
    uid: int
    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """What there is to hold.

    Attributes:
        resources: the devices and their replicas.
        allocation: which are given first.
        quotas: uid → the most replicas that this user's jobs hold at once; None for no limit.
        quota: the same for every user without an entry; None for no limit.
    """

    resources: tuple[Resource, ...] = ()
    allocation: Allocation = field(default_factory=Allocation)
    quotas: Mapping[int, int | None] = field(default_factory=dict)
    quota: int | None = None

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices, in the order of the resources."""
        return tuple(device for resource in self.resources for device in resource.devices)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All replicas, in the same order."""
        return tuple(replica for resource in self.resources for replica in resource.replicas)

    def limit(self, uid: int) -> int | None:
        """The quota of a user; None for no limit."""
        return self.quotas.get(uid, self.quota)

    def find(self, text: str) -> str:
        """UUID of the device with that index, UUID, or beginning of a UUID; empty for empty.

        Raises:
            Refused: there is none, or more than one.
        """
        exact = [d.uuid for d in self.devices if text in ("", d.index, d.uuid)]
        found = exact or [d.uuid for d in self.devices if d.uuid.startswith(text)]
        if text and (len(found) != 1 or (not exact and len(text) < len("GPU-0"))):
            there = ", ".join(f"{d.index} ({d.uuid})" for d in self.devices) or "none"
            raise Refused(f"no GPU '{text}' here", where="--gpu", hint=f"there is {there}")
        return found[0] if text else ""

    def wanted(self, ask: Ask) -> tuple[Replica, ...]:
        """Every replica that would do for it, held or not."""
        return tuple(
            replica
            for resource in self.resources
            if ask.count == 1 or not resource.single_request
            for replica in resource.replicas
            if ask.device in ("", replica.device)
        )

    def refusal(self, ask: Ask) -> str:
        """Why that could never be served; empty if it could."""
        limit, there = self.limit(ask.uid), len(self.wanted(ask))
        if limit is not None and ask.count > limit:
            return f"{_replicas(ask.count)} asked for, and the quota of this user is {limit}"
        if ask.count <= there:
            return ""
        if len(self.wanted(replace(ask, count=1))) > there:
            return "more than one replica asked for, and failRequestsGreaterThanOne is set"
        of = "this GPU" if ask.device else "this machine"
        return f"{_replicas(ask.count)} asked for, and {of} has {there}"


class Ledger:
    """The holdings and the line. Nothing is given out before `settle`."""

    def __init__(self, pool: Pool) -> None:
        """Everything is free, nobody waits."""
        self._held: dict[str, Holding] = {}
        self._line: dict[str, Ask] = {}
        self._shut: frozenset[str] = frozenset()
        self._fit(pool)

    @property
    def pool(self) -> Pool:
        """What there is to hold."""
        return self._pool

    @property
    def holdings(self) -> Mapping[str, Holding]:
        """Job → what it holds."""
        return self._held

    @property
    def line(self) -> tuple[Ask, ...]:
        """Who waits, the first first."""
        return tuple(self._line.values())

    def ask(self, ask: Ask) -> None:
        """Stand in line.

        Raises:
            Refused: no wait would be long enough.
        """
        if reason := self._pool.refusal(ask):
            raise Refused(reason)
        self._line[ask.job] = ask

    def restore(self, holding: Holding) -> bool:
        """Give a job back what it held before; False, and nothing, if any of it is held."""
        taken = {replica for held in self._held.values() for replica in held.replicas}
        if holding.job in self._held or taken & set(holding.replicas):
            return False
        self._held[holding.job] = holding
        return True

    def free(self, job: str) -> None:
        """A job has ended, or left the line. Twice is once."""
        self._held.pop(job, None)
        self._line.pop(job, None)

    def shut(self, devices: Collection[str]) -> None:
        """Give out nothing of these devices; what is held of them stays held."""
        self._shut = frozenset(devices)

    def refit(self, pool: Pool) -> dict[str, str]:
        """Another config: holdings stay; job → reason of each that waited and now waits in vain."""
        self._fit(pool)
        reasons = {ask.job: pool.refusal(ask) for ask in self.line}
        refused = {job: reason for job, reason in reasons.items() if reason}
        for job in refused:
            self.free(job)
        return refused

    def settle(self) -> tuple[Holding, ...]:
        """Give everybody in line what is theirs now; the new holdings, in order."""
        given: list[Holding] = []
        for ask, blocked, usable in self._walk():
            if blocked is None:
                replicas = self._choose(ask, usable)
                given.append(Holding(ask.job, ask.uid, replicas))
                self._held[ask.job] = given[-1]
                del self._line[ask.job]
        return tuple(given)

    def blocked(self) -> dict[str, Blocked]:
        """Job → what it waits for, of each that would get nothing now."""
        return {ask.job: why for ask, why, _ in self._walk() if why}

    def _fit(self, pool: Pool) -> None:
        self._pool = pool
        everything = Resource("jobs", pool.devices, pool.replicas, "time-slicing")
        self._chooser = Chooser(everything)

    def _walk(self) -> Iterator[tuple[Ask, Blocked | None, list[Replica]]]:
        """Everybody in line with what blocks them and what they could be given."""
        kept: set[str] = set()
        behind: set[int] = set()
        for ask in self.line:
            usable = [replica for replica in self._free(ask) if replica.device not in kept]
            if ask.uid in behind or self._over_quota(ask):
                behind.add(ask.uid)
                yield ask, "quota", usable
            elif self._sick(ask):
                yield ask, "health", usable
            elif len(usable) < ask.count:
                kept.update(replica.device for replica in self._pool.wanted(ask))
                yield ask, "room", usable
            else:
                yield ask, None, usable

    def _sick(self, ask: Ask) -> bool:
        well = [r for r in self._pool.wanted(ask) if r.device not in self._shut]
        return len(well) < ask.count

    def _over_quota(self, ask: Ask) -> bool:
        limit = self._pool.limit(ask.uid)
        mine = sum(len(h.replicas) for h in self._held.values() if h.uid == ask.uid)
        return limit is not None and mine + ask.count > limit

    def _free(self, ask: Ask) -> list[Replica]:
        """What it could take if nobody was ahead.

        A device has as many free replicas as its number less what is held of it, whatever ids those
        have: an earlier config may have made more of them.
        """
        held = [replica for holding in self._held.values() for replica in holding.replicas]
        room = Counter(replica.device for replica in self._pool.replicas)
        room.subtract(replica.device for replica in held)
        found: list[Replica] = []
        for replica in self._pool.wanted(ask):
            device = replica.device
            if device not in self._shut and replica not in held and room[device] > 0:
                found.append(replica)
                room[device] -= 1
        return found

    def _choose(self, ask: Ask, usable: Sequence[Replica]) -> tuple[Replica, ...]:
        ids = [replica.id for replica in usable]
        terms = self._pool.allocation
        chosen = self._chooser.choose(ids, (), ask.count, terms.policy, terms.spread)
        return tuple(Replica.parse(id_) for id_ in chosen)


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
