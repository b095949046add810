"""The figures of a node's agent, asked through the API server: no port-forward, no route to the node.

The API server's proxy leads to the agent's pod, with the rights of whoever asks (`pods/proxy`). It
takes the bearer token away, so an agent that wants one of its own cannot be asked this way.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from rota.cli.cluster_client import Access, explained
from rota.cluster.connect import connect
from rota.cluster.door import PODS, Api, Away, Object, View, labels_of, metadata
from rota.cluster.setup import agent_port, is_agent
from rota.errors import RotaError
from rota.figures.model import Snapshot, TurnPage
from rota.figures.wire import FiguresError, from_plain

T = TypeVar("T")

EVERY = 1.0
"""Seconds from look to look."""


class NoNodeAgent(RotaError):
    """That node has no agent that can be asked."""


class NodeReader:
    """The figures of one node's agent.

    Args:
        access: which cluster, as whom.
        node: the node's name.
    """

    def __init__(self, access: Access, node: str) -> None:
        """Nothing is asked yet."""
        self._access, self._node = access, node

    def state(self) -> Snapshot:
        """How everybody fares now.

        Raises:
            NoNodeAgent: no agent is on that node, or it does not tell its figures.
            ClusterError: the API server does not do it.
        """
        with self._asking() as ask:
            return ask(self._state)

    def follow(self, since: int | None = None) -> Iterator[Snapshot | TurnPage]:
        """A snapshot each second, until the server or the agent goes away. As `state`."""
        with self._asking() as ask:
            while True:
                began = time.monotonic()
                yield ask(self._state)
                time.sleep(max(0.0, EVERY - (time.monotonic() - began)))

    def _asking(self) -> _Asking:
        return _Asking(self._access)

    async def _state(self, api: Api) -> Snapshot:
        base = await self._find(api)
        try:
            raw = await api.fetch(f"{base}/api/v1/state")
        except Away as error:
            if "bearer token is needed" in error.what:  # the agent's own words
                raise self._none(
                    "its agent wants a token", "use --agent URL --token-file F"
                ) from None
            raise
        try:
            return from_plain(Snapshot, json.loads(raw))
        except ValueError:
            raise FiguresError(f"no answer of an agent: {raw[:80]!r}") from None

    async def _find(self, api: Api) -> str:
        """The path of the agent's figures, through the API server."""
        view = View(PODS, fields=f"spec.nodeName={self._node}")
        for pod in (await api.list(view, fresh=True)).items:
            if is_agent(pod.get("spec") or {}, labels_of(pod)):
                return self._path(pod)
        raise self._none("no agent of Rota runs on that node", "kubectl get pods -A -o wide")

    def _path(self, pod: Object) -> str:
        port = agent_port(pod.get("spec") or {})
        if port is None:
            raise self._none("its agent tells nothing over HTTP", "give it --listen ADDRESS:PORT")
        meta: Mapping[str, Any] = metadata(pod)
        scheme, number = port
        name = f"{scheme}:{meta['name']}:{number}" if scheme else f"{meta['name']}:{number}"
        return f"{PODS.path(str(meta['namespace']), name)}/proxy"

    def _none(self, what: str, hint: str) -> NoNodeAgent:
        return NoNodeAgent(what, where=f"node {self._node}", hint=hint)


class _Asking:
    """A connection that stays open from question to question, in any thread."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._runner = asyncio.Runner()
        self._api: Api | None = None

    def __enter__(self) -> Callable[[Callable[[Api], Coroutine[Any, Any, T]]], T]:
        return self._ask

    def __exit__(self, *_: object) -> None:
        if self._api is not None:
            self._runner.run(self._api.close())
        self._runner.close()

    def _ask(self, question: Callable[[Api], Coroutine[Any, Any, T]]) -> T:
        async def asked() -> T:
            if self._api is None:
                access = self._access
                self._api = connect(access.kubeconfig, access.context, access.timeout)
            return await question(self._api)

        with explained(self._access):
            return self._runner.run(asked())
