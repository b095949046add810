"""Calls in threads of their own, on real gates of emulated programs; and the relay of two of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from rota.gatekeeper.journal import Process
from rota.gatekeeper.lanes import Call, Done, Lanes, Relay
from rota.gpu.doors import GateState
from tests.gatekeeper.conftest import EmulatedNode


class Calls:
    """Lanes, and all that has come back from them."""

    def __init__(self, node: EmulatedNode) -> None:
        self.came = threading.Event()
        self.lanes = Lanes(node.gates, self.came.set)
        self.done: list[Done] = []

    def until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            assert self.came.wait(30)
            self.came.clear()
            self.done += self.lanes.done()


@pytest.fixture
async def pair(node: EmulatedNode) -> tuple[Process, Process]:
    """Two programs of which the second is closed."""
    first, second = await node.run("trainer --kernel 2ms", "trainer --kernel 2ms")
    node.gates.close(*second.identity, 5.0)
    return first.identity, second.identity


@pytest.fixture
def calls(node: EmulatedNode, pair: tuple[Process, Process]) -> Iterator[Calls]:
    made = Calls(node)
    yield made
    for process in pair:
        made.lanes.forget(process)


async def test_a_relay_opens_the_next_gate_when_the_last_one_is_closed(
    node: EmulatedNode, pair: tuple[Process, Process], calls: Calls
) -> None:
    last, next_ = pair
    calls.lanes.submit(last, Call.CLOSE, 5.0, Relay(next_))
    calls.until(lambda: len(calls.done) == 2)
    told = [(done.process, done.call, done.error) for done in calls.done]
    assert told == [(last, Call.CLOSE, None), (next_, Call.OPEN, None)]
    assert node.gates.state(*last) is GateState.CLOSED
    assert node.gates.state(*next_) is GateState.OPEN


async def test_where_the_last_gate_does_not_close_the_next_one_stays_closed_and_that_is_told(
    node: EmulatedNode, pair: tuple[Process, Process], calls: Calls
) -> None:
    _, next_ = pair
    (busy,) = await node.run("trainer --kernel 2s")
    calls.lanes.submit(busy.identity, Call.CLOSE, 0.05, Relay(next_))
    calls.until(lambda: len(calls.done) == 2)
    assert calls.done[0].error is not None
    assert calls.done[1] == Done(next_, Call.OPEN, skipped=True)
    assert node.gates.state(*next_) is GateState.CLOSED


async def test_the_loop_takes_a_gate_back_that_waits_for_one_that_hangs(
    node: EmulatedNode, pair: tuple[Process, Process], calls: Calls
) -> None:
    last, next_ = pair
    relay = Relay(next_)
    assert relay.take() == next_
    calls.lanes.submit(last, Call.CLOSE, 5.0, relay)
    calls.until(lambda: len(calls.done) == 1)
    assert node.gates.state(*next_) is GateState.CLOSED, "it is the loop's to open"
    calls.lanes.submit(next_, Call.OPEN)
    calls.until(lambda: len(calls.done) == 2)
    assert node.gates.state(*next_) is GateState.OPEN
