"""The gatekeeper as a process: one loop, and every way in which it can end.

However it ends, every gate is opened: at SIGTERM and at an exception by itself, at a kill by the
agent, and when both are killed by whoever starts next.
"""

from __future__ import annotations

import gc
import resource
import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.gatekeeper.ballast import OpenDoors
from rota.gatekeeper.conductor import Conductor
from rota.gatekeeper.gate import MakeDemand
from rota.gatekeeper.host import Host
from rota.gatekeeper.journal import Journal, Process
from rota.gatekeeper.lanes import Lanes
from rota.gatekeeper.lock import only_gatekeeper
from rota.gatekeeper.memory import Memory
from rota.gatekeeper.messages import PAGE, MessageError, Node, parse_node, turn_message
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.paging import Paging
from rota.gatekeeper.rescue import Rescue
from rota.gatekeeper.rooms import Rooms
from rota.gatekeeper.server import Peer, Server
from rota.gatekeeper.state import describe
from rota.gatekeeper.waker import Waker, signals
from rota.gpu.demand import ProcessDemand
from rota.gpu.doors import GateDoor

SILENCE = 1.2
"""Seconds without a word from the agent after which every gate is opened. Where no GPU has more
than one client no gate is closed, and the agent need not say that it is there."""

FAREWELL = 1.5
"""Seconds that opening all gates may take at the end."""

HOME = 20.0
"""Seconds before that in which clients are brought back from host memory: a Pod has 30 to end."""

HOPE = 1.0
"""Seconds without anybody on its way after which there is no room for the rest."""

ORPHANED = 10.0
"""Seconds without an agent after which clients are brought back: nobody may come who would do it."""

MISSED = 1.0
"""The same for those who wait for the GPU meanwhile, and between two tries."""

NO_AGENT = "no agent has told what to do"
LOST_AGENT = "the agent does not answer"
DRIVER_MODE = "mode: driver"


class Gatekeeper:
    """The loop. Owns the gates of one node.

    Args:
        runtime: the folder that it shares with the agent.
        gates: the door.
        linger: seconds without an agent after which it ends; None: never.
        demand: makes what reads the demand of a process.
        memory: opens what holds memory and reads the GPUs; None: no limit is held or looked at.
    """

    def __init__(
        self,
        runtime: Path,
        gates: GateDoor,
        linger: float | None = None,
        demand: MakeDemand = ProcessDemand,
        memory: OpenDoors | None = None,
    ) -> None:
        self._journal, paged = Journal(runtime), PagedJournal(runtime)
        self._rescue = Rescue(self._journal, gates, paged)
        self._left: list[Process] = self._rescue.run()
        self._selector = selectors.DefaultSelector()
        self._waker = Waker(self._selector)
        self._lanes = Lanes(gates, self._waker.wake)
        self._memory = Memory(memory, self._waker.wake) if memory else None
        self._paging = _paging(paged, self._memory, self._waker.wake)
        self._conductor = Conductor(self._journal, self._lanes, demand, self._memory, self._paging)
        self._conductor.turn_off(NO_AGENT, time.monotonic())
        self._server = Server(runtime, self._selector, self._answer, self._gone)
        self._agent: Peer | None = None
        self._heard = time.monotonic()
        self._linger = linger
        self._node = Node()
        self._ending = False
        self._rescued = self._orphaned = self._looked_out = 0.0

    def run(self) -> None:
        """Run the turns until SIGTERM or SIGINT; then every gate is open."""
        with signals(self._end, self._waker):
            try:
                while not self._ending:
                    self._turn()
            finally:
                self._farewell()

    def _turn(self) -> None:
        """One round: what came in, what there is to do, and rest."""
        now = time.monotonic()
        self._mind_agent(now)
        self._mind_rescue(now)
        self._mind_orphans(now)
        rest = self._conductor.step(now)
        self._dispatch(rest)

    def _dispatch(self, rest: float) -> None:
        for key, mask in self._selector.select(rest):
            key.data(mask)

    def _end(self) -> None:
        self._ending = True

    def _farewell(self) -> None:
        """Open every gate, by the ordinary way or, should that fail, by the journal alone."""
        with suppress(RotaError):
            self._bring_home(everybody=True)
        deadline = time.monotonic() + FAREWELL
        try:
            self._conductor.turn_off("the gatekeeper ends", time.monotonic())
            while not self._conductor.all_open and time.monotonic() < deadline:
                self._conductor.step(time.monotonic())
                self._selector.select(0.005)
                self._waker.clear()
        finally:
            self._rescue.run(FAREWELL)
            if self._memory:
                self._memory.close(FAREWELL)
            self._server.close()

    def _bring_home(self, *, everybody: bool) -> None:
        """Bring back who is in host memory, as far as there is room: nobody else may come to do it.

        Else those only who want the GPU.
        """
        paging, begun = self._paging, time.monotonic()
        if paging is None or not paging.any_out:
            return
        hopeful, paging.homing, paging.alone = begun, everybody, True
        if self._conductor.off:
            self._conductor.turn_on(begun)
        while paging.any_out and (self._ending or not self._agent):
            now = time.monotonic()
            hopeful = now if paging.moving else hopeful
            if now - begun > HOME or now - hopeful > HOPE:
                break
            self._dispatch(min(0.05, self._conductor.step(now)))
        paging.homing = paging.alone = False

    def _mind_orphans(self, now: float) -> None:
        """Nobody has come for long: then nobody may wait in host memory for a turn."""
        paging, alone = self._paging, now - self._heard
        lost = not self._agent and self._conductor.off == LOST_AGENT
        if not lost or not paging or not paging.any_out:
            return
        everybody = alone > ORPHANED and now - self._orphaned > ORPHANED
        missed = min(alone, now - self._looked_out) > MISSED and paging.is_missed(self._conductor)
        if not everybody and not missed:
            return
        self._bring_home(everybody=everybody)
        self._looked_out = time.monotonic()
        if everybody:
            self._orphaned = self._looked_out
        if not self._agent:
            self._conductor.turn_off(LOST_AGENT, self._looked_out)

    def _mind_agent(self, now: float) -> None:
        """Whoever dies, the survivor opens every gate at once."""
        if self._agent and now - self._heard > SILENCE and self._node.contended:
            self._conductor.turn_off(LOST_AGENT, now)
            self._agent = None
        if not self._agent and self._linger and now - self._heard > self._linger:
            self._ending = True

    def _mind_rescue(self, now: float) -> None:
        """Programs that were stopped when we came: their gates become ours once they are open."""
        if self._left and now - self._rescued > 0.5:
            self._rescued = now
            self._left = self._rescue.run(0.0, without=self._known())
            self._conductor.tell(self._node, now, self._left)

    def _known(self) -> set[Process]:
        groups = self._conductor.groups.values()
        return {process for group in groups for process in group.processes}

    def _answer(self, peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        op = message.get("op")
        if op == "node":
            self._hear(peer, now, parse_node(message))
            return {}
        if op == "beat":
            self._hear(peer, now, None)
            return {}
        if op == "state":
            return describe(self._conductor, now)
        if op == "turns":
            return self._turns(message)
        if op == "page":
            return self._page(message)
        raise MessageError(f"no such request: {op!r}")

    def _page(self, message: dict[str, Any]) -> dict[str, Any]:
        client, out = message.get("client"), message.get("out")
        if not isinstance(client, str) or not isinstance(out, bool):
            raise MessageError("`client` is the id of one, `out` true or false")
        if self._paging is None or self._conductor.off:
            raise MessageError(f"nobody is paged now: {self._conductor.off or 'no memory is read'}")
        self._paging.page(client, self._conductor, out=out)
        return {}

    def _hear(self, peer: Peer, now: float, node: Node | None) -> None:
        """The agent speaks: turns are on, if it wants them."""
        self._agent, self._heard = peer, now
        if node:
            self._node = node
            self._conductor.tell(node, now, self._left)
        driver = self._node.settings.mode == "driver"
        if self._paging:
            self._paging.homing = driver and self._paging.any_out
        if driver and not (self._paging and self._paging.homing):
            if self._conductor.off != DRIVER_MODE:
                self._conductor.turn_off(DRIVER_MODE, now)
        elif self._conductor.off in (NO_AGENT, LOST_AGENT, DRIVER_MODE) and self._node.wanted:
            self._conductor.turn_on(now)

    def _gone(self, peer: Peer) -> None:
        if peer is self._agent:
            self._agent, self._heard = None, time.monotonic()
            if not self._ending:  # then clients are being brought back, and all is opened after
                self._conductor.turn_off(LOST_AGENT, self._heard)

    def _turns(self, message: dict[str, Any]) -> dict[str, Any]:
        since = message.get("since", 0)
        if not isinstance(since, int):
            raise MessageError("`since` is the number of a turn")
        first, turns = self._conductor.log.since(since)
        page = turns[:PAGE]
        return {
            "first": first,
            "next": first + len(page),
            "turns": [turn_message(turn) for turn in page],
        }


def run(
    runtime: Path,
    gates: GateDoor,
    linger: float | None = None,
    memory: OpenDoors | None = None,
) -> None:
    """Be the gatekeeper of that runtime folder until SIGTERM or SIGINT; see `Gatekeeper`.

    Raises:
        RotaError: another gatekeeper is there already, or the folder cannot be used.
    """
    with only_gatekeeper(runtime):
        _raise_limits()
        gatekeeper = Gatekeeper(runtime, gates, linger, memory=memory)
        gc.collect()
        gc.freeze()
        gatekeeper.run()


def _paging(
    journal: PagedJournal, memory: Memory | None, wake: Callable[[], None]
) -> Paging | None:
    return Paging(journal, memory, Rooms(Host(), wake)) if memory else None


def _raise_limits() -> None:
    """A descriptor per thread that is watched: as many as we may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
