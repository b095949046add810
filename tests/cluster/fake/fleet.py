"""GPU nodes whose kubelets, controllers, agents and operator do at once what real ones take seconds for.

The DaemonSet `rota` gets a pod on each node with a GPU. Its agent, if the pod is ready, reads the
ConfigMap that its arguments name, labels the node, and, alone, serves the replicas. With an operator,
NVIDIA's plugin serves what the ClusterPolicy names. Emulated, as its log says nowhere: it is a toy.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from rota.cluster.chosen import LABEL, NoConfig, choose, fingerprint
from rota.config.load import ConfigError, load_text
from rota.config.schema import Config
from tests.cluster.fake.fields import Thing
from tests.cluster.fake.store import Past, Store

GPU = "nvidia.com/gpu"
PLUGIN = "nvidia-device-plugin-daemonset"
START = "2026-11-25T12:00:00Z"
READY = {"type": "Ready", "status": "True"}


@lru_cache
def _loaded(text: str, file: str) -> Config:
    return load_text(text, file).config


class Fleet:
    """The nodes of a cluster.

    Attributes:
        store: the objects.
        gpus: node → how many it has.
        operator: the operator's namespace; empty where there is none.
        stuck: node → status that Rota's pod has there instead of being ready.
        deaf: nodes whose agents read no config.
        frozen: nodes whose kubelet tells nothing new.
        denied: why the API server takes no pod of Rota; empty where it does.
    """

    def __init__(self, store: Store, gpus: dict[str, int], operator: str = "") -> None:
        self.store, self.gpus, self.operator = store, gpus, operator
        self.stuck: dict[str, Thing] = {}
        self.deaf: set[str] = set()
        self.frozen: set[str] = set()
        self.denied = ""
        self._busy = False
        self._serves, self._started = "", START
        store.namespaced = True
        for name, count in gpus.items():
            self._make_node(name, count)
        for name in {"default", operator} - {""}:
            store.create("namespaces", {"metadata": {"name": name}}, "admin")
        if operator:
            self._make_operator(operator)
        store.listen(self._changed)
        self.settle()

    def _make_node(self, name: str, count: int) -> None:
        labels = {"nvidia.com/gpu.present": "true"} if count else {}
        if count and self.operator:
            labels[f"{GPU}.count"] = str(count)
        meta = {"name": name, "labels": labels}
        self.store.create(
            "nodes", {"metadata": meta, "status": {"allocatable": {"cpu": "8"}}}, "gfd"
        )

    def _make_operator(self, namespace: str) -> None:
        policy = {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "cluster-policy"},
            "spec": {"devicePlugin": {"enabled": True, "version": "v0.20.0"}},
            "status": {"state": "ready", "namespace": namespace},
        }
        self.store.create("clusterpolicies", policy, "helm")
        meta = {"name": PLUGIN, "namespace": namespace, "labels": {"app": PLUGIN}}
        container = {"name": PLUGIN, "image": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"}
        template = {"metadata": {"labels": {"app": PLUGIN}}, "spec": {"containers": [container]}}
        body = {"metadata": meta, "spec": {"template": template}}
        self.store.create("daemonsets", body, "gpu-operator")

    def _changed(self, _: Past) -> None:
        if not self._busy:
            self.settle()

    def settle(self) -> None:
        """Do what there is to do, until there is nothing."""
        self._busy = True
        try:
            while True:
                before = self.store.version
                self._daemon_sets()
                for name, count in self.gpus.items():
                    self._node(name, count)
                if self.store.version == before:
                    return
        finally:
            self._busy = False

    def _daemon_sets(self) -> None:
        wanted: dict[tuple[str, str], Thing] = {}
        for one in self.store.all("daemonsets"):
            nodes = [name for name, count in self.gpus.items() if count]
            if self.denied and one["metadata"]["name"] == "rota":
                self._deny(one["metadata"]["namespace"])
                nodes_served: list[str] = []
            else:
                nodes_served = nodes
            for node in nodes_served:
                pod = self._pod(one, node)
                wanted[pod["metadata"]["namespace"], pod["metadata"]["name"]] = pod
            self._set("daemonsets", one, "status", {
                "observedGeneration": one["metadata"].get("generation", 0),
                "desiredNumberScheduled": len(nodes), "updatedNumberScheduled": len(nodes),
            })  # fmt: skip
        for pod in list(self.store.all("pods")):
            key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            if pod["metadata"].get("ownerReferences") and (
                key not in wanted or pod["spec"] != wanted[key]["spec"]
            ):
                self.store.delete("pods", *key)
        for key, pod in wanted.items():
            if ("pods", *key) not in self.store.objects:
                self.store.create("pods", pod, "controller")
            self._set("pods", self.store.get("pods", *key), "status", pod["status"])

    def _pod(self, one: Thing, node: str) -> Thing:
        meta, template = one["metadata"], one["spec"]["template"]
        start = self._restarted() if meta["name"] == PLUGIN else START
        running = [
            {"name": container["name"], "ready": True, "restartCount": 0,
             "state": {"running": {"startedAt": start}}}
            for container in template.get("spec", {}).get("containers", ())
        ]  # fmt: skip
        status: Thing = {
            "phase": "Running", "conditions": [READY], "startTime": start,
            "containerStatuses": running,
        }  # fmt: skip
        if meta["name"] == "rota" and node in self.stuck:
            status = self.stuck[node]
        owner = {"kind": "DaemonSet", "name": meta["name"]}
        return copy.deepcopy({
            "metadata": {
                "name": f"{meta['name']}-{node}", "namespace": meta["namespace"],
                "labels": template["metadata"]["labels"], "ownerReferences": [owner],
            },
            "spec": {**template.get("spec", {}), "nodeName": node},
            "status": status,
        })  # fmt: skip

    def _restarted(self) -> str:
        """When NVIDIA's plugin was started last: by its operator or by Rota, for another config."""
        (policy,) = self.store.all("clusterpolicies")
        said = policy["spec"]["devicePlugin"].get("config") or {}
        found = self.store.objects.get(("configmaps", self.operator, said.get("name", "")), {})
        serves = json.dumps([said, found.get("data")], sort_keys=True)
        if serves != self._serves:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._serves, self._started = serves, now if self._serves else START
        return self._started

    def _node(self, name: str, count: int) -> None:
        config = self._agent(name, count)
        if name in self.frozen:
            return
        if self.operator:
            config = self._plugin(name)
            if config is None:
                config = Config()
        have = self._allocatable(config, count) if config else {}
        status = {"allocatable": {"cpu": "8", **have}, "capacity": {"cpu": "8", **have},
                  "conditions": [READY]}  # fmt: skip
        self._set("nodes", self.store.get("nodes", "", name), "status", status)

    def _allocatable(self, config: Config, count: int) -> dict[str, str]:
        times = 1
        for entry in config.sharing.resources:
            times = entry.replicas
        return {GPU: str(count * times)} if count else {}

    def _agent(self, node: str, count: int) -> Config | None:
        """What Rota's agent there serves; it labels the node, and tells of a config it refuses."""
        for pod in list(self.store.all("pods")):
            if pod["metadata"]["name"] == f"rota-{node}" and READY in pod["status"]["conditions"]:
                return self._serve(node, count, pod)
        return None

    def _serve(self, node: str, count: int, pod: Thing) -> Config | None:
        args = " ".join(pod["spec"]["containers"][0]["args"])
        namespace = pod["metadata"]["namespace"]
        name, key = (_option(args, option) for option in ("config-map", "config-key"))
        place = (namespace, name.removeprefix("$(NAMESPACE)/"))
        found = self.store.objects.get(("configmaps", *place))
        label = self.store.get("nodes", "", node)["metadata"]["labels"].get(LABEL, "")
        if node in self.deaf or not found:
            return None
        try:
            text = choose(found.get("data"), label, key, "/".join(place)).text
            config = _loaded(text, f"ConfigMap {'/'.join(place)}[{key}]")
        except (NoConfig, ConfigError) as error:
            self._refuse(node, str(error))
            return None
        labels = {"rota.dev/turns": "exclusive", "rota.dev/config": fingerprint(text)}
        if "--beside-nvidia" not in args:
            labels[f"{GPU}.count"] = str(count)
        body = {"metadata": {"name": node, "labels": labels}}
        self.store.apply("nodes", "", node, body, "rota")
        return config

    def _refuse(self, node: str, why: str) -> None:
        name = f"{node}.{abs(hash(why))}"
        if ("events", "default", name) not in self.store.objects:
            self.store.create("events", {
                "metadata": {"name": name, "namespace": "default"}, "reason": "ConfigRefused",
                "involvedObject": {"kind": "Node", "name": node}, "message": why,
                "lastTimestamp": "2126-11-25T12:00:00Z",
            })  # fmt: skip

    def _deny(self, namespace: str) -> None:
        if ("events", namespace, "denied") not in self.store.objects:
            self.store.create("events", {
                "metadata": {"name": "denied", "namespace": namespace}, "reason": "FailedCreate",
                "involvedObject": {"kind": "DaemonSet", "name": "rota", "namespace": namespace},
                "message": self.denied, "lastTimestamp": START,
            })  # fmt: skip

    def _plugin(self, node: str) -> Config | None:
        """What NVIDIA's plugin serves: as the policy says, and whole GPUs where it says nothing."""
        (policy,) = self.store.all("clusterpolicies")
        said = policy["spec"]["devicePlugin"].get("config") or {}
        found = self.store.objects.get(("configmaps", self.operator, said.get("name", "")))
        if found is None:
            return None
        label = self.store.get("nodes", "", node)["metadata"]["labels"].get(LABEL, "")
        text = found["data"].get(label or said.get("default", ""))
        return _loaded(text, "config") if text else None

    def _set(self, plural: str, thing: Thing, key: str, value: Any) -> None:
        if thing.get(key) != value:
            meta = thing["metadata"]
            place = (plural, meta.get("namespace", ""), meta["name"])
            self.store.write(place, {**thing, key: value})

    @property
    def allocatable(self) -> dict[str, int]:
        """Node → replicas."""
        nodes = {node["metadata"]["name"]: node for node in self.store.all("nodes")}
        return {name: int(nodes[name]["status"]["allocatable"].get(GPU, 0)) for name in self.gpus}

    def snapshot(self) -> dict[tuple[str, str, str], Thing]:
        """Everything that people see of the cluster, without what the server keeps account of."""
        return dict(self._plain())

    def _plain(self) -> Iterator[tuple[tuple[str, str, str], Thing]]:
        for key, thing in sorted(self.store.objects.items()):
            if key[0] in ("events", "pods"):
                continue
            account = ("resourceVersion", "uid", "managedFields", "creationTimestamp", "generation")
            meta = {k: v for k, v in thing["metadata"].items() if k not in account and v != {}}
            plain = {k: v for k, v in thing.items() if k not in ("status", "kind", "apiVersion")}
            yield key, copy.deepcopy({**plain, "metadata": meta})


def _option(args: str, name: str) -> str:
    found = re.search(rf"--{name}=(\S*)", args)
    return found[1] if found else ""
