"""A node of a cluster: an embedded kubelet that runs what the DaemonSet says, and tells the API server.

The containers of Rota's pod are started with the arguments that the DaemonSet has, as processes of
this machine, with its capabilities and a root file system that is read-only where this machine lets
us: only the folders are others, and the GPU is emulated.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from rota.cluster.kube import KubeApi
from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec
from tests.cluster.fake import FakeCluster

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
READY = {"type": "Ready", "status": "True"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


READ_ONLY = """
mount --bind "$0" "$0"
mount -o remount,bind,ro /
exec setpriv --no-new-privs --inh-caps=-all --bounding-set="$@"
"""
"""Writable is the node's folder only, as the mounts of the pod are; then come the capabilities."""


@cache
def can_confine() -> bool:
    """Whether this machine lets us take rights away from a program, and make its files read-only."""
    asked = ["unshare", "--mount", "setpriv", "--bounding-set=-all", "true"]
    try:
        return subprocess.run(asked, capture_output=True).returncode == 0
    except OSError:
        return False


def confined(rights: dict[str, Any], folder: Path) -> list[str]:
    """What gives a program the rights of a container, before its command line.

    Nothing where this machine does not let us: then the program has ours.
    """
    if not can_confine():
        return []
    assert rights["readOnlyRootFilesystem"]
    assert rights["capabilities"]["drop"] == ["ALL"]
    kept = [f"+{name.lower()}" for name in rights["capabilities"]["add"]]
    unshare = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", READ_ONLY]
    return [*unshare, str(folder), ",".join(["-all", *kept])]


class Node:
    """The node `gpu-1`."""

    def __init__(self, cluster: FakeCluster, folder: Path, kubeconfig: Path, api: KubeApi) -> None:
        self.api, self.store, self.folder = api, cluster.store, folder
        self.kubelet = EmbeddedKubelet(folder / "node", node="gpu-1")
        self.port = free_port()
        self.environ = {**os.environ, "KUBECONFIG": str(kubeconfig), "NODE_NAME": "gpu-1"}
        self.containers: dict[str, asyncio.subprocess.Process] = {}
        self._pod: tuple[str, str, str] | None = None
        self._ready, self._since = False, ""

    async def run(self) -> None:
        """Do what a kubelet and the controllers do, until cancelled."""
        while True:
            await self._daemon_set()
            self._tell()
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        """End everything."""
        await self._end_containers()
        await self.kubelet.stop()

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait for something true."""
        async with asyncio.timeout(PATIENCE):
            while not (found := true()):
                await asyncio.sleep(0.05)
        return found

    async def _daemon_set(self) -> None:
        found = [one for one in self.store.all("daemonsets") if one["metadata"]["name"] == "rota"]
        if found and not self._pod:
            await self._start(found[0])
        elif not found and self._pod:
            await self._end_containers()
            self.store.delete(*self._pod)
            self._pod, self._ready = None, False
        if found:
            key = ("daemonsets", found[0]["metadata"]["namespace"], "rota")
            status = {
                "observedGeneration": found[0]["metadata"]["generation"],
                "desiredNumberScheduled": 1, "updatedNumberScheduled": 1,
            }  # fmt: skip
            self.store.write(key, {**found[0], "status": status})

    async def _start(self, daemon_set: dict[str, Any]) -> None:
        namespace, template = daemon_set["metadata"]["namespace"], daemon_set["spec"]["template"]
        self._pod = ("pods", namespace, "rota-abcde")
        self._since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = {"name": "rota-abcde", "namespace": namespace, **template["metadata"]}
        spec = {**template["spec"], "nodeName": "gpu-1"}
        self.store.create("pods", {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}})
        for container in spec["containers"]:
            args = [arg.replace("$(NAMESPACE)", namespace) for arg in container["args"]]
            name = container["name"]
            with (self.folder / f"{name}.log").open("wb") as log:
                self.containers[name] = await asyncio.create_subprocess_exec(
                    *confined(container["securityContext"], self.folder),
                    sys.executable, "-m", "tests.deploy.quick", *self._placed(args), env=self.environ, cwd=ROOT,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def _placed(self, args: list[str]) -> list[str]:
        """The same, in this node's folders and on an emulated GPU."""
        run = self.folder / "run"
        kept = [arg for arg in args if not arg.startswith(("--run-dir", "--listen"))]
        if args[0] == "gatekeeper":
            return [*kept, f"--run-dir={run}", f"--emulated={run / 'gpu'}"]
        return [
            *kept, f"--run-dir={run}", f"--listen=127.0.0.1:{self.port}",
            f"--kubelet-dir={self.kubelet.plugin_socket.parent}", "--emulate=rtx4070tisuper",
        ]  # fmt: skip

    async def _end_containers(self) -> None:
        for process in self.containers.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.containers.values():
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self.containers.clear()

    def _tell(self) -> None:
        """Say in the API what the kubelet knows."""
        node = self.store.get("nodes", "", "gpu-1")
        kubelet = {"allocatable": self.kubelet.allocatable(), "capacity": self.kubelet.capacity()}
        told = {key: {name: str(n) for name, n in have.items()} for key, have in kubelet.items()}
        self.store.write(
            ("nodes", "", "gpu-1"), {**node, "status": {**told, "conditions": [READY]}}
        )
        if self._pod:
            pod, socket = self.store.get(*self._pod), self.folder / "run" / "gatekeeper.sock"
            self._ready = self._ready or (socket.exists() and self._answers("/readyz"))
            running = {"state": {"running": {"startedAt": self._since}}, "ready": self._ready}
            states = [{"name": name, **running} for name in self.containers]
            status = {"phase": "Running", "conditions": [READY] if self._ready else [],
                      "containerStatuses": states}  # fmt: skip
            self.store.write(self._pod, {**pod, "status": status})

    def _answers(self, path: str) -> bool:
        with suppress(OSError):
            return self.ask(path) is not None
        return False

    def ask(self, path: str) -> str:
        """What the agent answers over HTTP."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self, container: str) -> list[dict[str, Any]]:
        """What a container has logged."""
        lines = (self.folder / f"{container}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def deploy(self, manifest: Path, namespace: str) -> list[str]:
        """`kubectl apply -f` of a Deployment, as its controllers would: the names of its pods."""
        (made,) = YAML(typ="safe").load_all(manifest.read_text())
        container = made["spec"]["template"]["spec"]["containers"][0]
        limits = container["resources"]["limits"]
        spec = ContainerSpec(container["name"], tuple(container["command"]), limits=limits)
        template = PodSpec("x", (spec,), namespace=namespace, termination_grace_seconds=1)
        names = self.kubelet.add_deployment(
            made["metadata"]["name"], made["spec"]["replicas"], template
        )
        for name in names:
            self.announce(namespace, name, {"containers": [container]})
        return list(names)

    def announce(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        """A pod that the API server knows of."""
        meta = {"name": name, "namespace": namespace}
        body = {"metadata": meta, "spec": {**spec, "nodeName": "gpu-1"}}
        self.store.create("pods", {**body, "status": {"phase": "Running"}})
