"""A cluster with GPU nodes, and what a person does to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rota.cluster.kube import KubeApi
from rota.deploy.apply import Request, apply
from rota.deploy.install import How, Step
from rota.deploy.options import Options, chosen
from rota.deploy.rollback import Rollback
from rota.deploy.source import read_source
from tests.cluster.fake import FakeCluster
from tests.cluster.fake.fleet import GPU, Fleet
from tests.cluster.fake.http import Request as Asked

IMAGE = "here.example/rota:1"
NAMESPACE = "gpu-operator-resources"
POLICY = ("clusterpolicies", "", "cluster-policy")
CONFIG_MAP = ("configmaps", NAMESPACE, "time-slicing-config")


def sharing(replicas: int, more: str = "") -> str:
    """A time-slicing config."""
    return (
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n"
        f"    - name: {GPU}\n      replicas: {replicas}\n{more}"
    )


class World:
    """One cluster."""

    def __init__(self, cluster: FakeCluster, api: KubeApi, folder: Path) -> None:
        self.cluster, self.api, self.store = cluster, api, cluster.store
        self.lines: list[str] = []
        self._folder = folder
        self._fleet: Fleet | None = None

    @property
    def fleet(self) -> Fleet:
        assert self._fleet
        return self._fleet

    def begin(self, operator: str = "", **gpus: int) -> Fleet:
        """Nodes with so many GPUs, `gpu-1` and `gpu-2` with one and two unless others are named."""
        named = {name.replace("_", "-"): count for name, count in gpus.items()}
        self._fleet = Fleet(self.store, named or {"gpu-1": 1, "gpu-2": 2, "cpu-1": 0}, operator)
        return self._fleet

    def say(self, mark: str, about: str, what: str) -> None:
        self.lines.append(f"{mark} {about} {what}".rstrip())

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def request(
        self, text: str = "", *pairs: str, overlay: str = "", how: How | None = None,
        timeout: float = 20.0,
    ) -> Request:  # fmt: skip
        file = self._folder / "config.yaml"
        file.write_text(text or sharing(4))
        blank = Options(namespace="", image=IMAGE, config_key="")
        options = chosen(blank, pairs)
        source = read_source(str(file), options.config_key)
        return Request(source, options, overlay, how or How(), timeout, first=0.02)

    async def apply(self, *args: Any, **kwargs: Any) -> list[Step]:
        self.lines.clear()
        return await apply(self.api, self.request(*args, **kwargs), self.say)

    async def rollback(self, *, timeout: float = 20.0, force: bool = False) -> bool:
        self.lines.clear()
        return await Rollback(self.api, self.say, timeout, force).run()

    def cut(self, number: int, how: str) -> Callable[[], bool]:
        """Break the connection at the n-th write; tells whether it came to that."""
        writes = 0

        def at(asked: Asked) -> Any:
            nonlocal writes
            writes += asked.method != "GET"
            return how if writes == number and asked.method != "GET" else ""

        self.cluster.cut = at
        return lambda: writes >= number

    def pod(self, name: str, count: int = 1, node: str = "gpu-1", phase: str = "Running") -> None:
        """Somebody's pod that holds replicas."""
        container = {"name": "main", "resources": {"limits": {GPU: str(count)}}}
        body = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "containers": [container]},
            "status": {"phase": phase},
        }
        self.store.create("pods", body, "somebody")
