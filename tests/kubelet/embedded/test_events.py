"""The journal and its bell."""

from __future__ import annotations

import asyncio

import pytest

from rota.errors import KubeletError
from rota.kubelet.embedded.events import KEPT, Journal


def test_only_the_last_events_are_kept() -> None:
    journal = Journal()
    for number in range(KEPT + 10):
        journal.note("Counted", "node", str(number))
    assert len(journal.events) == KEPT
    assert journal.events[-1].message == str(KEPT + 9)
    assert str(journal.events[0]) == "Normal Counted node: 10"


async def test_a_ring_wakes_all_who_wait() -> None:
    journal = Journal()
    waiting = [asyncio.create_task(journal.changed(30)) for _ in range(3)]
    await asyncio.sleep(0)
    journal.ring()
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_without_a_ring_the_wait_ends_in_time() -> None:
    assert not await Journal().changed(0.01)


async def test_until_gives_what_the_predicate_gave() -> None:
    journal = Journal()
    found: list[int] = []
    waiting = asyncio.create_task(journal.until(lambda: found, 30))
    await asyncio.sleep(0)
    found.append(7)
    journal.ring()
    assert await waiting == [7]


async def test_until_sees_also_what_rings_no_bell() -> None:
    found: list[int] = []
    asyncio.get_running_loop().call_later(0.05, found.append, 1)
    assert await Journal().until(lambda: found, 30) == [1]


async def test_until_says_what_happened_when_it_was_in_vain() -> None:
    journal = Journal()
    journal.warn("Broken", "node", "it broke")
    with pytest.raises(KubeletError) as caught:
        await journal.until(lambda: False, 0.01)
    assert "Warning Broken node: it broke" in caught.value.hint
