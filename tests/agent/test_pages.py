"""What becomes of paging is told once in the log, and to who asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import MagicMock

import pytest

from rota.agent import pages
from rota.agent.order import paging_of, with_memory
from rota.agent.pages import PageFailed, Pages, Step
from rota.config.schema import Paging
from rota.emulation.profiles import parse_emulation
from rota.gatekeeper.messages import Node, PagingSettings, node_message, parse_node
from rota.memory.limits import Pool
from rota.memory.terms import GpuTerms

Where = dict[str, Any]


def where(place: str, **more: Any) -> Where:
    plain = {"bytes": 5 << 30, "seconds_out": 2.0, "error": "", "asked": False, "short": 0}
    return {"place": place, **plain, **more}


class Told:
    """A gatekeeper's states, one after the other; the last one stays."""

    def __init__(self, *states: Where | None, there: bool = True) -> None:
        self.states = list(states)
        self.there = there

    async def __call__(self) -> Mapping[str, Any]:
        now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        clients = {"a": {"pids": [7] if self.there else []}}
        return {"paging": {"a": now} if now else {}, "clients": clients}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LOOK", 0.001)
    monkeypatch.setattr(pages, "SOON", 0.001)
    monkeypatch.setattr(pages, "UNKNOWN", 0.01)


async def steps(told: Told, *, out: bool) -> list[Step]:
    return [step async for step in Pages(told, MagicMock()).follow("a", out=out)]


async def test_whoever_asked_is_told_each_step_until_it_is_done() -> None:
    told = Told(where("resident", asked=True), where("leaving"), where("out"))
    assert [(one.place, one.done) for one in await steps(told, out=True)] == [
        ("resident", False), ("leaving", False), ("out", True),
    ]  # fmt: skip
    back = await steps(Told(where("out", short=7), where("entering"), None), out=False)
    assert [(one.place, one.short, one.done) for one in back] == [
        ("out", 7, False), ("entering", 0, False), ("resident", 0, True),
    ]  # fmt: skip


async def test_why_it_did_not_go_is_told() -> None:
    with pytest.raises(PageFailed, match="no room"):
        await steps(Told(where("resident", error="no room")), out=True)
    with pytest.raises(PageFailed, match="lost"):
        await steps(Told(where("lost", error="the driver lost it")), out=False)
    with pytest.raises(PageFailed, match="has ended"):
        await steps(Told(None, there=False), out=True)


async def test_the_log_tells_once_what_has_become_of_each() -> None:
    log = MagicMock()
    watching = Pages(Told(where("out"), where("out"), where("entering"), None), log)
    watching.wanted = True
    task = asyncio.create_task(watching.run())
    async with asyncio.timeout(20):
        while log.info.call_count < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert [call.args[0] for call in log.info.call_args_list] == ["paged out", "paged in"]


async def test_a_client_that_the_driver_lost_is_told_loudly() -> None:
    log = MagicMock()
    watching = Pages(Told(where("lost", error="it met too little memory")), log)
    watching.wanted = True
    task = asyncio.create_task(watching.run())
    async with asyncio.timeout(20):
        while not log.error.called:
            await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert log.error.call_args.kwargs["reason"] == "it met too little memory"


def test_nobody_is_paged_on_a_gpu_that_is_not_shared_or_whose_driver_does_harm() -> None:
    inventory = parse_emulation("t4x2")
    one, two = (gpu.uuid for gpu in inventory.gpus)
    off = paging_of(Paging(enabled=True), inventory, {one}).off
    assert set(off) == {two}
    assert "not shared" in off[two]
    from dataclasses import replace

    bad = replace(inventory, driver_version="595.71.05")
    assert "hang the host" in paging_of(Paging(), bad, {one, two}).off[one]


def test_where_somebody_may_be_paged_turns_are_disjoint() -> None:
    terms = (GpuTerms(Pool("G", 10, 2, limited=False), hard=False),)
    told = with_memory(Node(), terms, PagingSettings(enabled=True, off={"H": "why"}))
    assert told.settings.handing == "disjoint"
    assert with_memory(Node(), terms).settings.handing == "overlapped"
    assert parse_node(node_message(told)) == told
