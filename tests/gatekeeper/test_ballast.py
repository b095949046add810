"""One GPU's ballast in hand, on an emulated GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rota.emulation.device import CONTEXT_BYTES
from rota.gatekeeper.ballast import Hold, Job, Stand
from rota.gatekeeper.doors import memory_doors
from rota.gpu.doors import BallastDoor, InventoryDoor
from rota.memory.limits import Claim, Pool
from rota.memory.terms import GpuTerms, Stretch
from rota.model import GpuMemory
from tests.gatekeeper.conftest import EmulatedNode


class Counted:
    """A door that counts how often it was asked who has memory.

    Attributes:
        restless: somebody takes memory between any two questions.
    """

    def __init__(self, door: InventoryDoor) -> None:
        self._door = door
        self.asked = 0
        self.restless = False
        self._taken = 0

    def memory(self, gpu: str) -> GpuMemory:
        found = self._door.memory(gpu)
        self._taken += 2**24 * self.restless
        return replace(found, used=found.used + self._taken, free=found.free - self._taken)

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

    def turn(self, client: str, owners: dict[int, str], *, quiet: bool = True) -> Stand:
        """The handover to that client, or a look in its turn."""
        self._done.clear()
        job = self.hold.submit(Job(self.terms, Stretch(owners, frozenset({client})), quiet=quiet))
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


async def test_while_the_open_client_takes_memory_all_the_time_its_ballast_stays_as_it_is(
    node: EmulatedNode, hand: Hand
) -> None:
    (program,) = await node.run("trainer --memory 1Gi")
    owners = {program.process.pid: "one"}
    before = hand.turn("one", owners)
    hand.counted.restless = True
    during = hand.turn("one", owners, quiet=False)
    assert during.held == before.held > 0
    hand.counted.restless = False
    assert hand.turn("one", owners, quiet=False).held < before.held, "what it has taken is its own"
