"""The gatekeeper's state, read with care: what an older one does not tell is as if it were not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rota.figures.model import Times
from rota.figures.seconds import Key
from rota.memory.sizes import shown


@dataclass(frozen=True, slots=True)
class Standing:
    """How a client stands on one GPU, by the gatekeeper.

    Attributes:
        known: the gatekeeper has heard of the client.
        wants: it wants the GPU.
        open: its gates are open.
        since: when its turn began, on the gatekeeper's clock; None if it has none.
        used: what it has had of that turn.
        waited: for how long it had waited before it.
        waits: since when it has been waiting; None if it does not wait.
        ungated: why its gates stay open; empty if they do not.
        opening, closing: calls of its gates.
        failures: how often they failed.
        limit: the most memory it may use; None for no limit.
        paged: bytes of its memory that are in host memory, or on their way.
        stays: why they stay there though it waits, or until when.
    """

    known: bool = False
    wants: bool = False
    open: bool = True
    since: float | None = None
    used: float = 0.0
    waited: float = 0.0
    waits: float | None = None
    ungated: str = ""
    opening: Times = field(default_factory=Times)
    closing: Times = field(default_factory=Times)
    failures: int = 0
    limit: int | None = None
    paged: int = 0
    stays: str = ""


class GateState:
    """One answer of the gatekeeper; an empty one while there is none."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._state: Mapping[str, Any] = state or {}

    @property
    def at(self) -> float | None:
        """When it was, on the gatekeeper's clock; None while there is no gatekeeper."""
        at = self._state.get("at")
        return float(at) if at is not None else None

    @property
    def offset(self) -> float:
        """The time of day less the gatekeeper's clock, in seconds."""
        return float(self._state.get("wall", 0.0)) - float(self._state.get("at", 0.0))

    @property
    def turns(self) -> int:
        """The number that the next turn will have."""
        return int(self._state.get("turns", 0))

    def holder(self, gpu: str) -> str:
        """Whose turn it is; empty for nobody's."""
        return str(self._state.get("gpus", {}).get(gpu, {}).get("holder") or "")

    def waiting(self, gpu: str) -> tuple[str, ...]:
        """Who waits for that GPU."""
        return tuple(self._state.get("gpus", {}).get(gpu, {}).get("waiting", ()))

    def ballast(self, gpu: str) -> int:
        """Memory that is held there, in bytes."""
        return int(self._state.get("memory", {}).get(gpu, {}).get("ballast", 0))

    def fares(self) -> dict[Key, float]:
        """What all clients that are in a rota have had of their turns of now, in seconds."""
        return {
            (client, gpu): self.standing(client, gpu).used
            for client, told in self._state.get("clients", {}).items()
            for gpu in told.get("fares", {})
        }

    def standing(self, client: str, gpu: str) -> Standing:
        """How that client stands there."""
        told = self._state.get("clients", {}).get(client)
        if told is None:
            return Standing(limit=self._limit(client, gpu))
        fare, calls = told.get("fares", {}).get(gpu, {}), told.get("calls", {})
        return Standing(
            known=True,
            wants=bool(fare.get("wants", False)),
            open=bool(fare.get("open", True)),
            since=fare.get("since"),
            used=float(fare.get("used", 0.0)),
            waited=float(fare.get("waited", 0.0)),
            waits=fare.get("waits"),
            ungated=str(told.get("ungated", "")),
            opening=Times(*calls.get("open", ())),
            closing=Times(*calls.get("close", ())),
            failures=int(calls.get("failures", 0)),
            limit=self._limit(client, gpu),
            paged=self._paged(client, gpu),
            stays=self._stays(client),
        )

    def _paged(self, client: str, gpu: str) -> int:
        where = self._state.get("paging", {}).get(client, {})
        if where.get("place") in (None, "resident", "lost"):
            return 0
        return int(where.get("memory", {}).get(gpu, 0))

    def _stays(self, client: str) -> str:
        where = self._state.get("paging", {}).get(client, {})
        if where.get("place") != "out":
            return ""
        if where.get("paused"):
            return "until `rota resume`"
        if where.get("short") and (where.get("wants") or where.get("asked")):
            return f"waits for {shown(int(where['short']))} of GPU memory"
        return str(where.get("error", ""))

    def _limit(self, client: str, gpu: str) -> int | None:
        table = self._state.get("memory", {}).get(gpu, {}).get("clients", {})
        limit = table.get(client, {}).get("limit")
        return int(limit) if limit is not None else None
