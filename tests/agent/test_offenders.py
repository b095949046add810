"""Who is over its limit is told once; where the config says so the worst is ended, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import MagicMock

import pytest

from rota.agent import offenders
from rota.agent.offenders import Offenders

GIB = 2**30


def row(use: int, limit: int) -> dict[str, int]:
    head, over = max(0, limit - use), max(0, use - limit)
    return {"limit": limit, "guaranteed": limit, "use": use, "headroom": head, "over": over}


def node(free: int, enforce: str = "report") -> Mapping[str, Any]:
    clients = {"job/well": row(4 * GIB, 5 * GIB), "job/hog": row(10 * GIB, 5 * GIB)}
    table = {"enforce": enforce, "total": 16 * GIB, "free": free, "clients": clients}
    return {"memory": {"GPU-1": table}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offenders, "LOOK", 0.001)


async def watched(state: Mapping[str, Any], *, evict: bool) -> tuple[Offenders, list[str]]:
    """What came of a hundred looks."""
    looks = 0
    ended: list[str] = []

    async def tell() -> Mapping[str, Any]:
        nonlocal looks
        looks += 1
        return state

    async def end(client: str) -> None:
        ended.append(client)
        await asyncio.sleep(3600)

    found = Offenders(tell, MagicMock(), end)
    found.evict, found.looks = evict, True
    task = asyncio.create_task(found.run())
    while looks < 100:
        await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return found, ended


async def test_who_is_over_its_limit_is_told_once() -> None:
    found, ended = await watched(node(free=2 * GIB), evict=False)
    assert found.seen == 1
    assert ended == []


async def test_on_a_full_gpu_the_worst_offender_is_ended_once_and_nobody_else() -> None:
    _, ended = await watched(node(free=0), evict=True)
    assert ended == ["job/hog"]


async def test_nobody_is_ended_while_there_is_room_or_where_limits_are_held() -> None:
    assert (await watched(node(free=2 * GIB), evict=True))[1] == []
    assert (await watched(node(free=0, enforce="hard"), evict=True))[1] == []
