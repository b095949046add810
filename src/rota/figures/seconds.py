"""How much of a GPU's time each client had: GPU seconds, and turn seconds. Pure.

*GPU seconds* are time in which kernels ran. The driver says how long a GPU was busy, and for whom: a
client that had it alone is told what the driver says of its processes. Of clients that took turns
NVML only notes, five times a second, who has the GPU at that moment, which after a minute is still
a few points off. So what it says of them together is divided by their turns, which are known to
the millisecond. The accounts of an emulated GPU are exact, and need no division. All in all GPU seconds add up to the time in which the GPU was busy. Where
the driver does not tell (MIG, or a process that it hides), turn seconds take their place.

*Turn seconds* are the time in a client's own turns less what it was seen idle. They are more than
GPU seconds by the gaps between a program's kernels, and by the milliseconds until it is seen idle; by
up to a quarter of a second for a client that is alone, since that one is looked at so seldom. In an
overlapped handover the next client's gates are open while the last one drains, and a client that
works for moments works beside the holder. The driver slices between them, and the rota has charged
each for its part, so that time counts once here as well: turn seconds of all clients add up to the
time in which somebody had a turn and was not seen idle.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Iterable, Mapping, Set
from dataclasses import dataclass, field

from rota.scheduling.log import Turn

Key = tuple[str, str]
"""A client's id and the UUID of a GPU."""

RECENT = 1.0
"""Seconds over which utilization is taken."""

PATIENCE = 3
"""Looks for which a process that ended is still asked for: its last account may come late."""


@dataclass(slots=True)
class _Account:
    """What is known of one client on one GPU.

    Attributes:
        settled: by turns that have ended.
        turns: by turns, those of now included.
        driver: what the driver says.
        told: the driver says something of it.
        fresh: what the last look brought: by its turns, and by the driver.
        total: its GPU seconds.
        pids: pid → its last account, and the looks since it was the client's.
        points: times and totals of the last second.
    """

    settled: float = 0.0
    turns: float = 0.0
    driver: float = 0.0
    told: bool = False
    fresh: tuple[float, float] = (0.0, 0.0)
    total: float = 0.0
    pids: dict[int, tuple[float, int]] = field(default_factory=dict)
    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=64))


class GpuSeconds:
    """The accounts of one node's clients."""

    def __init__(self) -> None:
        """Nobody has had anything."""
        self._accounts: defaultdict[Key, _Account] = defaultdict(_Account)

    def ended(self, turns: Iterable[Turn]) -> None:
        """Take in turns that have ended."""
        for turn in turns:
            self._accounts[turn.client, turn.gpu].settled += turn.used

    def look(
        self,
        now: float,
        fares: Mapping[Key, float],
        owners: Mapping[Key, Iterable[int]],
        served: Mapping[str, Mapping[int, float]],
        *,
        noted: bool = True,
    ) -> None:
        """Take in one look, after all turns that had ended by then.

        Args:
            now: on the gatekeeper's clock, or on any steady one while there is none.
            fares: seconds of their turns of now, of the clients that are in a rota.
            owners: the pids of each client on each GPU.
            served: GPU → pid → seconds; without the GPUs of which the driver does not tell.
            noted: these are sums of what was noted now and then, as NVML's; else they are exact.
        """
        for key in {*fares, *owners, *self._accounts}:  # who is gone may have a last account
            account = self._accounts[key]
            turns = max(account.turns, account.settled + fares.get(key, 0.0))
            driver = _add_driver(account, owners.get(key, ()), served.get(key[1], {}))
            account.fresh, account.turns = (turns - account.turns, driver), turns
        for gpu in {gpu for _, gpu in self._accounts}:
            here = [key for key in self._accounts if key[1] == gpu]
            _divide({key: self._accounts[key] for key in here}, fares if noted else ())
        for account in self._accounts.values():
            _mark(account.points, now, account.total)

    @property
    def keys(self) -> Set[Key]:
        """Whose accounts are kept."""
        return self._accounts.keys()

    def total(self, key: Key) -> float:
        """All GPU seconds so far."""
        return self._accounts[key].total if key in self._accounts else 0.0

    def turns(self, key: Key) -> float:
        """All turn seconds so far."""
        return self._accounts[key].turns if key in self._accounts else 0.0

    def recent(self, key: Key) -> float:
        """The part of about the last second that the client had, 0 to 1."""
        points = self._accounts[key].points if key in self._accounts else None
        if not points or len(points) < 2:
            return 0.0
        (begun, first), (ended, last) = points[0], points[-1]
        return min(1.0, (last - first) / (ended - begun)) if ended > begun else 0.0

    def forget(self, keys: Iterable[Key]) -> None:
        """Those clients are no more."""
        for key in keys:
            self._accounts.pop(key, None)

    def restart(self) -> None:
        """A new gatekeeper starts with no turns: those that were under way have had what was seen."""
        for account in self._accounts.values():
            account.settled = account.turns


def _divide(here: Mapping[Key, _Account], in_turns: Container[Key]) -> None:
    """Give each client of a GPU its part of what the last look brought."""
    sharing = {key: each.fresh for key, each in here.items() if each.told and key in in_turns}
    turns = sum(own for own, _ in sharing.values())
    busy = sum(driver for _, driver in sharing.values())
    took_turns = sum(own > 0 for own, _ in sharing.values()) > 1
    for key, each in here.items():
        own, driver = each.fresh
        if key in sharing and took_turns:
            driver = busy * own / turns
        each.total += driver if each.told else own


def _add_driver(account: _Account, pids: Iterable[int], served: Mapping[int, float]) -> float:
    """What the driver says anew of the client's processes, and of those that have just ended."""
    before = account.driver if account.told else account.total
    for pid in pids:
        account.pids[pid] = (account.pids.get(pid, (0.0, 0))[0], 0)
    for pid, (last, looks) in list(account.pids.items()):
        account.told = account.told or pid in served
        value = max(last, served.get(pid, last))
        account.driver += value - last
        account.pids[pid] = (value, looks + 1)
        if looks >= PATIENCE:
            del account.pids[pid]
    return max(0.0, account.driver - before)


def _mark(points: deque[tuple[float, float]], now: float, total: float) -> None:
    """Keep the points of the last second, and the one before them."""
    points.append((now, total))
    while len(points) > 2 and points[1][0] <= now - RECENT:
        points.popleft()
