"""When the gatekeeper takes its agent for lost. Time is passed in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.gatekeeper.messages import ClientSpec, Node, node_message
from rota.gatekeeper.process import LOST_AGENT, MISSED, NO_AGENT, ORPHANED, SILENCE, Gatekeeper
from rota.gatekeeper.server import Peer
from rota.scheduling.terms import Share
from tests.gatekeeper.conftest import NoGates


class Told(Gatekeeper):
    """A gatekeeper that is told of a node, and of the time, by hand."""

    def tell(self, gpus: list[str], now: float) -> None:
        clients = (ClientSpec(f"c{n}", {gpu: Share()}) for n, gpu in enumerate(gpus))
        self._answer(self.peer, node_message(Node(clients=tuple(clients))))
        self._heard = now

    def off(self, now: float) -> str:
        self._mind_agent(now)
        return self._conductor.off

    def _bring_home(self, *, everybody: bool) -> None:
        self.brought.append(everybody)

    peer: Peer
    brought: list[bool]


class Out:
    """Somebody is in host memory, and waits there, or does not."""

    any_out = True
    homing = False
    waits = False

    def is_missed(self, _: object) -> bool:
        return self.waits


@pytest.fixture
def keeper() -> Iterator[Told]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    made = Told(folder, NoGates(), linger=10.0)
    made.brought = []
    made.peer = Peer(None)  # type: ignore[arg-type]
    yield made
    made._server.close()
    made._selector.close()
    made._waker._inner.close()
    made._waker.outer.close()
    shutil.rmtree(folder)


def test_an_agent_that_is_silent_while_two_share_a_gpu_is_lost(keeper: Told) -> None:
    keeper.tell(["A", "A"], 100.0)
    assert keeper.off(99.9 + SILENCE) == ""
    assert keeper.off(100.1 + SILENCE) == LOST_AGENT


def test_an_agent_need_not_speak_while_nobody_shares_a_gpu(keeper: Told) -> None:
    keeper.tell(["A", "B"], 100.0)
    assert keeper.off(1000.0) == ""
    keeper.tell(["A", "B", "A"], 1000.0)
    assert keeper.off(1000.1 + SILENCE) == LOST_AGENT


def test_it_lingers_from_the_moment_when_its_agent_went(keeper: Told) -> None:
    assert keeper.off(0.0) == NO_AGENT
    keeper.tell(["A"], 0.0)
    keeper._gone(keeper.peer)
    assert keeper._agent is None
    heard = keeper._heard
    assert keeper.off(heard + 9.0) == LOST_AGENT
    assert not keeper._ending
    keeper.off(heard + 11.0)
    assert keeper._ending


def test_without_an_agent_who_waits_in_host_memory_comes_back_soon_and_the_rest_later(
    keeper: Told,
) -> None:
    keeper.tell(["A", "A"], 0.0)
    keeper._gone(keeper.peer)
    keeper._paging = out = Out()  # type: ignore[assignment]
    heard = keeper._heard
    keeper._mind_orphans(heard + MISSED + 0.1)
    assert keeper.brought == []
    out.waits = True
    keeper._mind_orphans(heard + MISSED - 0.1)
    assert keeper.brought == []
    keeper._mind_orphans(heard + MISSED + 0.1)
    assert keeper.brought == [False]
    out.waits = False
    keeper._mind_orphans(heard + ORPHANED + 0.1)
    assert keeper.brought == [False, True]
    keeper._paging = None
