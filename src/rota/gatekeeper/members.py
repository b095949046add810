"""Who is there, as the agent names them: their gates are made, join the rota, and are let go of.

The gates of processes that are nobody's any more are opened before they are forgotten.
"""

from __future__ import annotations

from collections.abc import Collection

from rota.gatekeeper.gate import Gate, MakeDemand
from rota.gatekeeper.group import Group
from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.lanes import Lanes
from rota.gatekeeper.lookout import Lookout
from rota.gatekeeper.messages import ClientSpec
from rota.gatekeeper.turns import Turns
from rota.scheduling.terms import Why


class Members:
    """The clients of one node, and their processes.

    Args:
        turns: as they stand.
        lookout: looks at who is there.
        journal: names the closed gates.
        lanes: in which the calls to gates are made.
        demand: makes what reads the demand of a process.

    Attributes:
        leaving: gates that are nobody's any more and are being opened.
    """

    def __init__(
        self, turns: Turns, lookout: Lookout, journal: Journal, lanes: Lanes, demand: MakeDemand
    ) -> None:
        self.leaving: dict[Process, Gate] = {}
        self._turns, self._lookout, self._paging = turns, lookout, turns.paging
        self._groups, self._ensemble = turns.groups, turns.ensemble
        self._journal, self._lanes, self._demand = journal, lanes, demand

    def tell(
        self, clients: Collection[ClientSpec], now: float, without: Collection[Process]
    ) -> None:
        """Take over who is there; gates in `without` are not ours yet."""
        told = {spec.id: spec for spec in clients}
        for client in [client for client in self._groups if client not in told]:
            self._remove(client, now)
        for client, spec in told.items():
            group = self._groups.setdefault(client, Group(spec))
            if group.spec.shares.keys() != spec.shares.keys():
                self._leave(client, now, Why.EXITED)
            group.spec = spec
            self._lookout.meet(client)
            self._meet(group, spec.processes - set(without))
            if client in self._ensemble.clients:
                self._ensemble.set_shares(client, spec.shares, now)

    def enrol(self, now: float) -> None:
        """Who has a process that can be gated is in the rota, nobody else."""
        if not self._turns.changed:
            return
        self._turns.news = True
        for client, group in self._groups.items():
            stays_open = group.ungated or group.spec.ungated or group.spec.ending
            there = client in self._ensemble.clients
            if there and (stays_open or not len(group)):
                self._leave(client, now, Why.FAILED if group.ungated else Why.EXITED)
            elif not there and len(group) and not stays_open:
                self._ensemble.join(client, group.spec.shares, now)
                if group.shut:
                    self._turns.note(self._ensemble.closed(client, now))
        self._turns.changed = False

    def open_the_leaving(self, now: float) -> None:
        """Open the gates of processes that are nobody's any more, and let go of them."""
        for gate in list(self.leaving.values()):
            gate.steer(now, closed=False, timeout=0)
            if gate.paged and not gate.calling:  # it is noted, and ours when it is named again
                del self.leaving[gate.process]
                gate.demand.close()
            elif not gate.closed and not gate.calling:
                del self.leaving[gate.process]
                gate.forget()

    def _meet(self, group: Group, processes: Collection[Process]) -> None:
        if not set(processes) & set(group.processes):
            group.ungated = ""
        for process in set(processes) - set(group.processes):
            gate = self.leaving.pop(process, None)
            if gate is None:
                gate = Gate(process, self._demand(*process), self._lanes, self._journal)
                gate.starting = process in group.spec.starting
                if self._paging:
                    self._paging.adopt(gate)
            group.add(gate)
        for process in set(group.processes) - set(processes):
            if gate := group.remove(process):
                self.leaving[process] = gate

    def _leave(self, client: str, now: float, why: Why) -> None:
        """Out of the rota: its gates are opened."""
        if client in self._ensemble.clients:
            self._turns.note(self._ensemble.leave(client, now, why))
        self._lookout.left(client)
        self._groups[client].open(now)

    def _remove(self, client: str, now: float) -> None:
        """The agent no longer names this client."""
        self._leave(client, now, Why.EXITED)
        group = self._groups.pop(client)
        self._lookout.forget(client)
        self.leaving |= {gate.process: gate for gate in group}
