"""How often the API server may be asked, and how long to leave it alone after a failure.

Five thousand nodes fail together when the server does, and come back together: what each of them
spares it is what brings it up again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

EVERY = 20.0
"""Seconds from question to question in the long run, for each of the two kinds of them (watches
and labels; Events): together one in 10 s."""

BURST = 12
"""Questions that may come at once after a silence: a start needs eight."""

FIRST = 10.0
"""Seconds that a server is left alone after its first failure, at least."""

LONGEST = 120.0
"""The same after many failures, at most doubled by chance."""

LACKING = 600.0
"""Seconds after which a right that was missing is tried again."""


class Pace:
    """Lets questions through: a few at once, and then one in so many seconds."""

    def __init__(
        self,
        every: float = EVERY,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every = every
        self._burst = burst
        self._clock = clock
        self._due = float("-inf")

    def delay(self) -> float:
        """Take the next place in line; seconds until it is due."""
        now = self._clock()
        self._due = max(self._due, now - self._every * (self._burst - 1))
        wait = max(0.0, self._due - now)
        self._due += self._every
        return wait

    async def wait(self) -> None:
        """Until the next question may be asked."""
        await asyncio.sleep(self.delay())


class Backoff:
    """Longer from failure to failure, and never twice the same."""

    def __init__(
        self, first: float = FIRST, longest: float = LONGEST, chance: random.Random | None = None
    ) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance or random.Random()
        self._failures = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure; `at_least` is what the server asked for."""
        step = min(self._longest, self._first * float(2 ** min(self._failures, 16)))
        self._failures += 1
        return float(max(step, at_least or 0.0) * self._chance.uniform(1.0, 2.0))

    def reset(self) -> None:
        """It works again."""
        self._failures = 0
