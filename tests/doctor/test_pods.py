"""Pods: each on a shared GPU holds what it uses, and none is refused again and again."""

from __future__ import annotations

from rota.cluster.gather import Gathered
from rota.config.findings import Level
from rota.doctor.look import diagnose
from rota.doctor.world import world
from tests.doctor.build import GPU, NOW, agent, event, ids, node, plugin, pod, said, well
from tests.doctor.test_nodes import only

TOO_MANY = (
    "Allocate failed due to rpc error: invalid request: maximum request size for shared "
    "resources is 1; found 2, which is unexpected"
)


def test_a_pod_that_helps_itself_to_a_shared_gpu() -> None:
    notebook = pod("notebook-0", 0, "lab", env="all", owner="StatefulSet notebook")
    found = only(said(**well() | {"pods": [plugin(), notebook]}), "unmanaged-pod")
    assert str(found.mark) == "Pod lab/notebook-0"
    assert "container main sees the GPUs of gpu-1 by NVIDIA_VISIBLE_DEVICES" in found.message
    assert "in StatefulSet notebook of lab" in found.hint


def test_none_is_a_choice_and_whole_gpus_are_nobodys_business() -> None:
    none, everything = pod("a", 0, env="void"), pod("b", 0, env="all")
    assert said(**well() | {"pods": [plugin(), none]}) == []
    whole = node(offers=1, sharing="none")
    found = said(nodes=[whole], pods=[plugin(), everything])
    assert found == []


def test_what_watches_gpus_by_trade_is_not_counted() -> None:
    exporter = pod("nvidia-dcgm-exporter-x", 0, "gpu-operator", env="all")
    assert said(**well() | {"pods": [plugin(), exporter]}) == []
    ours = agent("gpu-1", "--beside-nvidia")
    ours["spec"]["containers"][0]["env"] = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]
    ours["metadata"]["name"] = "by-another-name"
    assert said(**well() | {"pods": [plugin(), ours]}) == []


def test_an_agent_told_of_one_that_env_does_not_show() -> None:
    told = (
        event("UnmanagedGpuUse", "Pod lab/privileged", "uses GPU-1 without holding a replica"),
        event("UnmanagedGpuUse", "Pod lab/gone", "uses GPU-1 without holding a replica"),
    )
    pods = [plugin(), pod("privileged", 0, "lab")]
    found = only(said(**well() | {"pods": pods, "told": told}), "unmanaged-pod")
    assert str(found.mark) == "Pod lab/privileged"


def test_a_flood_of_pods_that_the_kubelet_refused() -> None:
    dead = [
        pod(f"train-{n}", 2, phase="Failed", reason="UnexpectedAdmissionError", message=TOO_MANY,
            owner="ReplicaSet train-6d8f")
        for n in range(212)
    ]  # fmt: skip
    found = only(said(**well() | {"pods": [plugin(), *dead]}), "admission-error")
    assert str(found.mark) == "ReplicaSet default/train-6d8f"
    assert "212 pods were refused on gpu-1: Allocate failed" in found.message
    assert found.hint == (
        "ask for 1 in ReplicaSet train-6d8f; then "
        "kubectl delete pods -n default --field-selector status.phase=Failed"
    )


def test_a_pod_that_failed_by_itself_is_its_owners_business() -> None:
    ended = pod("train-0", phase="Failed", reason="Error")
    assert said(**well() | {"pods": [plugin(), ended]}) == []


def test_pods_that_wait_because_all_is_held() -> None:
    pods = [plugin(), *(pod(f"r{n}") for n in range(4)), pod("w0", node=""), pod("w1", node="")]
    found = only(said(**well() | {"pods": pods}), "pods-wait")
    assert found.level is Level.NOTE
    assert (
        "2 pods wait for nvidia.com/gpu, 4 of 4 of which are held: default/w0 and default/w1"
        in (found.message)
    )


def test_pods_of_which_agents_told_lately() -> None:
    told = (
        event("Ungated", "Pod default/train-0", "its gate failed to close"),
        event("Ungated", "Pod default/train-1", "long ago", "2026-11-25T09:00:00Z"),
        event("OverMemoryLimit", "Pod default/train-1", "uses 9.1 GiB of its 4 GiB"),
    )
    found = said(**well() | {"told": told})
    assert ids(found) == ["over-memory", "pod-ungated"]
    assert found[1].message == "takes no turns: its gate failed to close"


def test_what_could_not_be_read_is_said_and_not_guessed() -> None:
    gathered = Gathered({}, {"pods": "pods is forbidden", "nodes": "nodes is forbidden"})
    found = diagnose(world(gathered, now=NOW), gathered).findings
    assert ids(list(found)) == ["not-looked-at", "not-looked-at"]
    assert found[1].hint == "kubectl auth can-i list pods -A"


def test_a_pod_asks_by_what_its_hungriest_init_container_wants() -> None:
    hungry = pod("h")
    hungry["spec"]["initContainers"] = [{"resources": {"limits": {GPU: "3"}}}]
    found = only(said(nodes=[node(offers=2)], pods=[plugin(), hungry]), "over-capacity")
    assert "pods hold 3" in found.message
