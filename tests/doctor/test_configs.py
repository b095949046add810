"""ConfigMaps: there, with the keys that are asked for, and read since they were edited."""

from __future__ import annotations

from typing import Any

from rota.config.findings import Level
from rota.doctor.look import diagnose
from rota.doctor.world import world
from tests.doctor.build import (
    EARLIER,
    LATER,
    NOW,
    agent,
    agents,
    cluster,
    config_map,
    event,
    ids,
    node,
    nvidias,
    plugin,
    policy,
    said,
    well,
)
from tests.doctor.test_nodes import only


def test_an_edit_that_nvidias_plugin_has_not_read() -> None:
    edited = (config_map(edited=LATER),)
    pods = [plugin(name, started=EARLIER) for name in ("gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5")]
    found = only(said(**well() | {"pods": pods, "maps": edited}), "config-not-reread")
    assert str(found.mark) == "ConfigMap gpu-operator/time-slicing-config"
    assert "edited at 2026-11-25 14:02:00" in found.message
    assert "on gpu-1, gpu-2, gpu-3 and 2 more nodes started before" in found.message
    assert found.hint == (
        "kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-operator"
    )


def test_an_edit_that_agents_see_to_is_a_warning() -> None:
    pods = [plugin(started=EARLIER), agent("gpu-1", "--beside-nvidia")]
    edited = (config_map(edited=LATER),)
    found = only(said(**well() | {"pods": pods, "maps": edited}), "config-not-reread")
    assert found.level is Level.WARNING
    assert "Rota's agents restart it, one node after the other" in found.message
    assert found.hint.startswith("wait, or kubectl rollout restart")


def test_an_edit_of_its_labels_is_none() -> None:
    assert said(**well() | {"pods": [plugin(started="2026-11-25T12:00:01Z")]}) == []


def test_an_agent_reads_edits_itself() -> None:
    follows: dict[str, Any] = {"nodes": [node()], "pods": [agent(started=EARLIER)]}
    sets = [agents("--config-map", "gpu-operator/time-slicing-config")]
    assert said(**follows, sets=sets, maps=(config_map(edited=LATER),)) == []


def test_a_config_map_that_is_not_there() -> None:
    found = only(said(**well() | {"maps": ()}), "configmap-missing")
    assert str(found.mark) == "ClusterPolicy cluster-policy"
    assert "names ConfigMap gpu-operator/time-slicing-config, which is not there" in found.message
    assert "kubectl create configmap" in found.hint


def test_a_config_map_in_the_wrong_namespace() -> None:
    _, gathered = cluster(**{k: v for k, v in well().items() if k != "maps"})
    elsewhere = frozenset({("default", "time-slicing-config")})
    found = diagnose(world(gathered, elsewhere=elsewhere, now=NOW), gathered).findings
    assert ids(list(found)) == ["configmap-missing"]
    assert "one of that name is in default" in found[0].message
    assert "sed 's/namespace: default/namespace: gpu-operator/'" in found[0].hint


def test_a_daemon_set_of_rota_names_a_config_map_too() -> None:
    sets = [agents("--config-map", "$(POD_NAMESPACE)/config")]
    found = only(said(nodes=[node()], pods=[agent()], sets=sets), "configmap-missing")
    assert str(found.mark) == "DaemonSet rota/rota"
    assert "names ConfigMap rota/config" in found.message


def test_a_default_that_is_no_key() -> None:
    found = only(said(**well() | {"policies": [policy(default="anny")]}), "key-missing")
    assert (
        "its default `anny` is no key of ConfigMap gpu-operator/time-slicing-config"
        in found.message
    )
    assert found.hint == "write `any`"


def test_a_label_that_is_no_key() -> None:
    found = only(said(**well() | {"nodes": [node(config="anyy")]}), "key-missing")
    assert str(found.mark) == "Node gpu-1"
    assert found.hint == "kubectl label node gpu-1 nvidia.com/device-plugin.config=any --overwrite"


def test_the_plugins_namespace_is_the_operators() -> None:
    old = "gpu-operator-resources"
    found = said(
        nodes=[node()], pods=[plugin(namespace=old)], policies=[policy()], sets=[nvidias(old)],
        maps=(config_map(namespace=old),),
    )  # fmt: skip
    assert found == []


def test_an_edit_that_an_agent_refused() -> None:
    sets = [agents("--config-map", "gpu-operator/time-slicing-config")]
    here: dict[str, Any] = {
        "nodes": [node()],
        "pods": [agent()],
        "sets": sets,
        "maps": (config_map(),),
    }
    refused = event("ConfigRefused", "Node gpu-1", "key any, line 5: replicas must be 2 or more")
    found = only(said(**here, told=(refused,)), "config-refused")
    assert "the last edit was refused: key any, line 5" in found.message
    assert found.hint == "kubectl edit configmap time-slicing-config -n gpu-operator"
    served = event("ConfigServed", "Node gpu-1", "any is served", "2026-11-25T14:55:00Z")
    assert said(**here, told=(refused, served)) == []
