"""Writes Events, few of them: what repeats is counted, and nothing is written faster than its pace.

Telling never waits and never fails: an Event is a word to a person, and no reason to hold up a turn.
What cannot be written stays for later, the newest of each kind; beyond a number of objects the
oldest are let go, and the log says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rota.cluster.door import (
    EVENTS,
    Api,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Object,
    metadata,
)
from rota.cluster.pace import LACKING, Backoff, Pace
from rota.cluster.reasons import Reason
from rota.cluster.troubles import Troubles

KEPT = 256
"""So many objects are remembered, of those to be told and of those that were told."""

LONGEST = 1000
"""Characters of a message; the server takes 1,024."""

SPREAD = 10.0
"""Seconds over which nodes spread what they have to say."""

_NONE = "no Events are written"
TOO_MANY = "there are more Events than may be written; the oldest are let go"

COMPONENT = "rota-agent"


@dataclass(frozen=True, slots=True)
class Ref:
    """What an Event is about.

    Attributes:
        kind: such as `Pod`.
        name: its name.
        namespace: empty for a node.
        uid: its uid; a node's name where it is a node, as kubelets do.
        edit: its version, where all nodes would say the same of it: then one of them does.
    """

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    edit: str = ""

    @classmethod
    def node(cls, name: str) -> Ref:
        """A node."""
        return cls("Node", name, uid=name)


@dataclass(slots=True)
class Told:
    """What is to be written about one object, or was.

    Attributes:
        message: the last one.
        count: how often it happened.
        first: when for the first time, in seconds since 1970.
        last: and for the last.
        name: of the Event that says so; empty before it is written.
        at: when it was written, in monotonic seconds.
    """

    message: str
    count: int
    first: float
    last: float
    name: str = ""
    at: float = float("-inf")


Key = tuple[Ref, Reason]


@dataclass(slots=True)
class Recorder:
    """Writes the Events of one agent.

    Attributes:
        api: the door.
        node: the node's name.
        pace: how often one may be written.
        troubles: where it is told that none can be written, or not all.
        clock: monotonic seconds.
        lacking: seconds that a missing right is left alone.
        written: how often one was written so far.
        spread: seconds over which an Event waits, by chance: an edit is seen by all nodes at once.
    """

    api: Api
    node: str
    pace: Pace
    troubles: Troubles
    clock: Callable[[], float] = time.monotonic
    lacking: float = LACKING
    spread: float = SPREAD
    backoff: Backoff = field(default_factory=Backoff)
    written: int = 0
    _waiting: OrderedDict[Key, Told] = field(default_factory=OrderedDict)
    _written: OrderedDict[Key, Told] = field(default_factory=OrderedDict)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, ref: Ref, reason: Reason, message: str) -> None:
        """Something happened to an object. Returns at once."""
        now = time.time()
        message = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
        known = self._waiting.get((ref, reason))
        if known:
            known.message, known.last, known.count = message, now, known.count + 1
        else:
            self._waiting[ref, reason] = Told(message, 1, now, now)
            if len(self._waiting) > KEPT:
                self._waiting.popitem(last=False)
                self.troubles.say(TOO_MANY, f"{KEPT} wait to be written")
        self._bell.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self._bell.clear()
            key, wait = self._next()
            if key is None:
                await self._sleep(wait)
                continue
            await asyncio.sleep(random.uniform(0, self.spread))
            await self.pace.wait()
            key, _ = self._next()  # a more urgent one may have come, and that one may be gone
            if key is not None:
                await self._write(key)

    def _next(self) -> tuple[Key | None, float | None]:
        """Whose turn it is now; or the seconds until it is somebody's, None for nobody's."""
        now = self.clock()
        due = {key: self._due(key, now) for key in self._waiting}
        ready = [key for key, at in due.items() if at <= now]
        if ready:
            return next((key for key in ready if key[1].urgent), ready[0]), 0.0
        return None, min(due.values()) - now if due else None

    def _due(self, key: Key, now: float) -> float:
        before = self._written.get(key)
        return before.at + key[1].quiet if before else now

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _write(self, key: Key) -> None:
        told = self._waiting.pop(key)
        try:
            await self._send(key, told)
        except ClusterError as error:
            self._later(key, told)
            self.troubles.say(_NONE, str(error))
            forbidden = isinstance(error, Forbidden)
            await asyncio.sleep(self.lacking if forbidden else self.backoff.next())
            return
        self.troubles.say(_NONE)
        if len(self._waiting) < KEPT // 2:
            self.troubles.say(TOO_MANY)
        self.backoff.reset()
        told.at, self.written = self.clock(), self.written + 1
        self._written[key] = told
        self._written.move_to_end(key)
        if len(self._written) > KEPT:
            self._written.popitem(last=False)

    def _later(self, key: Key, told: Told) -> None:
        """It could not be written; what came meanwhile is newer."""
        newer = self._waiting.get(key)
        if newer:
            newer.count, newer.first = newer.count + told.count, told.first
        else:
            self._waiting[key] = told

    async def _send(self, key: Key, told: Told) -> None:
        """As one more of the Event that says the same, else as a new one."""
        ref, before = key[0], self._written.get(key)
        namespace = ref.namespace or "default"
        if before and before.message == told.message:
            told.count, told.first = told.count + before.count, before.first
            told.name = before.name
            body = {"count": told.count, "lastTimestamp": _stamp(told.last)}
            try:
                await self.api.merge(EVENTS, body, before.name, namespace)
            except NotFound:  # events live for an hour
                told.count, told.first = told.count - before.count, told.last
                await self.pace.wait()
            else:
                return
        event = self._event(key, told, namespace)
        told.name = str(metadata(event).get("name", ""))
        try:
            await self.api.create(EVENTS, event, namespace)
        except Conflict:  # another node has said it
            if not ref.edit:
                raise

    def _event(self, key: Key, told: Told, namespace: str) -> Object:
        ref, reason = key
        about: dict[str, Any] = {"apiVersion": "v1", "kind": ref.kind, "name": ref.name}
        about |= {"namespace": ref.namespace} if ref.namespace else {}
        about |= {"uid": ref.uid} if ref.uid else {}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": _event_name(ref, told.message), "namespace": namespace},
            "involvedObject": about,
            "reason": reason.name,
            "message": told.message,
            "type": "Warning" if reason.warning else "Normal",
            "count": told.count,
            "firstTimestamp": _stamp(told.first),
            "lastTimestamp": _stamp(told.last),
            "source": {"component": COMPONENT, "host": self.node},
            "reportingComponent": COMPONENT,
            "reportingInstance": self.node,
        }


def object_ref(kind: str, thing: Mapping[str, Any]) -> Ref:
    """The reference of an object at its present version."""
    meta = metadata(thing)
    keys = ("name", "namespace", "uid", "resourceVersion")
    return Ref(kind, *(str(meta.get(key, "")) for key in keys))


def _event_name(ref: Ref, message: str) -> str:
    """A name of its own; for what every node says, the same on each of them."""
    same = hashlib.sha256(f"{ref.uid}/{ref.edit}/{message}".encode()).hexdigest()[:16]
    return f"{ref.name}.{same if ref.edit else secrets.token_hex(8)}"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
