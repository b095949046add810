"""Keeps watch over the GPUs: errors as they come, and now and then the way back.

Waiting for an error blocks by design, so it has a thread. What an error means is decided in
`gpu.health`, which is pure; here is only the asking.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from rota.agent.logs import Logger
from rota.errors import GpuError
from rota.gpu.doors import InventoryDoor
from rota.gpu.health import Change, HealthTracker

WAIT = 5.0
"""Seconds that one question for an error may wait; an error that comes ends it at once, and so does
the end of the door."""

LOOK = 5.0
"""Seconds between questions whether the driver asks for recovery."""

PAUSE = 5.0
"""Seconds until the driver is asked again after it refused to answer."""

Changed = Callable[[Change], None]


async def watch_errors(
    door: InventoryDoor, tracker: HealthTracker, changed: Changed, log: Logger
) -> None:
    """Tell of every GPU that fails, for ever."""
    silent = False
    while True:
        try:
            event = await asyncio.to_thread(door.wait_event, WAIT)
        except GpuError as error:
            if not silent:
                log.warning("the driver tells no errors now; trying again", reason=str(error))
            silent = True
            await asyncio.sleep(PAUSE)
            continue
        silent = False
        if event is not None:
            log.info("the driver reports an error", gpu=event.gpu, xid=event.xid)
            for change in tracker.event(event, time.monotonic()):
                changed(change)


async def watch_recovery(door: InventoryDoor, tracker: HealthTracker, changed: Changed) -> None:
    """Tell of every GPU that is well again, for ever."""
    while True:
        await asyncio.sleep(LOOK)
        recovery = await asyncio.to_thread(_recovery, door, tracker)
        for change in tracker.tick(time.monotonic(), recovery):
            changed(change)


def _recovery(door: InventoryDoor, tracker: HealthTracker) -> Mapping[str, str]:
    """What the driver asks for, of each GPU that it tells; the others stay as they are."""
    found: dict[str, str] = {}
    for gpu in tracker.watched:
        try:
            found[gpu] = door.needs_recovery(gpu)
        except GpuError:
            continue
    return found
