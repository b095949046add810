"""Waits, with progress, until every node serves what was applied, or tells which does not and why.

It looks again and again, at what the API server keeps in memory; a server that is away for a while
only makes it longer. A node that will not serve before somebody does something is waited for only as
long as others still may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rota.cluster.door import (
    DAEMON_SETS,
    EVENTS,
    NODES,
    PODS,
    Api,
    Away,
    Forbidden,
    NotFound,
    Object,
    View,
    metadata,
)
from rota.deploy.daemonset import NAME, NAMES
from rota.deploy.nodes import Seen, State, Wanted, judge
from rota.deploy.options import PLUGIN_LABEL
from rota.deploy.progress import Tell
from rota.deploy.rollout import Rollout, node_of, rollout_of, why_no_pods
from rota.errors import RotaError

FIRST, LONGEST = 0.5, 5.0
"""Seconds between two looks: at first, and at most."""

SURE = 3
"""Looks in a row after which a node that is stuck counts as stuck."""

_SELECTOR = ",".join(f"{key}={value}" for key, value in NAMES.items())


class NotServed(RotaError):
    """Some nodes do not serve it."""


@dataclass(slots=True)
class Waiting:
    """Waits for the nodes of one installation.

    Attributes:
        api: the door.
        namespace: where it is.
        wanted: what nodes should serve.
        tell: where progress goes.
        timeout: seconds in all.
        first: seconds between two looks at the beginning.
    """

    api: Api
    namespace: str
    wanted: Wanted
    tell: Tell
    timeout: float
    first: float = FIRST
    clock: Callable[[], float] = time.monotonic
    _told: dict[str, State] = field(default_factory=dict)
    _stuck: int = 0
    _away: bool = False
    _refused: str = ""

    async def run(self) -> int:
        """Wait; the number of nodes that serve it.

        Raises:
            NotServed: some do not, in time or at all.
        """
        states: Mapping[str, State] = {}
        rollout = Rollout(None)
        async for _ in self._looks():
            try:
                rollout, states = await self._look()
            except Away as error:
                self._lost(error)
                continue
            self._away = False
            self._say(states)
            self._say_refused(rollout)
            if rollout.nodes == 0:
                raise _nowhere(self.namespace)
            if self._whole(rollout, states):
                return len(states)
            if self._hopeless(rollout, states):
                break
        raise _not_served(rollout, states, self.timeout)

    async def _looks(self) -> AsyncIterator[None]:
        end, pause = self.clock() + self.timeout, self.first
        while True:
            yield
            left = end - self.clock()
            if left <= 0:
                return
            await asyncio.sleep(min(pause, left))
            pause = min(LONGEST, pause * 1.5)

    async def _look(self) -> tuple[Rollout, dict[str, State]]:
        rollout = rollout_of(await self.api.get(DAEMON_SETS, NAME, self.namespace))
        pods = await self._by_node(_SELECTOR)
        if len(pods) < (rollout.nodes or 0):
            rollout = replace(rollout, refused=await why_no_pods(self.api, self.namespace))
        nodes = {metadata(one)["name"]: one for one in (await self.api.list(View(NODES))).items}
        plugins = await self._by_node(PLUGIN_LABEL) if self.wanted.beside else {}
        refusals = await self._refusals()
        seen = {
            name: Seen(nodes.get(name), pod, plugins.get(name), refusals.get(name, ()))
            for name, pod in pods.items()
        }
        return rollout, {name: judge(one, self.wanted) for name, one in sorted(seen.items())}

    async def _by_node(self, labels: str) -> dict[str, Object]:
        """Pods by node; where an old one is ending beside its successor, the newer."""
        found = (await self.api.list(View(PODS, self.namespace, labels=labels))).items
        old_first = sorted(found, key=lambda pod: str(metadata(pod).get("creationTimestamp", "")))
        known = [(node_of(pod), pod) for pod in old_first]
        return {
            node: pod for node, pod in known if node and not metadata(pod).get("deletionTimestamp")
        }

    async def _refusals(self) -> dict[str, list[Object]]:
        fields = "involvedObject.kind=Node,reason=ConfigRefused"
        try:
            listing = await self.api.list(View(EVENTS, "default", fields=fields))
        except (Forbidden, NotFound):  # then nodes are only said to be late
            return {}
        found: dict[str, list[Object]] = {}
        for event in listing.items:
            found.setdefault(str(event["involvedObject"]["name"]), []).append(event)
        return found

    def _lost(self, error: Away) -> None:
        if not self._away:
            self.tell("note", "API server", f"{error}; still waiting")
        self._away = True

    def _say(self, states: Mapping[str, State]) -> None:
        for name, state in states.items():
            if self._told.get(name) != state:
                mark: Any = {"ok": "ok", "wait": "wait", "bad": "FAIL"}[state.stage]
                hint = f" ({state.hint})" if state.hint else ""
                self.tell(mark, f"node {name}", state.what + hint)
        self._told = dict(states)

    def _say_refused(self, rollout: Rollout) -> None:
        if rollout.refused and rollout.refused != self._refused:
            self.tell("FAIL", f"DaemonSet {self.namespace}/{NAME}", str(rollout.refused))
        self._refused = rollout.refused

    def _whole(self, rollout: Rollout, states: Mapping[str, State]) -> bool:
        ok = [name for name, state in states.items() if state.stage == "ok"]
        return (
            rollout.nodes is not None
            and len(ok) == len(states) >= rollout.nodes
            and rollout.updated >= rollout.nodes
        )

    def _hopeless(self, rollout: Rollout, states: Mapping[str, State]) -> bool:
        """Nobody is left to wait for, several times in a row."""
        waits = [state for state in states.values() if state.stage == "wait"]
        bad = any(state.stage == "bad" for state in states.values()) or rollout.refused
        over = bad and not waits and (rollout.refused or len(states) == rollout.nodes)
        self._stuck = self._stuck + 1 if over else 0
        return self._stuck >= SURE


def _nowhere(namespace: str) -> NotServed:
    return NotServed(
        "no node is one for it: none is labelled as having an NVIDIA GPU",
        where=f"DaemonSet {namespace}/{NAME}",
        hint="install node feature discovery, or kubectl label node NODE nvidia.com/gpu.present=true",
    )


def _not_served(rollout: Rollout, states: Mapping[str, State], seconds: float) -> NotServed:
    late = {name: state for name, state in states.items() if state.stage != "ok"}
    if rollout.nodes is None:
        what = f"its controller has not seen the DaemonSet after {seconds:g} s"
        return NotServed(what, hint="call it again to go on waiting")
    count = max(rollout.nodes, len(states))
    why = "".join(f"\n  {name}: {state.what}{_hint(state)}" for name, state in late.items())
    why += f"\n  no pod on {count - len(states)}: {rollout.refused}" if rollout.refused else ""
    bad = len(late) + count - len(states)
    what = f"{bad} of {count} nodes do not serve it" + (
        f":{why}" if why else f" after {seconds:g} s"
    )
    return NotServed(what, hint="call it again to go on waiting")


def _hint(state: State) -> str:
    return f" ({state.hint})" if state.hint else ""
