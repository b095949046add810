"""Does this process want the GPU now? Read from outside, without a shim in it.

A process whose gate is closed and that wants the GPU has a thread that waits for the read side of
the driver's rwlock, or for one of the mutexes that the driver holds while the gate is closed (seen
where a program loads its kernels, makes a stream, or begins). Which of a program's locks are the
driver's is learned: only there does nobody stay waiting while the gate is open. A process whose
gate is open wants the GPU as long as one of its CUDA threads runs or waits for the device; which of
its threads are CUDA threads is learned too: those that were seen at the gate.

A server that waits for requests in epoll or poll is idle, open or closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rota.gpu.threads import Doing, Threads

HOT = 16
"""CUDA threads that one look includes at most, the last seen at the gate first."""

REST = 4
"""Other threads that one look includes in rotation, besides a sixteenth of them all."""

SELDOM = 4
"""Of so many looks one is thorough: it notices new threads, and includes some of all others."""

NEW = 32
"""Threads never looked at yet that one look includes."""

STALE = 60.0
"""Seconds after which a thread no longer seen at the gate, while others are, is no CUDA thread."""

FOREIGN = 10.0
"""Seconds for which a lock that was waited for while the gate was open counts as the program's own.

Not for ever: somebody else may have closed the gate while we took it for open."""

BELIEVED = 0.25
"""Seconds after the closing for which that is believed: should the lock be the driver's after all,
its client waits no longer than that."""

LET_IN = 0.03
"""Seconds that a thread may still be seen waiting at the gate after it was opened.

Seen on the driver and on the emulation: the opening returns before the last waiter has woken up."""


class ProcessDemand:
    """The demand of one process.

    `wants` is for the time when its gate is closed, `asleep` for when it is open: both learn from
    what they see, so call neither at the wrong time. A process that has ended wants nothing.

    Args:
        pid: the process.
        started: its start time, as `rota.gpu.processes.started` tells it.
        clock: seconds, monotonic.
    """

    def __init__(self, pid: int, started: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = Threads(pid, started)
        self._clock = clock
        self._count = -1
        self._all: list[int] = []
        self._new: list[int] = []
        self._hot: dict[int, float] = {}
        self._turn = 0
        self._looks = 0
        self._foreign: dict[bytes, float] = {}
        self._still_waits: dict[bytes, float] = {}
        self._mutexes: dict[int, tuple[bytes, int]] = {}
        self._open = False
        self._closed = 0.0

    @property
    def ended(self) -> bool:
        """The process is no more."""
        return self._threads.ended

    def readable(self) -> bool:
        """Its threads can be read; false where /proc is shut (hidepid, Yama, no CAP_SYS_PTRACE)."""
        threads = self._threads
        if not threads.ended and (threads.denied or threads.unread):
            threads.denied = False
            threads.doing(threads.pid)
        return not threads.denied

    def wants(self) -> bool:
        """Its gate is closed: does a thread wait there?"""
        if self._open:
            self._open, self._closed = False, self._clock()
            self._still_waits.clear()
            self._mutexes.clear()
        thorough = self._is_thorough()
        found = any(self._waits(tid) for tid in self._first())
        if not (found or thorough):
            return False
        for tid in self._rotation():
            found |= self._waits(tid)
        return found

    def asleep(self) -> bool:
        """Its gate is open: do all its CUDA threads sleep?

        Until a thread has been seen at the gate, any thread may be a CUDA thread.
        """
        self._open = True
        self._is_thorough()
        waited: set[bytes] = set()
        for tid in list(self._hot or self._all):
            doing, address = self._look(tid)
            if doing is Doing.BUSY:
                return False
            if doing in (Doing.RDLOCK, Doing.MUTEX):
                waited.add(address)
        return not self._just_opened(waited)

    def at_rest(self) -> bool:
        """Its gate is closed: none of its CUDA threads runs, whatever it is that they wait for."""
        return all(self._look(tid)[0] is not Doing.BUSY for tid in list(self._hot or self._all))

    def close(self) -> None:
        """Give all descriptors back. Twice is once."""
        self._threads.close()

    def _first(self) -> Iterator[int]:
        """Whom to look at first: CUDA threads (the first thread, until one is known), then newcomers."""
        yield from list(self._hot)[:HOT] or [self._threads.pid]
        for _ in range(min(NEW, len(self._new))):
            yield self._new.pop(0)

    def _rotation(self) -> Iterator[int]:
        """A few of all threads, others each time."""
        for _ in range(min(len(self._all), REST + len(self._all) // 16)):
            self._turn = (self._turn + 1) % len(self._all)
            yield self._all[self._turn]

    def _waits(self, tid: int) -> bool:
        doing, address = self._look(tid)
        stays = doing is Doing.MUTEX and self._stays(tid, address)
        if not (doing is Doing.RDLOCK or stays) or self._is_foreign(address):
            return False
        self._at_gate(tid)
        return True

    def _stays(self, tid: int, mutex: bytes) -> bool:
        """It waited for that mutex at an earlier look too: most mutexes are held for a moment only."""
        known, look = self._mutexes.get(tid, (b"", 0))
        if known != mutex:
            self._mutexes[tid] = mutex, self._looks
        return known == mutex and look != self._looks

    def _look(self, tid: int) -> tuple[Doing, bytes]:
        doing, address = self._threads.doing(tid)
        if doing is Doing.GONE:
            self._looks = 0
        return doing, address

    def _is_thorough(self) -> bool:
        """Whether this look is one of the few, or a thread has ended: then see who is there."""
        thorough = self._looks % SELDOM == 0
        self._looks += 1
        if thorough:
            self._refresh()
        return thorough

    def _refresh(self) -> None:
        """Notice threads that came or went; one stat when none did."""
        count = self._threads.count()
        if count == self._count:
            return
        main = self._threads.pid
        ids = sorted(self._threads.ids(), key=lambda tid: (tid != main, tid))
        self._count = len(ids)
        known = set(self._all)
        self._new = [tid for tid in ids if tid not in known or tid in self._new]
        self._all = ids
        self._hot = {tid: seen for tid, seen in self._hot.items() if tid in ids}

    def _at_gate(self, tid: int) -> None:
        """It is a CUDA thread: look at it first from now on."""
        now = self._clock()
        if next(iter(self._hot), None) == tid:
            self._hot[tid] = now
            return
        fresh = {other: seen for other, seen in self._hot.items() if now - seen < STALE}
        fresh.pop(tid, None)
        self._hot = {tid: now, **fresh}

    def _is_foreign(self, address: bytes) -> bool:
        until = self._foreign.get(address)
        if until is None:
            return False
        now = self._clock()
        if now >= until:
            del self._foreign[address]
            return False
        return now - self._closed < BELIEVED

    def _just_opened(self, waited: set[bytes]) -> bool:
        """Somebody waits for a lock though the gate is open: just let in, or the lock is not ours."""
        just = False
        for address in waited:
            now = self._clock()
            if now - self._still_waits.setdefault(address, now) > LET_IN:
                self._foreign[address] = now + FOREIGN
            else:
                just = True
        return just
