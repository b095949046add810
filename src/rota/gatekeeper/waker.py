"""What ends the rest of the gatekeeper's loop: a word from another thread, and the signals to end."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Waker:
    """Wakes the selector from another thread, or from a signal."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._inner, self.outer = socket.socketpair()
        self._inner.setblocking(False)
        self.outer.setblocking(False)
        selector.register(self._inner, selectors.EVENT_READ, self.clear)

    def wake(self) -> None:
        """The selector returns, now or at once when it is next asked."""
        with suppress(BlockingIOError):
            self.outer.send(b"\0")

    def clear(self, _: int = 0) -> None:
        """It has returned."""
        with suppress(BlockingIOError):
            self._inner.recv(4096)


@contextmanager
def signals(end: Callable[[], None], waker: Waker) -> Iterator[None]:
    """SIGTERM and SIGINT end the loop, also while it rests."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: end()) for number in numbers]
    descriptor = signal.set_wakeup_fd(waker.outer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
