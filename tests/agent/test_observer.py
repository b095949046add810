"""What begins is told on the pod, once; what lasts is not told again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from rota.agent.logs import make_logger
from rota.agent.observer import Observer, less_in, over_in, ungated_in
from rota.clients.picture import Picture, ProcessKey, Unmanaged, Why
from rota.cluster.events import Ref
from rota.cluster.pods import PodFacts, Pods
from rota.cluster.reasons import (
    LESS_MEMORY,
    LOST,
    OVER_LIMIT,
    PAGED_IN,
    PAGED_OUT,
    UNGATED,
    UNMANAGED,
    WAITS_FOR_MEMORY,
    Reason,
)
from rota.errors import RotaError

GPU = "GPU-1"
CLIENT = "default/p/main"


class FakeTurns:
    """Who is on the GPUs, as a test says."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.gates_unmanaged = False
        self.told: dict[str, Any] = {}
        self.looks = 0

    async def state(self) -> dict[str, Any]:
        self.looks += 1
        if not self.told:
            raise RotaError("no gatekeeper")
        return self.told


class FakeCitizen:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.pods = Pods(lambda: None, lambda *_: None)
        self.events: list[tuple[Ref, Reason, str]] = []

    def pod_of(self, client: str) -> PodFacts | None:
        parts = client.split("/")
        return self.pods.of(parts[0], parts[1]) if len(parts) == 3 else None

    def tell(self, ref: Ref, reason: Reason, message: str) -> None:
        self.events.append((ref, reason, message))


def nothing() -> None:
    """No step."""


async def look(turns: FakeTurns, citizen: FakeCitizen, *steps: Callable[[], None]) -> Observer:
    """Look twice at each state."""
    observer = Observer(turns, citizen, make_logger("json"))  # type: ignore[arg-type]
    for step in (*steps, nothing):
        step()
        task = asyncio.create_task(observer.run())
        seen = turns.looks
        async with asyncio.timeout(20):
            while turns.looks < seen + 2:
                await asyncio.sleep(0.001)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return observer


def state(ungated: str = "", over: int = 0) -> dict[str, Any]:
    row = {"limit": 8 << 30, "use": (8 << 30) + over, "over": over}
    offenders = [CLIENT] if over else []
    return {
        "clients": {CLIENT: {"ungated": ungated}, "job/x": {"ungated": "why"}},
        "memory": {GPU: {"offenders": offenders, "clients": {CLIENT: row}}},
    }


def test_the_sentences() -> None:
    assert ungated_in(state("its lock hangs"))[CLIENT] == "takes no turns: its lock hangs"
    assert over_in(state(over=1 << 30)) == {
        CLIENT: "uses 9.0 GiB of the memory of GPU-1, 1.0 GiB more than its limit of 8.0 GiB"
    }
    assert over_in({}) == ungated_in({}) == {}


async def test_a_client_that_begins_to_run_ungated_is_told_each_time_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rota.agent.observer.LOOK", 0.0)
    turns, citizen = FakeTurns(), FakeCitizen()

    def now(why: str) -> Callable[[], None]:
        return lambda: turns.told.update(state(why))

    await look(turns, citizen, now("a"), now(""), now("b"))
    assert [(ref.name, reason) for ref, reason, _ in citizen.events] == [("p", UNGATED)] * 2
    assert citizen.events[1][2] == "container main takes no turns: b"


async def test_who_goes_to_host_memory_waits_there_and_comes_back_is_told_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rota.agent.observer.LOOK", 0.0)
    turns, citizen = FakeTurns(), FakeCitizen()
    plain = {"bytes": 3 << 30, "wants": True, "paused": False, "error": "", "short": 0}

    def now(place: str, short: int = 0, error: str = "") -> Callable[[], None]:
        where = {CLIENT: {"place": place, **plain, "short": short, "error": error}}
        return lambda: turns.told.update(state() | {"paging": where})

    steps = [now("out"), now("out", 1 << 30), now("entering"), now("resident")]
    await look(turns, citizen, *steps, now("lost", error="the driver lost it"))
    assert [reason for _, reason, _ in citizen.events] == [
        PAGED_OUT, WAITS_FOR_MEMORY, PAGED_IN, LOST,
    ]  # fmt: skip
    assert "3.0 GiB of its GPU memory are in host memory" in citizen.events[0][2]
    assert "waits for 1.0 GiB" in citizen.events[1][2]


async def test_a_client_over_its_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.agent.observer.LOOK", 0.0)
    turns, citizen = FakeTurns(), FakeCitizen()
    await look(turns, citizen, lambda: turns.told.update(state(over=1)))
    assert [reason for _, reason, _ in citizen.events] == [OVER_LIMIT]


async def test_a_client_that_gets_less_than_it_asked_for_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rota.agent.observer.LOOK", 0.0)
    turns, citizen = FakeTurns(), FakeCitizen()
    meta = {"name": "p", "namespace": "default", "annotations": {"rota.dev/memory": "100Gi"}}
    citizen.pods.replaced([{"metadata": meta}])
    turns.told = state()
    await look(turns, citizen)
    ((_, reason, message),) = citizen.events
    assert reason is LESS_MEMORY
    assert "asks for 100.0 GiB of the memory of GPU-1 and may use 8.0 GiB" in message
    assert less_in(state(), lambda _: 8 << 30) == {}


async def test_a_stranger_of_a_pod_is_told_once_and_one_of_none_is_only_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rota.agent.observer.LOOK", 0.0)
    turns, citizen = FakeTurns(), FakeCitizen()
    names = (("namespace", "default"), ("pod", "sly"))
    sly = Unmanaged(GPU, ProcessKey(7, 1), Why.NO_REPLICA, False, names)
    desktop = Unmanaged(GPU, ProcessKey(8, 1), Why.NOBODY, False, (("uid", "0"),))
    coming = Unmanaged(GPU, ProcessKey(9, 1), Why.STRANGER, True, ())
    turns.picture = Picture((), (sly, desktop, coming))
    observer = await look(turns, citizen)
    assert [(ref.name, reason) for ref, reason, _ in citizen.events] == [("sly", UNMANAGED)]
    assert [one["pid"] for one in observer.unmanaged] == [7, 8]
