"""Who holds what, of what the kubelet says and of what we gave. Time is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from rota.errors import KubeletError
from rota.kubelet.holders import GRACE, Holders


class Node:
    """A kubelet's word, and a clock."""

    def __init__(self) -> None:
        self.says: Mapping[str, set[str]] | Exception = {}
        self.now = 0.0
        self.log = structlog.testing.CapturingLogger()
        self.holders = Holders(self.in_use, structlog.wrap_logger(self.log), clock=self.clock)

    def clock(self) -> float:
        return self.now

    async def in_use(self) -> Mapping[str, set[str]]:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def test_what_the_kubelet_shows_is_held() -> None:
    node = Node()
    node.says = {"r": {"a", "b"}}
    assert await node.holders.held() == {"r": {"a", "b"}}


async def test_what_was_just_given_is_held_until_the_kubelet_had_time_to_show_it() -> None:
    node = Node()
    node.holders.given("r", ["a"])
    node.now = GRACE
    assert (await node.holders.held())["r"] == {"a"}
    node.now = GRACE + 1
    assert (await node.holders.held())["r"] == set()


async def test_what_the_kubelet_showed_and_shows_no_more_is_free() -> None:
    node = Node()
    node.holders.given("r", ["a"])
    node.now = 2 * GRACE
    node.says = {"r": {"a"}}
    assert (await node.holders.held())["r"] == {"a"}
    node.says = {}
    assert (await node.holders.held())["r"] == set()


async def test_without_the_kubelets_word_what_was_given_stays_held_and_the_log_says_so_once() -> (
    None
):
    node = Node()
    node.holders.given("r", ["a"])
    node.now = 100 * GRACE
    node.says = KubeletError("no such socket")
    for _ in range(3):
        assert await node.holders.held() == {"r": {"a"}}
    assert len(node.log.calls) == 1
    node.says = {}
    assert (await node.holders.held())["r"] == set()
    assert len(node.log.calls) == 2


async def test_a_kubelet_that_does_not_answer_is_not_waited_for() -> None:
    async def never() -> Mapping[str, set[str]]:
        await asyncio.Event().wait()
        return {}

    holders = Holders(never, structlog.get_logger(), timeout=0.01)
    holders.given("r", ["a"])
    assert await holders.held() == {"r": {"a"}}


async def test_nobody_to_ask_is_an_answer_too() -> None:
    holders = Holders(None, structlog.get_logger())
    assert await holders.held() == {}
