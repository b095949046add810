"""What an earlier proof left behind because it was killed; found by labels, removed on request."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rota.cluster.door import (
    DEPLOYMENTS,
    PODS,
    Api,
    Forbidden,
    Kind,
    NotFound,
    Object,
    View,
    annotations_of,
    metadata,
)
from rota.verify.objects import OURS, ROLE, UNTIL, WHO


@dataclass(frozen=True, slots=True)
class Trace:
    """One object that was left.

    Attributes:
        kind: its kind.
        namespace, name: where it is.
        since: when it was made, as the API writes it.
    """

    kind: Kind
    namespace: str
    name: str
    since: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}, since {self.since}"


def this_process() -> str:
    """Who makes pods: this machine's name and the process."""
    return f"{socket.gethostname()}/{os.getpid()}"


async def traces(
    api: Api, namespace: str, clock: Callable[[], float] = time.time
) -> tuple[Trace, ...]:
    """What no running proof can be making use of.

    Args:
        api: the door.
        namespace: where to look if one may not look everywhere.
        clock: seconds since 1970.

    Raises:
        ClusterError: the server is away; or not even that namespace may be looked at.
    """
    found: list[Trace] = []
    for kind, labels in ((DEPLOYMENTS, OURS), (PODS, f"{OURS},{ROLE}=one-more")):
        for thing in await _everywhere(api, kind, labels, namespace):
            if _is_left(thing, clock()):
                meta = metadata(thing)
                since = str(meta.get("creationTimestamp") or "some time")
                found.append(Trace(kind, str(meta["namespace"]), str(meta["name"]), since))
    return tuple(found)


async def sweep(api: Api, left: Iterable[Trace]) -> None:
    """Remove them. Raises ClusterError."""
    for trace in left:
        try:
            await api.delete(trace.kind, trace.name, trace.namespace, propagation="Background")
        except NotFound:
            continue


async def _everywhere(api: Api, kind: Kind, labels: str, namespace: str) -> tuple[Object, ...]:
    try:
        return (await api.list(View(kind, labels=labels), fresh=True)).items
    except Forbidden:
        return (await api.list(View(kind, namespace, labels=labels), fresh=True)).items


def _is_left(thing: Object, now: float) -> bool:
    """Its process is gone from this machine, or it had to be over by now."""
    notes = annotations_of(thing)
    host, _, pid = notes.get(WHO, "").partition("/")
    if host == socket.gethostname() and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
        return True
    until = notes.get(UNTIL, "")
    return not until.isdecimal() or now > int(until)
