"""Looks at the clients: who wants the GPU, who starts, and who has ended.

When each is to be looked at next, and what a look means, is `watch`'s. What was seen goes to the
ensemble, and is news where it differs from what was known.
"""

from __future__ import annotations

from rota.gatekeeper.gate import Gate
from rota.gatekeeper.group import Group, State
from rota.gatekeeper.turns import Turns
from rota.gatekeeper.watch import WATCHED, Watch

SELDOM = 0.25
"""The longest from one round of looks to the next, in seconds."""


class Lookout:
    """Who of one node wants the GPU.

    Attributes:
        next: when the next client is to be looked at.
    """

    def __init__(self, turns: Turns) -> None:
        self.next = 0.0
        self._turns, self._paging = turns, turns.paging
        self._groups, self._ensemble = turns.groups, turns.ensemble
        self._watches: dict[str, Watch] = {}
        self._starters: set[str] = set()
        self._wanting: dict[str, bool] = {}

    # Whom to look at

    def meet(self, client: str) -> None:
        """This client is there."""
        self._watches.setdefault(client, Watch())

    def left(self, client: str) -> None:
        """This client is out of the rota: should it come back, it starts anew."""
        self._starters.discard(client)

    def forget(self, client: str) -> None:
        """This client is no more."""
        self._starters.discard(client)
        self._watches.pop(client, None)
        self._wanting.pop(client, None)

    def soon(self, client: str, when: float) -> None:
        """Look at this client then, if not before."""
        watch = self._watches[client]
        watch.next = min(watch.next, when)
        self.next = min(self.next, when)

    # What is seen

    def look(self, now: float) -> None:
        """See who wants the GPU."""
        self.next = now + SELDOM
        if self._ensemble.paused:
            return
        for client, watch in self._watches.items():
            if watch.next <= now:
                group = self._groups[client]
                if group.handed or not self._ensemble.has(client):
                    continue
                self._look_at_one(client, group, watch, now)
                if group.moving:  # its next look is when it has arrived
                    continue
            self.next = min(self.next, watch.next)

    def _look_at_one(self, client: str, group: Group, watch: Watch, now: float) -> None:
        self._see_starters(client, group, now)
        if group.state is State.CLOSED:
            self._tell(client, watch.look_closed(group, now), now)
        elif group.state is State.OPEN:
            self._tell(client, watch.look_open(group, now, self._ensemble.company(client)), now)
        for gate in group.gates:
            if gate.demand.ended:
                self._let_go(group, gate)

    def _see_starters(self, client: str, group: Group, now: float) -> None:
        """A process that has no context yet lets its client go first, once."""
        starting = False
        for gate in group.gates:
            starting = starting or gate.starting
        if starting and client not in self._starters:
            self._starters.add(client)
            self._ensemble.starting(client, now)
        elif not starting and client in self._starters:
            self._turns.news = True
            self._starters.discard(client)
            self._ensemble.started(client)
        if starting:
            self._turns.news = True
            for gate in group:
                gate.probe_start(now)

    def _tell(self, client: str, wants: bool | None, now: float) -> None:
        if self._paging:
            wants = self._paging.sees(client, wants, now)
        if wants is None:
            return
        if self._wanting.get(client) is not wants:
            self._turns.news = True
            self._wanting[client] = wants
            if wants:
                for other in self._watches:
                    self.soon(other, now + WATCHED)
        if wants:
            self._ensemble.wants(client, now)
        else:
            self._turns.note(self._ensemble.idle(client, now))

    def _let_go(self, group: Group, gate: Gate) -> None:
        """Its process has ended."""
        group.remove(gate.process)
        gate.forget()
        self._turns.changed, self._turns.still = True, False
