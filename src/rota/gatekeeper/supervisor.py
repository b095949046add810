"""The agent's side: keeps a gatekeeper running, tells it the node, and opens all gates if it dies.

A gatekeeper that hangs is killed before it is replaced. Whether it hangs is counted in answers
that failed to come over several rounds of our own loop, not in time: on a machine that is so busy
that we are late ourselves, its answer is there by the time we look.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.errors import RotaError
from rota.gatekeeper.client import Control, NoGatekeeper, no_gatekeeper
from rota.gatekeeper.doors import gate_door, let_go
from rota.gatekeeper.journal import Journal
from rota.gatekeeper.lock import only_gatekeeper
from rota.gatekeeper.messages import Node, node_message, parse_turn
from rota.gatekeeper.paged import PagedJournal
from rota.gatekeeper.rescue import Rescue
from rota.scheduling.log import Turn

BEAT = 0.2
"""Seconds between two beats, and between two looks whether one was answered."""

CALM = 5.0
"""Seconds between two beats while no GPU has more than one client: nobody can be stuck then, since
no gate is closed. That a gatekeeper has ended is known at once in any case, by its connection."""

MISSED = 6
"""Looks in a row without an answer after which the gatekeeper hangs."""

LINGER = 10.0
"""Seconds that a gatekeeper which we started lives on without us."""

FAREWELL = 5.0
"""Seconds that a gatekeeper which has hung up has to end. It opens every gate before that."""

HOMECOMING = 30.0
"""The same while programs are in host memory: they are brought back first."""

_LATER = 0.05
_BACK_OFF = 2.0


class Supervisor:
    """Keeps one gatekeeper.

    Args:
        runtime: the folder shared with it.
        emulated: the folder of an emulated GPU; None for the NVIDIA driver.
        spawn: start it, and end it at `close`. Otherwise somebody else does (its own container).

    Attributes:
        problem: why there is no gatekeeper now; empty while one answers.
        starts: how often one was started or found, so far.
    """

    def __init__(self, runtime: Path, *, emulated: Path | None = None, spawn: bool = True) -> None:
        self.problem = "not started"
        self.starts = 0
        self._runtime, self._emulated, self._spawn = runtime, emulated, spawn
        self._gates = gate_door(emulated)
        self._paged = PagedJournal(runtime)
        self._rescue = Rescue(Journal(runtime), self._gates, self._paged)
        self._node = Node()
        self._control: Control | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._changed = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The gatekeeper's process, while one answers."""
        return self._control.pid if self._control else None

    def tell(self, node: Node) -> None:
        """This is the node from now on; it reaches the gatekeeper at once, and each new one."""
        self._node = node
        self._changed.set()

    async def state(self) -> dict[str, Any]:
        """How everybody fares, as `rota.gatekeeper.state` describes it. NoGatekeeper if none is."""
        return await self._reached().ask({"op": "state"})

    async def page(self, client: str, *, out: bool) -> None:
        """Bring a client to host memory, or back; what comes of it is in the state.

        Raises:
            NoGatekeeper: there is none.
            MessageError: it cannot be, and why.
        """
        await self._reached().ask({"op": "page", "client": client, "out": out})

    async def turns(self, since: int) -> tuple[int, list[Turn]]:
        """A page of the turn log, and the number to go on with. NoGatekeeper if none is."""
        answer = await self._reached().ask({"op": "turns", "since": since})
        return answer["next"], [parse_turn(raw) for raw in answer["turns"]]

    async def run(self) -> None:
        """Keep a gatekeeper until cancelled; then end it, with every gate open."""
        back_off = _LATER
        try:
            await asyncio.to_thread(self._open_all)  # sooner than a gatekeeper could start
            while True:
                try:
                    self._control = await self._reach()
                    self.starts, self.problem = self.starts + 1, ""
                    back_off = _LATER
                    await self._serve(self._control)
                except RotaError as error:
                    self.problem = str(error)
                await self._bury()
                await asyncio.sleep(back_off)
                back_off = min(_BACK_OFF, back_off * 2)
        finally:
            await self._end()

    def _reached(self) -> Control:
        if self._control is None:
            raise no_gatekeeper(self._runtime)
        return self._control

    async def _reach(self) -> Control:
        """Connect, and start it first if that is ours to do and nobody is there."""
        with suppress(NoGatekeeper):
            return await self._connect()
        if not self._spawn:
            raise no_gatekeeper(self._runtime)
        self._child = self._start()
        while self._child.poll() is None:
            with suppress(NoGatekeeper):
                return await self._connect()
            await asyncio.sleep(_LATER)
        raise NoGatekeeper("the gatekeeper ended at once", where=str(self._runtime))

    async def _connect(self) -> Control:
        return await Control.connect(self._runtime, self._changed.set)

    def _start(self) -> subprocess.Popen[bytes]:
        emulated = ["--emulated", str(self._emulated)] if self._emulated else []
        where = ["--runtime", str(self._runtime), "--linger", str(LINGER)]
        return subprocess.Popen(
            [sys.executable, "-m", "rota.gatekeeper", *where, *emulated],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _serve(self, control: Control) -> None:
        """Tell the node whenever it changes, and beat. Returns when the gatekeeper is no more."""
        self._changed.set()
        while True:
            told = self._changed.is_set()
            self._changed.clear()
            message = node_message(self._node) if told else {"op": "beat"}
            if not await _answered(control.ask(message)):
                raise NoGatekeeper("the gatekeeper hangs", where=str(self._runtime))
            with suppress(TimeoutError):
                rest = BEAT if self._node.contended else CALM
                async with asyncio.timeout(rest):  # wait_for may lose a cancellation (Python 3.11)
                    await self._changed.wait()

    async def _bury(self) -> None:
        """Wait for its end if it has hung up, kill it if it hangs, and open every gate."""
        control, self._control = self._control, None
        if control:
            await asyncio.to_thread(control.see_off, self._patience() if control.gone else 0.0)
            control.close()
        await asyncio.to_thread(self._bury_child)
        await asyncio.to_thread(self._open_all)

    def _bury_child(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()
            child.wait()

    def _patience(self) -> float:
        """How long it may take over its end: it brings back who is in host memory before."""
        try:
            return HOMECOMING if self._paged.read() else FAREWELL
        except RotaError:
            return FAREWELL

    def _open_all(self) -> None:
        """Open what the journal names, unless a new gatekeeper is there to do so itself."""
        with suppress(RotaError), only_gatekeeper(self._runtime):
            self._rescue.run()

    async def _end(self) -> None:
        """End the gatekeeper if it is ours; else only hang up, which makes it open every gate."""
        control, self._control = self._control, None
        self.problem = "ended"
        if control:
            if self._spawn:
                control.signal(signal.SIGTERM)
            control.close()
        await asyncio.shield(asyncio.to_thread(self._see_it_off))

    def _see_it_off(self) -> None:
        child, self._child = self._child, None
        if child:
            child.terminate()  # also one that nobody has reached yet
            try:
                child.wait(self._patience())
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._spawn:
            self._open_all()
        let_go(self._gates)


async def _answered(asking: Coroutine[Any, Any, dict[str, Any]]) -> bool:
    """Wait for an answer, for a number of rounds of our own loop. Errors as the answer's."""
    answer = asyncio.ensure_future(asking)
    try:
        for _ in range(MISSED):
            await asyncio.wait({answer}, timeout=BEAT)
            if answer.done():
                answer.result()
                return True
        return False
    finally:
        if not answer.done():
            answer.cancel()
            await asyncio.wait({answer})
