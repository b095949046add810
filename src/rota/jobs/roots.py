"""The first process of each job, held by a pidfd: the kernel tells its end, and to the right one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from rota.jobs import pidfd
from rota.jobs.job import Process


class Roots:
    """Those that live. In the event loop.

    Args:
        ended: called when one has ended, or was let go of.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._held: dict[str, int] = {}

    def __contains__(self, job: str) -> bool:
        return job in self._held

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, job: str, root: Process) -> None:
        """Follow the root of a job; one that has ended already is told of at once."""
        descriptor = pidfd.hold(root)
        if descriptor is None:
            self._ended()
        else:
            self._held[job] = descriptor
            asyncio.get_running_loop().add_reader(descriptor, self.let_go, job)

    def let_go(self, job: str) -> None:
        """Its root has ended, or is another job's now: what else there is of it decides."""
        descriptor = self._held.pop(job, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._ended()

    def close(self) -> None:
        """Let go of all of them."""
        for job in list(self._held):
            self.let_go(job)
