"""The demo's greedy pod: it takes memory until it is refused, and its neighbours do not notice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rota.config.load import Loaded
from rota.demo import pods
from rota.demo.screen import gib
from rota.demo.stage import Stage
from rota.errors import RotaError
from rota.gatekeeper.client import ask

READY = 20.0
"""Seconds that the pod has to start and to be refused."""

HELD = 3.0
"""Seconds until memory is held after turns were switched on; on some GPUs it cannot be."""

GRANULE = 2**21
"""Bytes; ballast is held in pieces of this size, so as much of a limit may be out of reach."""

NAME = "greedy"
CLIENT = f"default/{NAME}/{pods.CONTAINER}"


async def greed(
    stage: Stage, resource: str, gone: Sequence[str], neighbours: Sequence[str], *, emulated: bool
) -> list[str]:
    """Put a greedy pod in the place of those in `gone`; what there is to say of it.

    Raises:
        RotaError: it was not refused at its limit, or a neighbour did not go on.
    """
    for name in gone:
        await stage.kubelet.delete_pod("default", name)
    go = stage.folder / "greed"
    stage.kubelet.add_pod(pods.pod(NAME, resource, 1, pods.greedy(emulated, go)))
    await _until(stage, lambda: _takes_turns(stage), NAME, "took no turns")
    go.touch()
    await _until(stage, lambda: _said(stage, "refused") is not None, NAME, "was not refused")
    refused = _said(stage, "refused")
    assert refused is not None
    at = time.monotonic()
    row = await _row(stage, at)
    for name in neighbours:
        await _until(stage, partial(_goes_on, stage, name, at), name, "did not go on")
    _judge(row["use"], row["limit"], refused["bytes"])
    told = [f"{NAME} took {gib(row['use'])} of its {gib(row['limit'])}, and was refused the next"]
    if neighbours:
        many = "pod" if len(neighbours) == 1 else "pods"
        told.append(f"{len(neighbours)} {many} beside it went on; none was refused or ended")
    return told


async def holds_limits(stage: Stage, loaded: Loaded) -> bool:
    """Everybody's memory is limited by this config, and held here."""
    said = loaded.config.rota
    if said.memory.limit == "none" or said.memory.enforce == "report":
        return False

    def is_held() -> bool:
        with suppress(RotaError):
            tables = ask(stage.folder / "run", {"op": "state"})["memory"].values()
            return any(table["enforce"] == "hard" for table in tables)
        return False

    with suppress(RotaError):
        await stage.kubelet.wait_until(is_held, HELD)
    return is_held()


async def _until(stage: Stage, done: Callable[[], bool], name: str, what: str) -> None:
    """Wait for something of a pod. RotaError where it does not come: what, and how the pod is."""
    try:
        await stage.kubelet.wait_until(done, READY)
    except RotaError as error:
        phase = next((s.phase for s in stage.kubelet.pods() if s.name == name), "gone")
        lines = stage.kubelet.log("default", name).splitlines()
        said = lines[-1] if lines else "nothing"
        raise RotaError(
            f"{name} {what} within {READY:.0f} s: it is {phase.lower()}, and last said {said}"
        ) from error


def _judge(use: int, limit: int, asked: int) -> None:
    """It was refused because of its limit: it is not beyond it, and the next step would have been."""
    if use > limit:
        raise RotaError(f"it has {gib(use)}, more than its limit of {gib(limit)}")
    if use + asked + GRANULE <= limit:
        what = f"it was refused {gib(asked)} though it has {gib(use)} of its {gib(limit)}"
        raise RotaError(what, hint="`rota top` tells who has the memory")


async def _row(stage: Stage, since: float) -> dict[str, Any]:
    """Its line in the table of limits, from a reading after that moment."""
    found: dict[str, Any] = {}

    def is_there() -> bool:
        found.clear()
        with suppress(RotaError):
            for table in ask(stage.folder / "run", {"op": "state"})["memory"].values():
                if table["at"] >= since:
                    found.update(table["clients"].get(CLIENT, {}))
        return bool(found)

    await _until(stage, is_there, NAME, "was not weighed")
    return found


def _takes_turns(stage: Stage) -> bool:
    """It has a context and its gate was closed: it is known, as any program after its start."""
    with suppress(RotaError):
        state = ask(stage.folder / "run", {"op": "state"})
        client = state["clients"].get(CLIENT)
        uses = any(t["clients"].get(CLIENT, {}).get("use") for t in state["memory"].values())
        return bool(client and client["calls"]["close"][0] and uses)
    return False


def _said(stage: Stage, event: str) -> dict[str, Any] | None:
    """The pod's last line about that event."""
    found = None
    with suppress(RotaError):
        for line in stage.kubelet.log("default", NAME).splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                found = entry if entry.get("event") == event else found
    return found


def _goes_on(stage: Stage, name: str, since: float) -> bool:
    """It has finished two kernels since then."""
    return bool(pods.durations(stage.kubelet.log("default", name), since))
