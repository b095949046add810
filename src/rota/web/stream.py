"""The stream: server-sent events, a snapshot each second and turns as they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from rota.figures.wire import to_json
from rota.web.source import Source

STEP = 0.2
"""Seconds between looks for turns that have ended."""

EVERY = 5
"""Steps between two snapshots."""

PAST = 10.0
"""Seconds of turns that a new viewer is told first."""

RETRY = b"retry: 2000\n\n"


async def events(
    source: Source, since: int | None, *, commands: bool, end: asyncio.Event
) -> AsyncIterator[bytes]:
    """What one viewer is sent, until the agent ends.

    Args:
        source: what is served.
        since: the number of the first turn that the viewer lacks; None for a new one.
        commands: command lines may be shown.
        end: set when the agent ends.
    """
    source.figures.viewers += 1
    try:
        yield RETRY
        number = source.figures.number_at(time.time() - PAST) if since is None else since
        step = 0
        while not end.is_set():
            if step % EVERY == 0:
                yield _event("state", await source.state(commands=commands, age=STEP))
            page = await source.turns(number)
            while page.turns:
                number = page.next
                yield _event("turns", to_json(page), number)
                page = source.figures.turns(number)
            number = min(number, page.next)  # of an agent before this one
            step += 1
            await _rest(end)
    finally:
        source.figures.viewers -= 1


async def _rest(end: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(STEP):
            await end.wait()
    except TimeoutError:
        return


def _event(name: str, data: bytes, number: int | None = None) -> bytes:
    id_ = f"id: {number}\n".encode() if number is not None else b""
    return b"event: " + name.encode() + b"\n" + id_ + b"data: " + data + b"\n\n"
