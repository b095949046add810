"""Ending a job from outside: every process of it, however many it makes meanwhile."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Protocol

from rota.errors import RotaError
from rota.jobs import pidfd
from rota.jobs.job import Process

ROUND = 0.25
"""Seconds between two rounds of SIGKILL."""

ROUNDS = 40


class Stoppable(Protocol):
    """What is asked of a keeper."""

    def ending(self, id_: str) -> asyncio.Event:
        """Say that it is told to stop; set once it has ended."""
        ...

    @property
    def look(self) -> Callable[[str], Awaitable[frozenset[Process]]]:
        """Its processes now."""
        ...


async def stop(keeper: Stoppable, id_: str, grace: float) -> bool:
    """End a job: SIGTERM now, SIGKILL after `grace` seconds; True if it had to be killed.

    A process that was stopped is let go on, since it could not hear otherwise.

    Raises:
        RotaError: there is no such job, or a process of it does not end.
    """
    gone = keeper.ending(id_)
    await _tell(await keeper.look(id_), signal.SIGTERM, signal.SIGCONT)
    if await _within(gone, grace):
        return False
    left: frozenset[Process] = frozenset()
    for _ in range(ROUNDS):
        left = await _tell(await keeper.look(id_), signal.SIGKILL)
        if await _within(gone, ROUND):
            return True
    pids = ", ".join(str(process.pid) for process in sorted(left))
    hint = f"this agent may not signal {pids}" if pids else "the kernel holds them; look at dmesg"
    raise RotaError("processes of this job do not end", where=id_, hint=hint)


async def _tell(to: frozenset[Process], *numbers: signal.Signals) -> frozenset[Process]:
    """Send signals to all of them; those that this user may not signal."""
    return frozenset(
        process for process in to if not all(pidfd.send(process, number) for number in numbers)
    )


async def _within(gone: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(gone.wait(), seconds)
    except TimeoutError:
        return gone.is_set()
    return True
