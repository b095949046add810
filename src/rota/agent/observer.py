"""Looks now and then who is on the GPUs, and writes Events on pods about what they must know.

Told is what begins: a pod that has begun to use a GPU without holding a replica of it, a client
that has begun to run ungated. What lasts is not told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from rota.agent.citizen import Citizen
from rota.agent.logs import Logger
from rota.agent.turns import Turns
from rota.clients.picture import Unmanaged
from rota.cluster.events import Ref
from rota.cluster.reasons import UNGATED, UNMANAGED
from rota.errors import RotaError

LOOK = 2.0
"""Seconds between looks: an Event is for people."""


class Observer:
    """Watches one node for what its pods must know."""

    def __init__(self, turns: Turns, citizen: Citizen, log: Logger) -> None:
        self._turns = turns
        self._citizen = citizen
        self._log = log
        self._ungated: dict[str, str] = {}
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
            await self._look_for_ungated()

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

    async def _look_for_ungated(self) -> None:
        try:
            state = await self._turns.state()
        except RotaError:
            return  # it is told elsewhere that there is no gatekeeper
        clients: Mapping[str, Mapping[str, Any]] = state.get("clients", {})
        now = {id_: str(one["ungated"]) for id_, one in clients.items() if one.get("ungated")}
        for id_, why in now.items():
            pod = _pod_of(self._citizen, id_)
            if id_ not in self._ungated and pod:
                what = f"container {id_.rpartition('/')[2]} takes no turns: {why}"
                self._citizen.tell(pod, UNGATED, what)
        self._ungated = now


def _pod_of(citizen: Citizen, client: str) -> Ref | None:
    namespace, _, rest = client.partition("/")
    pod, slash, _ = rest.partition("/")
    return citizen.pods.ref(namespace, pod) if slash else None
