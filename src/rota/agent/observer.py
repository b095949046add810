"""Looks now and then who is on the GPUs, and writes Events on pods about what they must know.

Told is what begins: a pod that has begun to use a GPU without holding a replica of it, a client
that has begun to run ungated, to use more memory than it may, or to get less than it asked for, one
that went to host memory, waits there or came back. What lasts is not told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rota.agent.citizen import Citizen
from rota.agent.logs import Logger
from rota.agent.turns import Turns
from rota.clients.picture import Unmanaged
from rota.cluster.events import Ref
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
from rota.memory.sizes import shown

LOOK = 2.0
"""Seconds between looks: an Event is for people."""


class Observer:
    """Watches one node for what its pods must know."""

    def __init__(self, turns: Turns, citizen: Citizen, log: Logger) -> None:
        self._turns = turns
        self._citizen = citizen
        self._log = log
        self._ungated: dict[str, str] = {}
        self._over: dict[str, str] = {}
        self._less: dict[str, str] = {}
        self._out: dict[str, str] = {}
        self._waits: dict[str, str] = {}
        self._lost: dict[str, str] = {}
        self._strangers: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def unmanaged(self) -> list[dict[str, Any]]:
        """Processes that use a GPU and hold no replica of it, as plain values."""
        return [
            {"gpu": one.gpu, "pid": one.process.pid, "why": str(one.why), **dict(one.labels)}
            for one in self._turns.picture.unmanaged
            if not one.pending
        ]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            self._look_for_strangers(self._turns.picture.unmanaged)
            await self._look_at_clients()

    def _look_for_strangers(self, unmanaged: Iterable[Unmanaged]) -> None:
        now: dict[tuple[str, str, str], Unmanaged] = {}
        for one in unmanaged:
            names = dict(one.labels)
            if not one.pending and "pod" in names:
                now[names["namespace"], names["pod"], one.gpu] = one
        for (namespace, pod, gpu), one in now.items():
            if (namespace, pod, gpu) not in self._strangers:
                gated = self._turns.gates_unmanaged
                what = (
                    f"process {one.process.pid} uses {gpu} and {one.why}; it is "
                    + ("gated as one client of the smallest share" if gated else "never gated")
                    + ". Ask for nvidia.com/gpu in its limits instead of NVIDIA_VISIBLE_DEVICES"
                )
                self._citizen.tell(self._citizen.pods.ref(namespace, pod), UNMANAGED, what)
                self._log.warning("unmanaged GPU use", pod=f"{namespace}/{pod}", gpu=gpu)
        self._strangers = frozenset(now)

    async def _look_at_clients(self) -> None:
        try:
            state = await self._turns.state()
        except RotaError:
            return  # it is told elsewhere that there is no gatekeeper
        self._ungated = self._tell_new(UNGATED, self._ungated, ungated_in(state))
        self._over = self._tell_new(OVER_LIMIT, self._over, over_in(state))
        self._less = self._tell_new(LESS_MEMORY, self._less, less_in(state, self._asked))

        self._look_at_pages(state)

    def _look_at_pages(self, state: Mapping[str, Any]) -> None:
        """Who went to host memory and came back, who waits there, and whom the driver lost."""
        moving = {client: self._out[client] for client, _ in _places(state, "entering")
                  if client in self._out}  # fmt: skip
        lost = {client: where["error"] for client, where in _places(state, "lost")}
        out = self._tell_new(PAGED_OUT, self._out, paged_out_in(state)) | moving
        here = state.get("clients", {}).keys() - out.keys() - lost.keys()
        back = {client: self._out[client] for client in self._out if client in here}
        self._tell_new(PAGED_IN, {}, dict.fromkeys(back, "has its memory back on the GPU"))
        self._waits = self._tell_new(WAITS_FOR_MEMORY, self._waits, short_in(state))
        self._lost = self._tell_new(LOST, self._lost, lost)
        self._out = out

    def _asked(self, client: str) -> int | None:
        pod = self._citizen.pod_of(client)
        return pod.wish.memory if pod else None

    def _tell_new(
        self, reason: Reason, before: Mapping[str, str], now: Mapping[str, str]
    ) -> dict[str, str]:
        """Tell of the clients for which this has just begun."""
        for client, what in now.items():
            pod = _pod_of(self._citizen, client)
            if client not in before and pod:
                name = client.rpartition("/")[2]
                self._citizen.tell(pod, reason, f"container {name} {what}")
        return dict(now)


def ungated_in(state: Mapping[str, Any]) -> dict[str, str]:
    """Client → why it takes no turns, of those that do not. Of the gatekeeper's state."""
    clients = state.get("clients", {})
    return {
        id_: f"takes no turns: {one['ungated']}"
        for id_, one in clients.items()
        if one.get("ungated")
    }


def over_in(state: Mapping[str, Any]) -> dict[str, str]:
    """Client → how far it is over its limit, of those that are. Of the gatekeeper's state."""
    found = {}
    for gpu, memory in state.get("memory", {}).items():
        for client in memory["offenders"]:
            row = memory["clients"][client]
            found[client] = (
                f"uses {shown(row['use'])} of the memory of {gpu}, "
                f"{shown(row['over'])} more than its limit of {shown(row['limit'])}"
            )
    return found


def paged_out_in(state: Mapping[str, Any]) -> dict[str, str]:
    """Client → how much of it is in host memory, of those that are out."""
    return {
        client: f"is idle: {shown(where['bytes'])} of its GPU memory are in host memory"
        for client, where in _places(state, "out", "held")
    }


def short_in(state: Mapping[str, Any]) -> dict[str, str]:
    """Client → what it waits for, of those that are out, want the GPU, and find no room."""
    return {
        client: f"wants the GPU and waits for {shown(where['short'])} of its memory: others work there"
        for client, where in _places(state, "out")
        if where["wants"] and where["short"] and not where["paused"]
    }


def _places(state: Mapping[str, Any], *places: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for client, where in state.get("paging", {}).items():
        if where["place"] in places:
            yield client, where


def less_in(state: Mapping[str, Any], asked: Callable[[str], int | None]) -> dict[str, str]:
    """Client → how much less memory it may use than it asked for. Of the gatekeeper's state."""
    found = {}
    for gpu, memory in state.get("memory", {}).items():
        for client, row in memory["clients"].items():
            wish, limit = asked(client), row["limit"]
            if wish is not None and limit is not None and limit < wish:
                found[client] = (
                    f"asks for {shown(wish)} of the memory of {gpu} and may use {shown(limit)}: "
                    "the rest is others', or not there"
                )
    return found


def _pod_of(citizen: Citizen, client: str) -> Ref | None:
    namespace, _, rest = client.partition("/")
    pod, slash, _ = rest.partition("/")
    return citizen.pods.ref(namespace, pod) if slash else None
