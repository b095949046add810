"""One GPU's ballast in hand, on an emulated GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rota.emulation.device import CONTEXT_BYTES
from rota.gatekeeper.ballast import Hold, Job, Stand
from rota.gatekeeper.doors import memory_doors
from rota.gpu.doors import BallastDoor, InventoryDoor
from rota.memory.limits import Claim, Pool
from rota.memory.terms import GpuTerms, Stretch
from tests.gatekeeper.conftest import EmulatedNode


class Counted:
    """A door that counts how often it was asked who has memory."""

    def __init__(self, door: InventoryDoor) -> None:
        self._door = door
        self.asked = 0

    def processes(self, gpu: str) -> Any:
        self.asked += 1
        return self._door.processes(gpu)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)


class Hand:
    """A hold on a node's GPU, and what it asked for."""

    def __init__(self, node: EmulatedNode) -> None:
        ballast, inventory = memory_doors(node.emulation.folder)
        self.counted = Counted(inventory)
        self._done = threading.Event()
        self.gpu = node.gpus[0]
        self.hold = Hold(self.gpu, lambda: self._doors(ballast), self._done.set)
        pool = Pool(self.gpu, inventory.memory(self.gpu).total, 2, context=CONTEXT_BYTES)
        self.terms = GpuTerms(pool, (Claim("one"), Claim("other")))

    def _doors(self, ballast: BallastDoor) -> tuple[BallastDoor, InventoryDoor]:
        return ballast, self.counted

    def turn(self, client: str, owners: dict[int, str]) -> Stand:
        """The handover to that client."""
        self._done.clear()
        job = self.hold.submit(Job(self.terms, Stretch(owners, frozenset({client})), quiet=True))
        assert self._done.wait(30)
        assert job.stand is not None
        assert not job.stand.trouble
        return job.stand


@pytest.fixture
def hand(node: EmulatedNode) -> Iterator[Hand]:
    made = Hand(node)
    yield made
    made.hold.end(10)


async def test_who_has_what_is_read_again_only_where_something_was_taken_or_given_back(
    node: EmulatedNode, hand: Hand
) -> None:
    (program,) = await node.run("trainer --memory 1Gi")
    owners = {program.process.pid: "one"}
    first = hand.turn("one", owners)
    assert first.shares is not None
    had = {row.client: row.use for row in first.shares.rows}
    assert had["one"] > 2**30
    asked = hand.counted.asked
    other = hand.turn("other", owners)
    assert hand.counted.asked == asked, "as much is free as was left free"
    assert other.shares is not None
    assert {row.client: row.use for row in other.shares.rows} == had
    (second,) = await node.run("trainer --memory 256Mi")
    owners |= {second.process.pid: "other"}
    third = hand.turn("one", owners)
    assert hand.counted.asked > asked
    assert third.shares is not None
    assert {row.client: row.use for row in third.shares.rows}["other"] > 2**28
