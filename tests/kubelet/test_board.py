"""Watchers of a listing see the newest one, and every end state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rota.kubelet.board import Board
from rota.kubelet.listing import listing_of

if TYPE_CHECKING:
    from tests.kubelet.conftest import Things


def sizes(things: Things, *counts: int) -> list[Board]:
    return [Board(listing_of(things.shared(count), {}, ())) for count in counts]


async def test_a_watcher_gets_the_list_at_once_and_skips_what_is_no_longer_true(
    things: Things,
) -> None:
    (board,) = sizes(things, 4)
    stream = board.watch(lambda: False)
    assert len((await anext(stream)).devices) == 4
    for count in (5, 6, 7):
        assert board.hang(listing_of(things.shared(count), {}, ()))
    assert len((await anext(stream)).devices) == 7


async def test_the_same_list_again_is_no_news(things: Things) -> None:
    (board,) = sizes(things, 4)
    stream = board.watch(lambda: False)
    await anext(stream)
    assert not board.hang(listing_of(things.shared(4, single=True), {}, ()))
    assert board.listing.resource.single_request
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not following.done()
    board.hang(listing_of(things.shared(1), {}, ()))
    assert len((await following).devices) == 1


async def test_a_closed_board_ends_the_stream(things: Things) -> None:
    (board,) = sizes(things, 4)
    closed = False
    stream = board.watch(lambda: closed)
    await anext(stream)
    following = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    closed = True
    board.ring()
    assert await following is None


async def test_the_numa_node_of_a_gpu_goes_with_each_of_its_replicas(things: Things) -> None:
    shared = things.shared(2, gpus=2)
    board = Board(listing_of(shared, {}, (), lambda gpu: 1 if gpu.uuid == "GPU-1" else None))
    response = await anext(board.watch(lambda: False))
    nodes = {device.ID: [node.ID for node in device.topology.nodes] for device in response.devices}
    assert nodes == {"GPU-0::0": [], "GPU-0::1": [], "GPU-1::0": [1], "GPU-1::1": [1]}
    assert [device.HasField("topology") for device in response.devices] == [
        False,
        False,
        True,
        True,
    ]
