"""Runs the turns: what is seen goes into the ensemble, what it decides goes to the gates.

`step` does all that can be done now and blocks for nothing; the loop around it decides when the
next step is. Time is passed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

from rota.gatekeeper.gate import Gate, MakeDemand
from rota.gatekeeper.group import Group, Outcome, State
from rota.gatekeeper.journal import Journal, JournalError, Process
from rota.gatekeeper.lanes import Lanes
from rota.gatekeeper.memory import Memory
from rota.gatekeeper.messages import Node, Settings
from rota.gatekeeper.paging import Arrival, Paging
from rota.gatekeeper.watch import WATCHED, Watch
from rota.scheduling.ensemble import Ensemble, Handover
from rota.scheduling.log import Turn, TurnLog
from rota.scheduling.terms import Why

SLOW = 0.25
"""The longest that the loop may rest, in seconds."""

UNDER_WAY = 0.02
"""How soon to look for hanging calls while gates are worked; one that comes back wakes the loop."""

OVERLAP = 0.02
"""The longest drain that a handover is overlapped with, in seconds: a few slices of the driver's."""

JOURNAL_RETRY = 2.0
"""Seconds after which turns are tried again where the journal could not be written."""


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


class Conductor:
    """The turns of one node.

    Attributes:
        log: the turns that were.
        settings: as the agent told them last.
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
        self.log = TurnLog()
        self.memory = memory
        self.paging = paging
        self._told = self.settings = Settings()
        self.off = ""
        self.groups: dict[str, Group] = {}
        self.ensemble = Ensemble(self.settings.rules)
        self.used: dict[tuple[str, str], float] = defaultdict(float)
        self._journal, self._lanes, self._demand = journal, lanes, demand
        self._watches: dict[str, Watch] = {}
        self._pending: list[Pending] = []
        self._leaving: dict[Process, Gate] = {}
        self._broken = ""
        self._broken_until = 0.0
        self._changed = True
        self._starters: set[str] = set()
        self._wanting: dict[str, bool] = {}
        self._news = True
        self._still = False
        self._decide_at = 0.0
        self._look_at = 0.0

    # What the agent says

    def tell(self, node: Node, now: float, without: Collection[Process] = ()) -> None:
        """Take over what the agent says of the node; gates in `without` are not ours yet."""
        self._told = node.settings
        self._set_rules()
        self._changed, self._still = True, False
        if self.paging:
            self.paging.tell(node.paging)
        if self.memory:
            terms = self.paging.terms(node) if self.paging else node.memory
            self.memory.tell(terms)
        told = {spec.id: spec for spec in node.clients}
        for client in [client for client in self.groups if client not in told]:
            self._remove(client, now)
        for client, spec in told.items():
            group = self.groups.setdefault(client, Group(spec))
            if group.spec.shares.keys() != spec.shares.keys():
                self._leave(client, now, Why.EXITED)
            group.spec = spec
            self._watches.setdefault(client, Watch())
            self._meet(group, spec.processes - set(without))
            if client in self.ensemble.clients:
                self.ensemble.set_shares(client, spec.shares, now)

    def _set_rules(self) -> None:
        """As they were told; but nobody works beside another while somebody may be paged in."""
        self.settings = self._told
        if self.paging and self.paging.crosses:
            self.settings = replace(self._told, handing="disjoint")
        rules = self.settings.rules
        if self.settings.handing == "disjoint":  # then nobody works beside the holder
            rules = replace(rules, burst=0.0)
        self.ensemble.set_rules(rules)

    def turn_off(self, why: str, now: float) -> None:
        """Open every gate, and close none until `turn_on`."""
        self.off, self._still = why, False
        if not self.ensemble.paused:
            self._note(self.ensemble.pause(now))
        self._pending.clear()
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
        self._news, self._still = True, False
        if self.ensemble.paused:
            self.ensemble.resume(now)
            for client in self.ensemble.clients:
                if self.groups[client].shut:
                    self._note(self.ensemble.closed(client, now))

    @property
    def all_open(self) -> bool:
        """No gate is closed, none is being opened; stopped programs cannot be helped."""
        gates = [gate for group in self.groups.values() for gate in group]
        gates += self._leaving.values()
        busy = (gate for gate in gates if (gate.closed or gate.calling) and not gate.paged)
        return all(gate.stopped for gate in busy)

    # What there is to do now

    def step(self, now: float) -> float:
        """Do what can be done now. Returns for how long nothing has to be done, in seconds.

        Most of the time there is nothing to do but to look.
        """
        if self._still and self._lanes.silent:
            if now >= self._look_at:
                self._look(now)
            if not self._news and now < self._decide_at:
                return min(self._decide_at, self._look_at) - now
        self._act(now)
        self._still = self._is_still()
        return self._rest(now)

    def _act(self, now: float) -> None:
        """Everything, in this order."""
        try:
            self._collect(now)
            self._switch(now)
            self._enrol(now)
            self._steer(now)
            if self._pending:  # what waits for the GPU comes before looks at the others
                self._progress(now)
                self._steer(now)
            self._look(now)
            self._mind_paging(now)
            if self._news or now >= self._decide_at:
                self._decide(now)
            self._mind_memory(now)
        except JournalError as error:
            self._broken, self._broken_until = str(error), now + JOURNAL_RETRY
            self.turn_off(self._broken, now)

    def _mind_memory(self, now: float) -> None:
        """Hold what is to be held, and make turns longer where that is dear."""
        if self.memory is None:
            return
        self.memory.mind(self, now)
        for gpu, rota in self.ensemble.rotas.items():
            quantum = self.memory.quantum(gpu, self.settings.rules.quantum)
            if rota.rules.quantum != quantum:
                rota.rules = replace(rota.rules, quantum=quantum)

    def _mind_paging(self, now: float) -> None:
        """See to who is, or is to be, in host memory."""
        if self.paging is None:
            return
        before, crossed = self.ensemble.away, self.paging.crosses
        self.paging.step(self, now)
        if self.paging.crosses is not crossed:
            self._set_rules()
        self._news = self._news or self.ensemble.away != before

    def _is_still(self) -> bool:
        """Nothing is under way: until something happens, there is nothing to do but to look."""
        under_way = self._pending or self._leaving or self._changed or self._broken
        hurried = self.paging is not None and self.paging.hurried
        return not (under_way or hurried or any(not group.steady for group in self.groups.values()))

    def _decide(self, now: float) -> None:
        """Hand over where that is due: when something has happened, or the holder's slice ends."""
        self._news = False
        for handover in self.ensemble.decide(now):
            self._begin(handover, now)
            self._news = True
        self._progress(now)
        self._steer(now)
        self._news = self._news or bool(self._pending)
        self._decide_at = min(now + SLOW, max(now, self.ensemble.stands_until(now)))

    def _collect(self, now: float) -> None:
        """Take note of the calls that have come back."""
        for done in self._lanes.done():
            self._changed = self._news = True
            group = next((g for g in self.groups.values() if g.gate(done.process)), None)
            if group:
                group.came_back(done, now)
            elif gate := self._leaving.get(done.process):
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

    def _enrol(self, now: float) -> None:
        """Who has a process that can be gated is in the rota, nobody else."""
        if not self._changed:
            return
        self._news = True
        for client, group in self.groups.items():
            stays_open = group.ungated or group.spec.ungated or group.spec.ending
            there = client in self.ensemble.clients
            if there and (stays_open or not len(group)):
                self._leave(client, now, Why.FAILED if group.ungated else Why.EXITED)
            elif not there and len(group) and not stays_open:
                self.ensemble.join(client, group.spec.shares, now)
                if group.shut:
                    self._note(self.ensemble.closed(client, now))
        self._changed = False

    def _look(self, now: float) -> None:
        """See who wants the GPU."""
        self._look_at = now + SLOW
        if self.ensemble.paused:
            return
        for client, watch in self._watches.items():
            if watch.next <= now:
                group = self.groups[client]
                if group.handed or not self.ensemble.has(client):
                    continue
                self._look_at_one(client, group, watch, now)
                if group.moving:  # its next look is when it has arrived
                    continue
            self._look_at = min(self._look_at, watch.next)

    def _look_at_one(self, client: str, group: Group, watch: Watch, now: float) -> None:
        self._see_starters(client, group, now)
        if group.state is State.CLOSED:
            self._tell(client, watch.look_closed(group, now), now)
        elif group.state is State.OPEN:
            self._tell(client, watch.look_open(group, now, self.ensemble.company(client)), now)
        for gate in group.gates:
            if gate.demand.ended:
                self._forget(group, gate)

    def _see_starters(self, client: str, group: Group, now: float) -> None:
        """A process that has no context yet lets its client go first, once."""
        starting = False
        for gate in group.gates:
            starting = starting or gate.starting
        self._news = self._news or starting
        if starting and client not in self._starters:
            self._starters.add(client)
            self.ensemble.starting(client, now)
        elif not starting and client in self._starters:
            self._news = True
            self._starters.discard(client)
            self.ensemble.started(client)
        if starting:
            for gate in group:
                gate.probe_start(now)

    def _tell(self, client: str, wants: bool | None, now: float) -> None:
        if self.paging:
            wants = self.paging.sees(client, wants, now)
        if wants is None:
            return
        if self._wanting.get(client) is not wants:
            self._news = True
            self._wanting[client] = wants
            if wants:
                for other in self._watches:
                    self._look_soon(other, now + WATCHED)
        if wants:
            self.ensemble.wants(client, now)
        else:
            self._note(self.ensemble.idle(client, now))

    def _look_soon(self, client: str, when: float) -> None:
        watch = self._watches[client]
        watch.next = min(watch.next, when)
        self._look_at = min(self._look_at, when)

    def _steer(self, now: float) -> None:
        """Work the gates, those to be opened first, and tell the ensemble what came of it."""
        moving = [item for item in self.groups.items() if not item[1].steady]
        if not moving and not self._leaving:
            return
        for client, group in sorted(moving, key=lambda item: item[1].shut):
            outcome = group.steer(now, self.settings)
            self._news = True
            if client not in self.ensemble.clients:
                continue
            if group.ungated:
                self._changed = True
            if outcome is Outcome.REFUSED:
                self._refused(client, now)
            elif outcome is Outcome.REACHED:
                self._look_soon(client, now)
                if group.state is State.CLOSED:
                    self._note(self.ensemble.closed(client, now, group.took))
        self._open_the_leaving(now)

    def _open_the_leaving(self, now: float) -> None:
        """Open the gates of processes that are nobody's any more, and let go of them."""
        for gate in list(self._leaving.values()):
            gate.steer(now, closed=False, timeout=0)
            if gate.paged and not gate.calling:  # it is noted, and ours when it is named again
                del self._leaving[gate.process]
                gate.demand.close()
            elif not gate.closed and not gate.calling:
                del self._leaving[gate.process]
                gate.forget()

    def _begin(self, handover: Handover, now: float) -> None:
        """Close, and open what may be opened already."""
        out = {client for client, _ in handover.out}
        for client in out:
            self.groups[client].close(now, self._follower(client, handover))
        if handover.into:
            self._pending.append(Pending(handover.into, out))

    def _follower(self, client: str, handover: Handover) -> Group | None:
        """Who may go on as soon as that client's gate is closed, with nothing to do in between."""
        if len(handover.out) != 1 or not handover.into or self._weighs(handover.into):
            return None
        return self.groups[handover.into] if self._goes_first(self.groups[client]) else None

    def _weighs(self, into: str) -> bool:
        """Memory is to be held before the turn of that client."""
        if self.memory is None or self.settings.handing == "overlapped":
            return False
        gpus = self.groups[into].spec.shares
        returns = self.paging is not None and any(map(self.paging.returns_to, gpus))
        return returns or self.memory.weighs(gpus)

    def _progress(self, now: float) -> None:
        """Carry on the handovers under way."""
        for pending in list(self._pending):
            into = pending.into
            if into is None or not self.ensemble.is_coming(into):
                self._pending.remove(pending)
                continue
            closing = [
                self.groups[client]
                for client in pending.out & {*self.groups}
                if self.groups[client].state is State.CLOSING
            ]
            if any(self._goes_first(group) for group in closing):
                continue
            if not pending.back and self._is_outrun(into):
                self.ensemble.abandon(into)
                self._pending.remove(pending)
                self._news = True
                continue
            pending.weighed = pending.weighed or self._is_weighed(into, now)
            if not pending.weighed or not self._is_there(pending, into, now):
                continue
            group = self.groups[into]
            group.open(now)
            if group.state is State.OPEN:
                self._note(self.ensemble.opened(into, now))
                self._look_soon(into, now)
                self._pending.remove(pending)

    def _is_outrun(self, into: str) -> bool:
        """Programs start meanwhile, whom no gate keeps from taking memory: room is theirs first.

        It had this turn because it was starting itself, and has its context by now.
        """
        if any(gate.starting for gate in self.groups[into].gates) or not self._weighs(into):
            return False
        return self.ensemble.gives_way(into)

    def _is_there(self, pending: Pending, into: str, now: float) -> bool:
        """Its memory is on its GPUs. Where it has just come back, they are weighed once more."""
        if self.paging is None:
            return True
        arrival = self.paging.arrive(into, self, now)
        if arrival is Arrival.NOT:
            self.ensemble.abandon(into)
        elif arrival is Arrival.COMING:
            pending.back = True
        elif pending.back:
            pending.back = pending.weighed = False
            return False
        return arrival is Arrival.THERE

    def _is_weighed(self, into: str, now: float) -> bool:
        if self.memory is None or not self._weighs(into):
            return True
        return self.memory.ready(into, self, now)

    def _goes_first(self, closing: Group) -> bool:
        """Whether its gates must be closed before the next client's are opened.

        Where that takes long, two programs would share the GPU all that time.
        """
        return self.settings.handing == "disjoint" or closing.drain > OVERLAP

    def _refused(self, client: str, now: float) -> None:
        """Its gates would not close. In a disjoint handover nobody else may open then."""
        self.ensemble.refused(client, now)
        for pending in self._pending:
            waits = pending.into and self.ensemble.is_coming(pending.into)
            if client in pending.out and pending.into and waits:
                self.ensemble.abandon(pending.into)

    # Comings and goings

    def _meet(self, group: Group, processes: Collection[Process]) -> None:
        if not set(processes) & set(group.processes):
            group.ungated = ""
        for process in set(processes) - set(group.processes):
            gate = self._leaving.pop(process, None)
            if gate is None:
                gate = Gate(process, self._demand(*process), self._lanes, self._journal)
                gate.starting = process in group.spec.starting
                if self.paging:
                    self.paging.adopt(gate)
            group.add(gate)
        for process in set(group.processes) - set(processes):
            if gate := group.remove(process):
                self._leaving[process] = gate

    def _forget(self, group: Group, gate: Gate) -> None:
        group.remove(gate.process)
        gate.forget()
        self._changed, self._still = True, False

    def _leave(self, client: str, now: float, why: Why) -> None:
        """Out of the rota: its gates are opened."""
        if client in self.ensemble.clients:
            self._note(self.ensemble.leave(client, now, why))
        self._starters.discard(client)
        self.groups[client].open(now)

    def _remove(self, client: str, now: float) -> None:
        """The agent no longer names this client."""
        self._leave(client, now, Why.EXITED)
        group = self.groups.pop(client)
        for known in (self._watches, self._wanting):
            known.pop(client, None)
        self._starters.discard(client)
        self._leaving |= {gate.process: gate for gate in group}

    def _note(self, turns: list[Turn]) -> None:
        for turn in turns:
            self.used[turn.client, turn.gpu] += turn.used
        self.log.add(*turns)

    def _rest(self, now: float) -> float:
        """How long the loop may rest. A call that comes back wakes it before."""
        until = now + (SLOW if self._still else UNDER_WAY)
        if not self.ensemble.paused:
            until = min(until, self._look_at)
            if self._decide_at > now:
                until = min(until, self._decide_at)
        return max(0.0, until - now)
