"""How one emulated GPU spends its time: pure, the clock is passed in.

A real GPU runs the kernels of one process at a time, in slices of about 2 ms, round robin over the
processes that have work queued, and loses a little at each change of process. Nothing here wakes up
for a slice: the timeline is advanced to the present whenever somebody asks, and says when the next
kernel will end, so that an engine sleeps in between however many processes share the GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

SLICE = 0.002
"""Seconds that a process holds the GPU while another has work queued."""

SWITCH = 0.00006
"""Seconds that a change of process costs: with it, two saturating processes reach 0.97 of solo
speed in total, which is what the driver's own slicing was measured at."""

_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Kernel:
    ticket: int
    left: int


@dataclass(frozen=True, slots=True)
class Done:
    """A kernel that ended.

    Attributes:
        owner: who queued it.
        ticket: its number, as given to `submit`.
        at: when it ended, on the clock that the timeline is advanced by.
    """

    owner: int
    ticket: int
    at: float


class Timeline:
    """The queue of every process on one GPU, and what each of them was served.

    Inside, time is whole nanoseconds, so that what is foretold is exactly what comes.
    """

    def __init__(self, now: float, slice_: float = SLICE, switch: float = SWITCH) -> None:
        self._slice = _whole(slice_)
        self._switch = _whole(switch)
        self._time = _whole(now)
        self._queues: dict[int, deque[_Kernel]] = {}
        self._order: deque[int] = deque()
        self._ran_last: int | None = None
        self._slice_left = self._slice
        self._switch_left = 0
        self._busy: deque[tuple[int, int]] = deque()
        self._served: dict[int, int] = {}

    def served(self, owner: int) -> float:
        """Seconds in which the owner's kernels ran."""
        return self._served.get(owner, 0) / _SECOND

    def submit(self, owner: int, ticket: int, seconds: float, now: float) -> list[Done]:
        """Queue a kernel of that length behind the owner's others; what ended until now."""
        done = self.advance(now)
        queue = self._queues.setdefault(owner, deque())
        queue.append(_Kernel(ticket, max(_whole(seconds), 0)))
        if len(queue) == 1:
            self._order.append(owner)
            if len(self._order) == 1:
                self._begin()
            elif len(self._order) == 2:
                self._slice_left = self._slice
        return done

    def remove(self, owner: int, now: float) -> list[Done]:
        """Drop all that the owner queued and was served; what ended until now, its own included."""
        done = self.advance(now)
        if self._queues.pop(owner, None):
            was_running = self._order[0] == owner
            self._order.remove(owner)
            if was_running and self._order:
                self._begin()
        if self._ran_last == owner:
            self._ran_last = None
        self._served.pop(owner, None)
        return done

    def advance(self, now: float) -> list[Done]:
        """Let the time until `now` pass; the kernels that ended in it, in order."""
        until = _whole(now)
        done = list(self._run(until))
        self._time = max(self._time, until)
        return done

    def next_end(self) -> float | None:
        """When the next kernel ends if nothing is queued or removed before; None when idle."""
        if not self._order:
            return None
        left = [self._queues[owner][0].left for owner in self._order]
        at = self._time + self._switch_left
        if len(left) == 1 or left[0] <= self._slice_left:
            return (at + left[0]) / _SECOND
        left = [*left[1:], left[0] - self._slice_left]
        return (at + self._slice_left + self._until_end(left)) / _SECOND

    def busy(self, window: float) -> float:
        """The part of the last `window` seconds in which a kernel ran, 0 to 1."""
        span = _whole(window)
        start = self._time - span
        while self._busy and self._busy[0][1] <= start:
            self._busy.popleft()
        return min(1.0, sum(end - max(begin, start) for begin, end in self._busy) / span)

    def _until_end(self, left: list[int]) -> int:
        """From the start of a change to the first process until the first of them ends."""
        rounds = [max(1, -(-each // self._slice)) for each in left]
        full = min(rounds) - 1
        first = rounds.index(full + 1)
        a_slice = self._slice + self._switch
        last = left[first] - full * self._slice
        return (full * len(left) + first) * a_slice + self._switch + last

    def _run(self, until: int) -> Iterator[Done]:
        while self._order and self._time < until:
            if not self._pay_switch(until):
                return
            owner = self._order[0]
            kernel = self._queues[owner][0]
            limit = kernel.left if len(self._order) == 1 else self._slice_left
            self._serve(owner, kernel, min(kernel.left, limit, until - self._time))
            if kernel.left == 0:
                yield Done(owner, kernel.ticket, self._time / _SECOND)
                self._ended(owner)
            elif len(self._order) > 1 and self._slice_left == 0:
                self._order.rotate(-1)
                self._begin()

    def _pay_switch(self, until: int) -> bool:
        paid = min(self._switch_left, until - self._time)
        self._switch_left -= paid
        self._time += paid
        return self._switch_left == 0

    def _serve(self, owner: int, kernel: _Kernel, span: int) -> None:
        kernel.left -= span
        self._slice_left -= span
        if self._busy and self._time - self._busy[-1][1] < 2 * self._switch:
            self._busy[-1] = (self._busy[-1][0], self._time + span)
        else:
            self._busy.append((self._time, self._time + span))
        self._time += span
        self._served[owner] = self._served.get(owner, 0) + span

    def _ended(self, owner: int) -> None:
        queue = self._queues[owner]
        queue.popleft()
        if queue:
            return
        del self._queues[owner]
        self._order.popleft()
        if self._order:
            self._begin()

    def _begin(self) -> None:
        owner = self._order[0]
        self._slice_left = self._slice
        self._switch_left = 0 if self._ran_last in (None, owner) else self._switch
        self._ran_last = owner


def _whole(seconds: float) -> int:
    return round(seconds * _SECOND)
