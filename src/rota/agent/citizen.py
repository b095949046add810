"""What the agent is in its cluster: the views it follows, the Events and labels it writes.

It knows the Kubernetes API and nothing of GPUs or the kubelet. The agent asks it for the config and
for pods' wishes, and tells it what is served and who is on the GPUs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rota.agent.logs import Logger
from rota.cluster.chosen import LABEL, Chosen, choose
from rota.cluster.door import (
    CONFIG_MAPS,
    NODES,
    PODS,
    Api,
    ClusterError,
    Object,
    View,
    labels_of,
)
from rota.cluster.events import SPREAD, Recorder, Ref
from rota.cluster.follow import Follow, Sink, Timing
from rota.cluster.labels import FeatureFile, NodeLabels
from rota.cluster.pace import BURST, EVERY, Pace
from rota.cluster.pods import PodFacts, Pods
from rota.cluster.reasons import BAD_ANNOTATION, EVICTED, Reason
from rota.cluster.restart import WAIT, Restarter
from rota.cluster.selector import Selector
from rota.cluster.troubles import Troubles
from rota.cluster.view import One, data_of, ref_of


@dataclass(frozen=True, slots=True)
class Terms:
    """How an agent takes part in its cluster.

    Attributes:
        config_map: namespace and name; None where the config is a file.
        default_key: the key for nodes without a label; empty for none.
        labels: `all`, `own` (only rota.dev/) or `none`.
        feature_file: labels go through node feature discovery, by this file.
        beside: NVIDIA's plugin serves this node: advertise nothing, restart it after an edit.
    """

    config_map: tuple[str, str] | None = None
    default_key: str = ""
    labels: Literal["all", "own", "none"] = "all"
    feature_file: Path | None = None
    beside: Selector | None = None


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often the API server is asked. All in seconds but `burst`.

    Attributes:
        timing: how views are followed.
        every: from question to question in the long run, for watches and labels, and for Events.
        burst: questions that may come at once.
        spread: over which nodes spread what an edit makes them write.
        restarts: from try to try for the Lease, from the first to the longest.
        look: between looks whether NVIDIA's plugin is ready.
    """

    timing: Timing = field(default_factory=Timing)
    every: float = EVERY
    burst: int = BURST
    spread: float = SPREAD
    restarts: tuple[float, float] = WAIT
    look: float = 10.0


class Citizen:
    """One agent in its cluster.

    Args:
        api: the door.
        node: the node's name.
        terms: how it takes part.
        log: where troubles are told.
        edited: called when this node's config may be another one.
        wishes_changed: called when a pod's wish changed, or it is being deleted.
        tempo: how often the server is asked.
    """

    def __init__(
        self,
        api: Api,
        node: str,
        terms: Terms,
        log: Logger,
        *,
        edited: Callable[[], None],
        wishes_changed: Callable[[], None],
        tempo: Tempo | None = None,
    ) -> None:
        """Nothing is asked before `tasks` run."""
        self._api = api
        self._node = node
        self._terms = terms
        self._edited = edited
        self._tempo = tempo = tempo or Tempo()
        self.troubles = Troubles(log)
        self._pace = Pace(tempo.every, tempo.burst)
        pace = Pace(tempo.every, tempo.burst)
        self.recorder = Recorder(
            api, node, pace, self.troubles, spread=tempo.spread,
            lacking=tempo.timing.lacking,
        )  # fmt: skip
        beside = terms.beside
        self.pods = Pods(wishes_changed, self._bad, beside.fits if beside else lambda *_: False)
        self._own = One(self._node_changed)
        self._map = One(lambda _: self._config_changed())
        self._label = ""
        self._follows = self._make_follows()
        self.labels = self._make_labels()
        self._restarter = self._make_restarter(beside, log) if beside else None
        self._seen: tuple[str, Mapping[str, str] | None] | None = None

    @property
    def node_ref(self) -> Ref:
        """This node, for an Event."""
        return Ref.node(self._node)

    @property
    def config_ref(self) -> Ref | None:
        """The ConfigMap at its present version; None where the config is a file."""
        name = self._terms.config_map
        return ref_of(self._map.thing, *name) if name else None

    @property
    def source(self) -> str:
        """The ConfigMap as `namespace/name`; empty where the config is a file."""
        return "/".join(self._terms.config_map or ())

    @property
    def knows_config(self) -> bool:
        """The ConfigMap was seen, or seen to be missing, and the node's label too.

        Where the label may not be seen, the default counts.
        """
        return self._map.known and (self._own.known or self._own.hidden)

    def config(self) -> Chosen:
        """This node's config. NoConfig where the ConfigMap has none for it."""
        where = f"ConfigMap {self.source}"
        return choose(data_of(self._map.thing), self._label, self._terms.default_key, where)

    def pod_of(self, client: str) -> PodFacts | None:
        """The pod of a client; None for a local job and an unknown pod."""
        parts = client.split("/")
        return self.pods.of(parts[0], parts[1]) if len(parts) == 3 else None

    def tell(self, ref: Ref | None, reason: Reason, message: str) -> None:
        """Write an Event soon."""
        if ref is not None:
            self.recorder.tell(ref, reason, message)

    async def evict(self, client: str, why: str) -> None:
        """Have the pod of a client ended, with an Event that says why.

        Raises:
            ClusterError: it is not known, may not be evicted, or not now.
        """
        pod = self.pod_of(client)
        if pod is None:
            raise ClusterError("no pod of that name is known here", where=client)
        namespace, name, _ = client.split("/")
        await self._api.evict(name, namespace, pod.uid)
        self.tell(self.pods.ref(namespace, name), EVICTED, why)

    def checked(self) -> None:
        """An edit checks out: NVIDIA's plugin should read it."""
        if self._restarter:
            self._restarter.due()

    async def settled(self, within: float) -> None:
        """Until the node and the ConfigMap were asked for, at most so many seconds."""
        waits = [one.settled.wait() for one in self._follows if one.view.kind != PODS]
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*waits)
        except TimeoutError:
            return

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        tasks = {f"follow {one.view.kind.plural}": one.run for one in self._follows}
        tasks["events"] = self.recorder.run
        if self.labels:
            tasks["labels"] = self.labels.run
        if self._restarter:
            tasks["restarts"] = self._restarter.run
        return tasks

    async def close(self) -> None:
        """Hang up."""
        await self._api.close()

    def _make_follows(self) -> tuple[Follow, ...]:
        node = View(NODES, fields=f"metadata.name={self._node}", metadata_only=True)
        pods = View(PODS, fields=f"spec.nodeName={self._node}", metadata_only=True)
        found = [
            self._follow(node, self._own, "the node's label is not read"),
            self._follow(pods, self.pods, "pods' annotations and deletions are not seen"),
        ]
        if name := self._terms.config_map:
            config = View(CONFIG_MAPS, name[0], f"metadata.name={name[1]}")
            found.append(self._follow(config, self._map, "edits of the config are not seen"))
        return tuple(found)

    def _follow(self, view: View, sink: Sink, what: str) -> Follow:
        timing = self._tempo.timing
        return Follow(self._api, view, sink, self._pace, self.troubles, what, timing)

    def _make_labels(self) -> NodeLabels | FeatureFile | None:
        if self._terms.labels == "none":
            return None
        if path := self._terms.feature_file:
            return FeatureFile(path, self.troubles)
        tempo = self._tempo
        return NodeLabels(
            self._api, self._node, self._pace, self.troubles, tempo.spread, tempo.timing.lacking
        )

    def _make_restarter(self, selector: Selector, log: Logger) -> Restarter:
        tempo = self._tempo
        return Restarter(
            self._api, self._node, selector, self.pods, self._pace, self.recorder, self.troubles,
            log, wait=tempo.restarts, look=tempo.look, lacking=tempo.timing.lacking,
        )  # fmt: skip

    def _bad(self, pod: Ref, what: str) -> None:
        self.recorder.tell(pod, BAD_ANNOTATION, what)

    def _node_changed(self, node: Object | None) -> None:
        found = labels_of(node or {})
        self._label = found.get(LABEL, "")
        if self.labels and node:
            self.labels.seen(found)
        self._config_changed()

    def _config_changed(self) -> None:
        """Only what can make another config of it is an edit."""
        now = (self._label, data_of(self._map.thing))
        if self.knows_config and now != self._seen:
            self._seen = now
            self._edited()
