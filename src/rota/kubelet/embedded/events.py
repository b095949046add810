"""What happened, and a bell that wakes those who wait for it. No polling anywhere else."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from rota.errors import KubeletError

T = TypeVar("T")

KEPT = 1000
"""So many events are remembered."""

RECHECK = 0.2
"""Seconds. What a container writes or a file that appears rings no bell; who waits for such a
thing is asked again this often."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: monotonic seconds.
        level: Normal or Warning.
        reason: one word, such as Scheduled, Started, Registered.
        about: `namespace/pod`, a resource name, or the node.
        message: one sentence.
    """

    at: float
    level: Literal["Normal", "Warning"]
    reason: str
    about: str
    message: str

    def __str__(self) -> str:
        return f"{self.level} {self.reason} {self.about}: {self.message}"


class Journal:
    """Keeps the last events, and rings when anything changes."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._waiting: set[asyncio.Future[None]] = set()
        self.rings = 0

    @property
    def events(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        return tuple(self._events)

    def note(self, reason: str, about: str, message: str) -> None:
        """Something happened as it should."""
        self._events.append(Event(time.monotonic(), "Normal", reason, about, message))
        self.ring()

    def warn(self, reason: str, about: str, message: str) -> None:
        """Something went wrong."""
        self._events.append(Event(time.monotonic(), "Warning", reason, about, message))
        self.ring()

    def ring(self) -> None:
        """Wake all who wait. `rings` counts, for those who were busy when it rang."""
        self.rings += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self, within: float | None = None) -> bool:
        """Wait for the next ring; False when `within` seconds passed without one."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait_for(future, within)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True

    async def until(self, predicate: Callable[[], T], within: float) -> T:
        """Wait until the predicate gives something true, and return it.

        Raises:
            KubeletError: it did not within so many seconds; the last events are in the hint.
        """
        deadline = time.monotonic() + within
        while not (result := predicate()):
            left = deadline - time.monotonic()
            if left <= 0:
                last = "; ".join(str(event) for event in list(self._events)[-5:])
                raise KubeletError(f"nothing of the kind within {within:g} s", hint=last)
            await self.changed(min(left, RECHECK))
        return result
