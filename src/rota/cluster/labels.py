"""Keeps the node's labels: exactly those that are true now, and only our own.

Server-side apply is what makes this safe: the server knows who owns which label. One that is no
longer wanted goes with the next apply; one that somebody else set to another value is theirs, is
left alone, and is told once.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rota.cluster.door import NODES, Api, ClusterError, Conflict, Forbidden
from rota.cluster.features import feature_file
from rota.cluster.pace import LACKING, Backoff, Pace
from rota.cluster.troubles import Troubles

MANAGER = "rota"
"""Who owns the labels, in `managedFields`."""

SPREAD = 10.0
"""Seconds over which nodes spread their labels after an edit that all of them have seen."""

STAMP = "nvidia.com/gfd.timestamp"

_FIELD = ".metadata.labels."
_WHAT = "labels of the node are not kept"
_THEIRS = "labels of somebody else are left alone"


class Keeper(Protocol):
    """Keeps the labels of the node."""

    def want(self, labels: Mapping[str, str]) -> None:
        """These are true from now on."""
        ...

    async def run(self) -> None:
        """Keep them until cancelled."""
        ...


@dataclass(slots=True)
class NodeLabels:
    """Labels through the Kubernetes API.

    Attributes:
        api: the door.
        node: the node's name.
        pace: how often it may be asked.
        troubles: where failures are told.
        spread: seconds over which a change waits, by chance.
        lacking: seconds that a missing right is left alone.
        clock: seconds since 1970.
    """

    api: Api
    node: str
    pace: Pace
    troubles: Troubles
    spread: float = SPREAD
    lacking: float = LACKING
    clock: Callable[[], float] = time.time
    backoff: Backoff = field(default_factory=Backoff)
    _wanted: dict[str, str] | None = None
    _applied: dict[str, str] = field(default_factory=dict)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, labels: Mapping[str, str]) -> None:
        """These are true from now on; those of before that are not among them go."""
        if self._wanted is None or self._unstamped(self._wanted) != dict(labels):
            stamp = {STAMP: str(int(self.clock()))} if any(map(_nvidias, labels)) else {}
            self._wanted = dict(labels) | stamp
            self._bell.set()

    def seen(self, labels: Mapping[str, str]) -> None:
        """The node has these labels now: one of ours that is gone is written again."""
        if any(labels.get(key) != value for key, value in self._applied.items()):
            self._applied = {}
            self._bell.set()

    async def run(self) -> None:
        """Keep them until cancelled."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            await asyncio.sleep(random.uniform(0, self.spread))
            try:
                await self._apply()
            except ClusterError as error:
                self.troubles.say(_WHAT, str(error))
                self._bell.set()
                forbidden = isinstance(error, Forbidden)
                await asyncio.sleep(self.lacking if forbidden else self.backoff.next())
            else:
                self.troubles.say(_WHAT)
                self.backoff.reset()

    async def _apply(self) -> None:
        """Apply all; then, if somebody owns some of them, all but those."""
        wanted = dict(self._wanted or {})
        if wanted == self._applied:
            return
        theirs = await self._send(wanted)
        if theirs:
            wanted = {key: value for key, value in wanted.items() if key not in theirs}
            if more := await self._send(wanted):
                raise ClusterError(f"labels change hands: {', '.join(sorted(more))}")
        self.troubles.say(_THEIRS, ", ".join(sorted(theirs)))

    async def _send(self, labels: dict[str, str]) -> frozenset[str]:
        """Apply these; those of them that are somebody else's.

        They count as applied before the answer is there: what is lost meanwhile is written again.
        """
        await self.pace.wait()
        self._applied = labels
        try:
            await self.api.apply(NODES, self._body(labels), self.node, MANAGER)
        except ClusterError as error:
            self._applied = {}
            fields = error.fields if isinstance(error, Conflict) else ()
            theirs = frozenset(field.removeprefix(_FIELD) for field in fields) & labels.keys()
            if theirs:
                return theirs
            raise
        return frozenset()

    def _body(self, labels: Mapping[str, str]) -> dict[str, object]:
        meta = {"name": self.node, "labels": dict(labels)}
        return {"apiVersion": "v1", "kind": "Node", "metadata": meta}

    @staticmethod
    def _unstamped(labels: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in labels.items() if key != STAMP}


@dataclass(slots=True)
class FeatureFile:
    """Labels through node feature discovery: a file that its local source reads.

    Attributes:
        path: such as `/etc/kubernetes/node-feature-discovery/features.d/rota`.
        troubles: where failures are told.
    """

    path: Path
    troubles: Troubles

    def want(self, labels: Mapping[str, str]) -> None:
        """Write them now, in one step."""
        draft = self.path.with_name(f".{self.path.name}.new")
        try:
            draft.write_text(feature_file(labels), encoding="utf-8")
            draft.chmod(0o644)
            os.replace(draft, self.path)  # noqa: PTH105 - in one step
        except OSError as error:
            self.troubles.say(_WHAT, f"{self.path}: {error.strerror or error}")
        else:
            self.troubles.say(_WHAT)

    def seen(self, labels: Mapping[str, str]) -> None:
        """They are node feature discovery's to keep."""

    async def run(self) -> None:
        """Nothing has to be kept; the file goes with whoever ends it."""
        try:
            await asyncio.Event().wait()
        finally:
            self.path.unlink(missing_ok=True)


def _nvidias(key: str) -> bool:
    return key.startswith("nvidia.com/")
