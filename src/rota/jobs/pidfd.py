"""A hold on one process that no reuse of its pid can turn into a hold on another."""

from __future__ import annotations

import os
import select
import signal

from rota.jobs import processes
from rota.jobs.job import Process


def hold(process: Process) -> int | None:
    """A descriptor of that process, readable once it has ended; None if it has. Close it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    if processes.started(process.pid) == process.started and not ended(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def ended(descriptor: int) -> bool:
    """The process that is held has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal; False if this user may not. One that has ended has got it."""
    descriptor = hold(process)
    if descriptor is None:
        return True
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        os.close(descriptor)
    return True
