"""The stream, read as `rota top` and a browser read it; and readers who misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rota.clients.picture import Picture
from rota.figures.model import Snapshot, TurnPage
from rota.figures.reader import NoAgent, Reader
from rota.figures.wire import FiguresError
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why
from rota.web import protocol
from tests.figures.stand_ins import UUID, pod
from tests.web.conftest import PATIENCE, Site

_END = object()


def turn(number: int) -> Turn:
    return Turn("a", UUID, number + 0.0, number + 0.1, Why.EXPIRED, 0.0, 0.0, 0.1)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


async def following(events: Iterator[Any], kind: type) -> Any:
    """The next event of that kind."""
    while True:
        event = await asyncio.to_thread(next, events, _END)
        assert event is not _END
        if isinstance(event, kind):
            return event


async def test_a_reader_over_the_socket_gets_state_and_turns_as_they_end(site: Site) -> None:
    reader = Reader(site.open_here())
    site.node.picture = Picture((pod("a", 7),))
    assert (await asyncio.to_thread(reader.state)).node == "here"
    events = reader.follow(0)
    first = await following(events, Snapshot)
    assert first.own.viewers in (0, 1)
    site.node.log.append(turn(0))
    page = await following(events, TurnPage)
    assert [each.number for each in page.turns] == [0]
    site.node.log += [turn(1), turn(2)]
    seen = await following(events, TurnPage)
    while seen.next < 3:
        seen = await following(events, TurnPage)
    assert (await following(events, Snapshot)).at > first.at
    assert site.collector.viewers == 1
    await asyncio.to_thread(events.close)  # type: ignore[attr-defined]
    await until(lambda: site.collector.viewers == 0)


async def test_who_comes_back_goes_on_where_it_was(site: Site) -> None:
    reader = Reader(f"http://127.0.0.1:{site.open()}")
    site.node.log = [turn(n) for n in range(5)]
    events = reader.follow(3)
    page = await following(events, TurnPage)
    assert [each.number for each in page.turns] == [3, 4]
    await asyncio.to_thread(events.close)  # type: ignore[attr-defined]


async def test_the_stream_ends_with_the_server(site: Site) -> None:
    reader = Reader(f"http://127.0.0.1:{site.open()}")
    events = reader.follow()
    await following(events, Snapshot)
    closing = asyncio.create_task(site.close())
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(next, events, _END) is not _END:
            pass
    await closing


async def test_nobody_there_is_told_with_what_to_do(site: Site) -> None:
    with pytest.raises(NoAgent, match="no agent answers"):
        await asyncio.to_thread(Reader(site.folder).state)
    with pytest.raises(NoAgent) as error:
        await asyncio.to_thread(Reader("http://127.0.0.1:1").state)
    assert "--listen" in error.value.hint


async def test_a_refusal_is_no_snapshot(site: Site) -> None:
    site.open()
    with pytest.raises(FiguresError, match="404"):
        await asyncio.to_thread(Reader(f"http://127.0.0.1:{site.port}")._get, "/nothing")


async def test_a_silent_connection_holds_nobody_up_and_is_cut_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SILENT", 0.3)
    site.open()
    with socket.create_connection(("127.0.0.1", site.port)) as silent:
        silent.settimeout(PATIENCE)
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: localh")
        assert (await site.get("/healthz")).status == 200
        assert await asyncio.to_thread(_ended, silent)


async def test_a_reader_that_does_not_read_is_cut_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SLOW", 0.3)
    site.node.picture = Picture(tuple(pod(f"pod-{n}", n) for n in range(2000, 3000)))
    site.open()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(PATIENCE)
        await asyncio.to_thread(lazy.connect, ("127.0.0.1", site.port))
        lazy.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: site.collector.viewers == 1)
        await until(lambda: site.collector.viewers == 0)


async def test_beyond_so_many_connections_a_new_one_is_cut_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MOST", 2)
    site.open()
    assert (await site.get("/healthz")).status == 200
    held = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(2)]
    try:
        with socket.create_connection(("127.0.0.1", site.port)) as third:
            third.settimeout(PATIENCE)
            assert await asyncio.to_thread(_ended, third)
    finally:
        for link in held:
            link.close()


def _ended(link: socket.socket) -> bool:
    """The other end cut it off."""
    try:
        return link.recv(1000) == b""
    except ConnectionError:
        return True
