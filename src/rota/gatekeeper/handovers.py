"""Handovers under way: whose gates close, for whom, and what must be done before his are opened.

In between, as far as each is asked for: the gates of those before are closed, the memory that the
turn must not take is held, and the client's own is brought back to the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from rota.gatekeeper.group import Group, Outcome, State
from rota.gatekeeper.lookout import Lookout
from rota.gatekeeper.memory import Memory
from rota.gatekeeper.paging import Arrival
from rota.gatekeeper.turns import Turns
from rota.scheduling.ensemble import Handover

OVERLAP = 0.02
"""The longest drain that a handover is overlapped with, in seconds: a few slices of the driver's."""


@dataclass(slots=True)
class Pending:
    """A handover under way.

    Attributes:
        into: whose turn it becomes.
        out: whose gates are closed for it.
        weighed: the memory is held that this turn must not take.
        back: it is being brought back from host memory for this turn.
    """

    into: str | None
    out: set[str]
    weighed: bool = False
    back: bool = False


class Handovers:
    """The handovers of one node.

    Args:
        turns: as they stand.
        lookout: looks at whose gates have moved.
        memory: what holds memory for those who have not the turn; None: nobody does.
    """

    def __init__(self, turns: Turns, lookout: Lookout, memory: Memory | None) -> None:
        self._turns, self._lookout = turns, lookout
        self._memory, self._paging = memory, turns.paging
        self._groups, self._ensemble = turns.groups, turns.ensemble
        self._pending: list[Pending] = []

    def __len__(self) -> int:
        return len(self._pending)

    def clear(self) -> None:
        """None of them goes on."""
        self._pending.clear()

    def begin(self, handover: Handover, now: float) -> None:
        """Close, and open what may be opened already."""
        out = {client for client, _ in handover.out}
        for client in out:
            self._groups[client].close(now, self._follower(client, handover))
        if handover.into:
            self._pending.append(Pending(handover.into, out))

    def progress(self, now: float) -> None:
        """Carry on the handovers under way."""
        for pending in list(self._pending):
            into = pending.into
            if into is None or not self._ensemble.is_coming(into):
                self._pending.remove(pending)
                continue
            closing = [
                self._groups[client]
                for client in pending.out & {*self._groups}
                if self._groups[client].state is State.CLOSING
            ]
            if any(self._goes_first(group) for group in closing):
                continue
            if not pending.back and self._is_outrun(into):
                self._ensemble.abandon(into)
                self._pending.remove(pending)
                self._turns.news = True
                continue
            pending.weighed = pending.weighed or self._is_weighed(into, now)
            if not pending.weighed or not self._is_there(pending, into, now):
                continue
            group = self._groups[into]
            group.open(now)
            if group.state is State.OPEN:
                self._turns.note(self._ensemble.opened(into, now))
                self._lookout.soon(into, now)
                self._pending.remove(pending)

    def steer(self, now: float) -> None:
        """Work the gates, those to be opened first, and tell the ensemble what came of it."""
        moving = [item for item in self._groups.items() if not item[1].steady]
        for client, group in sorted(moving, key=lambda item: item[1].shut):
            outcome = group.steer(now, self._turns.settings)
            self._turns.news = True
            if client not in self._ensemble.clients:
                continue
            if group.ungated:
                self._turns.changed = True
            if outcome is Outcome.REFUSED:
                self._refused(client, now)
            elif outcome is Outcome.REACHED:
                self._lookout.soon(client, now)
                if group.state is State.CLOSED:
                    self._turns.note(self._ensemble.closed(client, now, group.took))

    def _refused(self, client: str, now: float) -> None:
        """Its gates would not close. In a disjoint handover nobody else may open then."""
        self._ensemble.refused(client, now)
        for pending in self._pending:
            waits = pending.into and self._ensemble.is_coming(pending.into)
            if client in pending.out and pending.into and waits:
                self._ensemble.abandon(pending.into)

    def _follower(self, client: str, handover: Handover) -> Group | None:
        """Who may go on as soon as that client's gate is closed, with nothing to do in between."""
        if len(handover.out) != 1 or not handover.into or self._weighs(handover.into):
            return None
        return self._groups[handover.into] if self._goes_first(self._groups[client]) else None

    def _weighs(self, into: str) -> bool:
        """Memory is to be held before the turn of that client."""
        if self._memory is None or self._turns.settings.handing == "overlapped":
            return False
        gpus = self._groups[into].spec.shares
        returns = self._paging is not None and any(map(self._paging.returns_to, gpus))
        return returns or self._memory.weighs(gpus)

    def _is_outrun(self, into: str) -> bool:
        """Programs start meanwhile, whom no gate keeps from taking memory: room is theirs first.

        It had this turn because it was starting itself, and has its context by now.
        """
        if any(gate.starting for gate in self._groups[into].gates) or not self._weighs(into):
            return False
        return self._ensemble.gives_way(into)

    def _is_there(self, pending: Pending, into: str, now: float) -> bool:
        """Its memory is on its GPUs. Where it has just come back, they are weighed once more."""
        if self._paging is None:
            return True
        arrival = self._paging.arrive(into, self._turns, now)
        if arrival is Arrival.NOT:
            self._ensemble.abandon(into)
        elif arrival is Arrival.COMING:
            pending.back = True
        elif pending.back:
            pending.back = pending.weighed = False
            return False
        return arrival is Arrival.THERE

    def _is_weighed(self, into: str, now: float) -> bool:
        if self._memory is None or not self._weighs(into):
            return True
        return self._memory.ready(into, self._turns, now)

    def _goes_first(self, closing: Group) -> bool:
        """Whether its gates must be closed before the next client's are opened.

        Where that takes long, two programs would share the GPU all that time.
        """
        return self._turns.settings.handing == "disjoint" or closing.drain > OVERLAP
