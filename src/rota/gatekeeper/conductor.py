"""Runs the turns: what is seen goes into the ensemble, what it decides goes to the gates.

Who is there (`members`), what they want (`lookout`) and what is under way (`handovers`) are rooms of
their own around the turns as they stand (`turns`); here is in which order they act, and when.

`step` does all that can be done now and blocks for nothing; the loop around it decides when the
next step is. Time is passed in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from rota.gatekeeper.gate import MakeDemand
from rota.gatekeeper.group import Group
from rota.gatekeeper.handovers import Handovers
from rota.gatekeeper.journal import Journal, JournalError, Process
from rota.gatekeeper.lanes import Lanes
from rota.gatekeeper.lookout import Lookout
from rota.gatekeeper.members import Members
from rota.gatekeeper.memory import Memory
from rota.gatekeeper.messages import Node, Settings
from rota.gatekeeper.paging import Paging
from rota.gatekeeper.turns import Turns

SLOW = 0.25
"""The longest that the loop may rest, in seconds."""

UNDER_WAY = 0.02
"""How soon to look for hanging calls while gates are worked; one that comes back wakes the loop."""

JOURNAL_RETRY = 2.0
"""Seconds after which turns are tried again where the journal could not be written."""


class Conductor:
    """The turns of one node.

    Attributes:
        log: the turns that were.
        used: client and GPU → seconds that it has had there.
        groups: client → its gates.
        ensemble: who is due.
        off: why no gate is closed now; empty while turns are on.
        memory: what holds memory for those who have not the turn; None: nobody does.
        paging: what pages clients out and in; None: nobody does.
    """

    def __init__(
        self,
        journal: Journal,
        lanes: Lanes,
        demand: MakeDemand,
        memory: Memory | None = None,
        paging: Paging | None = None,
    ) -> None:
        self._turns = Turns(paging)
        self.log, self.used = self._turns.log, self._turns.used
        self.groups, self.ensemble = self._turns.groups, self._turns.ensemble
        self.memory, self.paging = memory, paging
        self.off = ""
        self._lanes = lanes
        self._lookout = Lookout(self._turns)
        self._members = Members(self._turns, self._lookout, journal, lanes, demand)
        self._handovers = Handovers(self._turns, self._lookout, memory)
        self._told = self._turns.settings
        self._broken = ""
        self._broken_until = 0.0
        self._decide_at = 0.0

    @property
    def settings(self) -> Settings:
        """By which turns are taken now."""
        return self._turns.settings

    # What the agent says

    def tell(self, node: Node, now: float, without: Collection[Process] = ()) -> None:
        """Take over what the agent says of the node; gates in `without` are not ours yet."""
        self._told = node.settings
        self._set_rules()
        self._turns.changed, self._turns.still = True, False
        if self.paging:
            self.paging.tell(node.paging)
        if self.memory:
            terms = self.paging.terms(node) if self.paging else node.memory
            self.memory.tell(terms)
        self._members.tell(node.clients, now, without)

    def _set_rules(self) -> None:
        """As they were told; but nobody works beside another while somebody may be paged in."""
        self._turns.settings = self._told
        if self.paging and self.paging.crosses:
            self._turns.settings = replace(self._told, handing="disjoint")
        rules = self.settings.rules
        if self.settings.handing == "disjoint":  # then nobody works beside the holder
            rules = replace(rules, burst=0.0)
        self.ensemble.set_rules(rules)

    def turn_off(self, why: str, now: float) -> None:
        """Open every gate, and close none until `turn_on`."""
        self.off, self._turns.still = why, False
        if not self.ensemble.paused:
            self._turns.note(self.ensemble.pause(now))
        self._handovers.clear()
        if self.memory:
            self.memory.release()
        for group in self.groups.values():
            if not self._must_stay(group):
                group.open(now)

    def _must_stay(self, group: Group) -> bool:
        """Somebody is on its way back to a GPU of it, and its room must not be taken."""
        return self.paging is not None and self.paging.is_entering(group.spec.shares)

    def turn_on(self, now: float) -> None:
        """Close gates again, as the turns want it."""
        self.off = ""
        self._turns.news, self._turns.still = True, False
        if self.ensemble.paused:
            self.ensemble.resume(now)
            for client in self.ensemble.clients:
                if self.groups[client].shut:
                    self._turns.note(self.ensemble.closed(client, now))

    @property
    def all_open(self) -> bool:
        """No gate is closed, none is being opened; stopped programs cannot be helped."""
        gates = [gate for group in self.groups.values() for gate in group]
        gates += self._members.leaving.values()
        busy = (gate for gate in gates if (gate.closed or gate.calling) and not gate.paged)
        return all(gate.stopped for gate in busy)

    # What there is to do now

    def step(self, now: float) -> float:
        """Do what can be done now. Returns for how long nothing has to be done, in seconds.

        Most of the time there is nothing to do but to look.
        """
        if self._turns.still and self._lanes.silent:
            if now >= self._lookout.next:
                self._lookout.look(now)
            if not self._turns.news and now < self._decide_at:
                return min(self._decide_at, self._lookout.next) - now
        self._act(now)
        self._turns.still = self._is_still()
        return self._rest(now)

    def _act(self, now: float) -> None:
        """Everything, in this order."""
        try:
            self._collect(now)
            self._switch(now)
            self._members.enrol(now)
            self._steer(now)
            if self._handovers:  # what waits for the GPU comes before looks at the others
                self._handovers.progress(now)
                self._steer(now)
            self._lookout.look(now)
            self._mind_paging(now)
            if self._turns.news or now >= self._decide_at:
                self._decide(now)
            self._mind_memory(now)
        except JournalError as error:
            self._broken, self._broken_until = str(error), now + JOURNAL_RETRY
            self.turn_off(self._broken, now)

    def _steer(self, now: float) -> None:
        """Work the gates, those of nobody last."""
        self._handovers.steer(now)
        self._members.open_the_leaving(now)

    def _mind_memory(self, now: float) -> None:
        """Hold what is to be held, and make turns longer where that is dear."""
        if self.memory is None:
            return
        self.memory.mind(self._turns, now)
        for gpu, rota in self.ensemble.rotas.items():
            quantum = self.memory.quantum(gpu, self.settings.rules.quantum)
            if rota.rules.quantum != quantum:
                rota.rules = replace(rota.rules, quantum=quantum)

    def _mind_paging(self, now: float) -> None:
        """See to who is, or is to be, in host memory."""
        if self.paging is None:
            return
        before, crossed = self.ensemble.away, self.paging.crosses
        self.paging.step(self._turns, now)
        if self.paging.crosses is not crossed:
            self._set_rules()
        self._turns.news = self._turns.news or self.ensemble.away != before

    def _is_still(self) -> bool:
        """Nothing is under way: until something happens, there is nothing to do but to look."""
        under_way = self._handovers or self._members.leaving or self._turns.changed or self._broken
        hurried = self.paging is not None and self.paging.hurried
        return not (under_way or hurried or any(not group.steady for group in self.groups.values()))

    def _decide(self, now: float) -> None:
        """Hand over where that is due: when something has happened, or the holder's slice ends."""
        self._turns.news = False
        for handover in self.ensemble.decide(now):
            self._handovers.begin(handover, now)
            self._turns.news = True
        self._handovers.progress(now)
        self._steer(now)
        self._turns.news = self._turns.news or bool(self._handovers)
        self._decide_at = min(now + SLOW, max(now, self.ensemble.stands_until(now)))

    def _collect(self, now: float) -> None:
        """Take note of the calls that have come back."""
        for done in self._lanes.done():
            self._turns.changed = self._turns.news = True
            group = next((g for g in self.groups.values() if g.gate(done.process)), None)
            if group:
                group.came_back(done, now)
            elif gate := self._members.leaving.get(done.process):
                gate.came_back(done, now)

    def _switch(self, now: float) -> None:
        """Turns go on or off as mode and journal allow."""
        if self.ensemble.paused:  # those that had to stay closed while somebody came back
            for group in self.groups.values():
                if group.shut and not self._must_stay(group):
                    group.open(now)
        if self._broken and now >= self._broken_until:
            self._broken = ""
            if self.off and self.settings.mode == "exclusive":
                self.turn_on(now)

    def _rest(self, now: float) -> float:
        """How long the loop may rest. A call that comes back wakes it before."""
        until = now + (SLOW if self._turns.still else UNDER_WAY)
        if not self.ensemble.paused:
            until = min(until, self._lookout.next)
            if self._decide_at > now:
                until = min(until, self._decide_at)
        return max(0.0, until - now)
