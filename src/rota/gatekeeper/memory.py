"""The memory of the GPUs as the turns see it: what is to be held before a gate opens, and now and then.

The conductor asks `ready` before it opens a gate and calls `mind` after each step. Nothing here
blocks: what is asked of a GPU is done in its thread (`ballast`), and a GPU that does not answer in
time lets the turns go on without it, with the reason shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rota.gatekeeper.ballast import Hold, Job, OpenDoors, Stand
from rota.gatekeeper.group import Group
from rota.gatekeeper.messages import Settings
from rota.gatekeeper.paging import Paging
from rota.memory.limits import Row
from rota.memory.report import offenders
from rota.memory.terms import GpuTerms, Stretch
from rota.scheduling.ensemble import Ensemble

AGAIN = 0.25
"""Seconds after which a GPU is weighed again though nothing is known to have changed."""

CALM = 2.0
"""The same while no client has a process there."""

PATIENCE = 1.0
"""Seconds that a turn waits for its ballast; letting all of the largest GPU go takes 0.2."""

COSTLY = 0.02
"""The part of a turn that its ballast may cost; beyond that turns are made longer."""

LONGEST = 1.0
"""Seconds; turns are made no longer than this for the sake of ballast."""

SETTLING = 0.1
"""Seconds for which the room of starters is left as it is while one of several has started."""

_KEPT = 0.8
"""What the average of the cost keeps of what it was."""


class Turns(Protocol):
    """The turns (`rota.gatekeeper.turns`), as far as they are read here."""

    ensemble: Ensemble
    groups: dict[str, Group]
    settings: Settings
    paging: Paging | None


@dataclass(slots=True)
class Ticket:
    """The ballast that a handover waits for."""

    jobs: tuple[Job, ...]
    until: float


@dataclass(slots=True)
class _Gpu:
    """What is known of one GPU.

    Attributes:
        hold: its ballast.
        asked: the last job.
        at: when it was asked for.
        stand: the last that was done.
        cost: what a handover's ballast takes at the average, in seconds.
        late: the driver did not answer in time the last time.
    """

    hold: Hold
    asked: Job | None = None
    at: float = 0.0
    stand: Stand | None = None
    cost: float = 0.0
    late: bool = False


class Memory:
    """The memory of one node's GPUs.

    Args:
        doors: opens what holds ballast and what reads a GPU, once for each GPU.
        wake: called from another thread when something has been done.
    """

    def __init__(self, doors: OpenDoors, wake: Callable[[], None]) -> None:
        self._doors, self._wake = doors, wake
        self._terms: dict[str, GpuTerms] = {}
        self._gpus: dict[str, _Gpu] = {}
        self._tickets: dict[str, Ticket] = {}

    def tell(self, terms: Sequence[GpuTerms]) -> None:
        """Take over what the agent says."""
        self._terms = {each.gpu: each for each in terms}
        for gpu, known in self._gpus.items():
            if gpu not in self._terms:
                self._release(known)

    def weighs(self, gpus: Iterable[str]) -> bool:
        """Something is to be held there before the next turn."""
        return any(self._is_hard(gpu) for gpu in gpus)

    def ready(self, into: str, turns: Turns, now: float) -> bool:
        """The ballast is as the turn of that client wants it; starts to make it so.

        It is not looked at before every other gate of its GPUs is closed or stays open.
        """
        gpus = [
            gpu
            for gpu in turns.groups[into].spec.shares
            if self._is_hard(gpu) or (turns.paging and turns.paging.returns_to(gpu))
        ]
        gpus = [gpu for gpu in gpus if gpu in self._terms]
        if not gpus:
            return True
        ticket = self._tickets.get(into)
        if ticket is None:
            if any(_closing(turns, gpu, into) for gpu in gpus):
                return False
            jobs = tuple(
                self._submit(gpu, self._terms[gpu], _stretch(turns, gpu, into), now, quiet=True)
                for gpu in gpus
            )
            ticket = self._tickets[into] = Ticket(jobs, now + PATIENCE)
        if not all(job.stand for job in ticket.jobs) and now < ticket.until:
            return False
        del self._tickets[into]
        for gpu, job in zip(gpus, ticket.jobs, strict=True):
            self._took(self._gpus[gpu], job)
        return True

    def forget(self, into: str) -> None:
        """The handover to that client did not come about."""
        self._tickets.pop(into, None)

    def mind(self, turns: Turns, now: float) -> None:
        """Look after the GPUs on which no handover is under way."""
        for into in [into for into in self._tickets if not turns.ensemble.is_coming(into)]:
            self.forget(into)
        if turns.ensemble.paused and turns.settings.mode == "exclusive":
            return
        for gpu, told in self._terms.items():
            terms = replace(told, hard=False) if turns.ensemble.paused else told
            known = self._gpus.get(gpu)
            if known and known.asked and known.asked.stand:
                known.stand = known.asked.stand
            if _moving(turns, gpu):
                continue
            stretch = _stretch(turns, gpu, None)
            if _starts_beside(turns, stretch):
                continue
            if self._is_due(known, terms, stretch, now):
                self._submit(gpu, terms, stretch, now)

    def stand(self, gpu: str) -> Stand | None:
        """What the last weighing of a GPU came to; None where it is not looked after."""
        known = self._gpus.get(gpu)
        if known is None or gpu not in self._terms:
            return None
        if known.asked and known.asked.stand:
            known.stand = known.asked.stand
        return known.stand

    def release(self) -> None:
        """Let everything go, at once: nobody is held back any more."""
        self._tickets.clear()
        for known in self._gpus.values():
            self._release(known)

    def close(self, timeout: float) -> None:
        """Let everything go, and end the threads."""
        self.release()
        for known in self._gpus.values():
            known.hold.end(timeout)

    def quantum(self, gpu: str, quantum: float) -> float:
        """How long turns have to be, so that ballast costs no more of them than it may."""
        known = self._gpus.get(gpu)
        return max(quantum, min(LONGEST, known.cost / COSTLY)) if known else quantum

    def describe(self) -> dict[str, Any]:
        """The tables of all GPUs, in bytes that add up."""
        return {
            gpu: _described(self._terms[gpu], known)
            for gpu, known in self._gpus.items()
            if gpu in self._terms and known.stand and known.stand.shares
        }

    def _is_hard(self, gpu: str) -> bool:
        return gpu in self._terms and self._terms[gpu].hard and self._terms[gpu].limited

    def _is_due(self, known: _Gpu | None, terms: GpuTerms, stretch: Stretch, now: float) -> bool:
        if known is None or known.asked is None:
            return bool(terms.claims)
        if known.asked.stand is None:
            return False
        if now - known.at >= (AGAIN if stretch.owners else CALM):
            return True
        if known.asked.terms == terms and known.asked.stretch == stretch:
            return False
        starting = bool(known.asked.stretch.starting and stretch.starting)
        return not (starting and now - known.at < SETTLING)

    def _submit(
        self, gpu: str, terms: GpuTerms, stretch: Stretch, now: float, *, quiet: bool = False
    ) -> Job:
        known = self._gpus.get(gpu)
        if known is None:
            known = self._gpus[gpu] = _Gpu(Hold(gpu, self._doors, self._wake))
        known.at = now
        known.asked = known.hold.submit(Job(terms, stretch, quiet=quiet))
        return known.asked

    def _took(self, known: _Gpu, job: Job) -> None:
        known.late = job.stand is None
        if job.stand:
            known.stand = job.stand
            known.cost = _KEPT * known.cost + (1 - _KEPT) * job.stand.seconds

    def _release(self, known: _Gpu) -> None:
        known.stand, known.cost = None, 0.0
        if known.asked and known.asked.terms is not None:
            known.asked = known.hold.submit(Job(None, Stretch()))


def _on(turns: Turns, gpu: str) -> Iterable[tuple[str, Group]]:
    return ((name, group) for name, group in turns.groups.items() if gpu in group.spec.shares)


def _closing(turns: Turns, gpu: str, into: str) -> bool:
    """Somebody else's gates there are on their way: they will be closed, or stay open."""
    return any(
        group.moving and turns.ensemble.has(name) for name, group in _on(turns, gpu) if name != into
    )


def _moving(turns: Turns, gpu: str) -> bool:
    """Who can allocate there is about to change."""
    rota = turns.ensemble.rotas.get(gpu)
    if rota is not None and rota.coming is not None:
        return True
    return any(group.moving and turns.ensemble.has(name) for name, group in _on(turns, gpu))


def _starts_beside(turns: Turns, stretch: Stretch) -> bool:
    """Programs start, while somebody else's gates are still open, who gives way to them.

    What is free then may be all of theirs, since the open one was starting itself a moment ago: it
    is left as it is until that one is closed.
    """
    others = stretch.open_to - stretch.starting.keys()
    return any(turns.ensemble.gives_way(client) for client in others)


def _stretch(turns: Turns, gpu: str, into: str | None) -> Stretch:
    """Who has a gate there, and whose are open, once the gates of `into` are.

    A client that runs ungated is none of them: its gates hold nobody up and nobody for it.
    """
    owners: dict[int, str] = {}
    open_to: set[str] = set()
    starting: Counter[str] = Counter()
    for name, group in _on(turns, gpu):
        owners |= {process.pid: name for process in group.processes}
        starting[name] += sum(gate.starting for gate in group)
        if turns.ensemble.has(name) and (name == into or not group.shut):
            open_to.add(name)
    to_start = {name: n for name, n in starting.items() if n}
    paged = turns.paging.stretch(gpu, into) if turns.paging else {}
    return Stretch(owners, frozenset(open_to), to_start, **paged)


def _described(terms: GpuTerms, known: _Gpu) -> dict[str, Any]:
    stand = known.stand
    assert stand is not None
    assert stand.shares is not None
    assert stand.occupancy is not None
    shares, occupancy = stand.shares, stand.occupancy
    return {
        "at": stand.at,
        "enforce": "hard" if terms.hard and terms.limited else "report",
        "trouble": "the driver does not answer" if known.late else stand.trouble,
        "total": shares.total,
        "reserve": shares.reserve,
        "unclaimed": shares.unclaimed,
        "oversold": shares.oversold,
        "unmanaged": occupancy.unmanaged,
        "ballast": occupancy.ballast,
        "system": occupancy.system,
        "free": occupancy.free,
        "short": stand.plan.short if stand.plan else 0,
        "reading_seconds": stand.reading,
        "handover_seconds": known.cost,
        "offenders": [one.client for one in offenders(shares.rows)],
        "clients": {row.client: _row(row) for row in shares.rows},
    }


def _row(row: Row) -> Mapping[str, int | None]:
    return {name: getattr(row, name) for name in ("limit", "guaranteed", "use", "headroom", "over")}
