"""`rota doctor` asks a cluster over HTTP, and shows what it finds."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from rota.cli.doctor import command
from tests.cluster.served import Served
from tests.doctor.build import LATER, config_map, event, node, nvidias, plugin, pod, policy

PLURALS = {
    "nodes": "nodes", "pods": "pods", "policies": "clusterpolicies", "sets": "daemonsets",
    "maps": "configmaps",
}  # fmt: skip


def filled(served: Served, **things: list[dict[str, Any]]) -> None:
    for name, objects in things.items():
        for thing in objects:
            made = served.fake.store.create(PLURALS[name], thing)
            made["metadata"]["managedFields"] = thing["metadata"].get("managedFields", [])


def asked(served: Served, *args: str) -> Result:
    given = ["--kubeconfig", str(served.kubeconfig), *args]
    return CliRunner(env={"COLUMNS": "100"}).invoke(command, given, standalone_mode=False)


def test_a_cluster_that_is_well(served: Served) -> None:
    filled(served, nodes=[node()], pods=[plugin(started="2099-01-01T00:00:00Z")], sets=[nvidias()],
           policies=[policy()], maps=[config_map()])  # fmt: skip
    made = asked(served)
    assert made.return_value == 0
    assert made.output == (
        "1 GPU node, 1 plugin and 0 pods with GPUs looked at: nothing to object to.\n"
    )


def test_what_is_seen_why_and_what_to_type(served: Served) -> None:
    filled(served, nodes=[node()], pods=[plugin(started="2020-01-01T00:00:00Z")], sets=[nvidias()],
           policies=[policy()], maps=[config_map(edited=LATER)])  # fmt: skip
    made = asked(served)
    assert made.return_value == 1
    assert "error    ConfigMap gpu-operator/time-slicing-config  [config-not-reread]" in made.output
    assert "         why  NVIDIA's plugin reads its config once, when it starts" in made.output
    do = "kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-operator"
    assert f"         do   {do}\n" in made.output
    (finding,) = json.loads(asked(served, "-o", "json").output)["findings"]
    assert finding["object"] == "ConfigMap gpu-operator/time-slicing-config"
    assert finding["do"] == do
    assert finding["why"].startswith("NVIDIA's plugin reads its config once")


def test_a_config_map_in_the_wrong_namespace_is_found(served: Served) -> None:
    filled(served, nodes=[node()], pods=[plugin()], sets=[nvidias()], policies=[policy()],
           maps=[config_map(namespace="default")])  # fmt: skip
    made = asked(served)
    assert "names ConfigMap gpu-operator/time-slicing-config, which is not there; one of that" in (
        made.output
    )


def test_of_many_alike_a_few_are_shown(served: Served) -> None:
    filled(served, nodes=[node(f"gpu-{n}", offers=None) for n in range(9)])
    output = asked(served).output
    assert output.count("[plugin-not-registered]") == 5
    assert "… and 4 more of plugin-not-registered; -o json lists them" in output
    assert len(json.loads(asked(served, "-o", "json").output)["findings"]) == 9


def test_a_namespace_hides_what_is_another_ones(served: Served) -> None:
    dead = [pod("p", phase="Failed", reason="UnexpectedAdmissionError", namespace=n) for n in "ab"]
    filled(served, nodes=[node()], pods=[plugin(), *dead])
    assert {f["object"] for f in json.loads(asked(served, "-o", "json").output)["findings"]} == {
        "Pod a/p", "Pod b/p",
    }  # fmt: skip
    assert "Pod b/p" not in asked(served, "-n", "a").output


def test_what_may_not_be_read_is_a_note_and_no_failure(served: Served) -> None:
    filled(served, nodes=[node()], pods=[plugin()])
    served.fake.forbidden = {("list", "daemonsets"), ("list", "events")}
    made = asked(served)
    assert made.return_value == 0
    assert "daemonsets could not be read: daemonsets is forbidden" in made.output
    assert "events could not be read" in made.output


def test_what_agents_told_is_read_from_their_events(served: Served) -> None:
    filled(served, nodes=[node()], pods=[plugin(), pod("train-0")])
    told = event(
        "Ungated", "Pod default/train-0", "its gate failed to close", "2099-01-01T00:00:00Z"
    )
    meta = {"metadata": {"name": "e", "namespace": "default"}}
    ours = told | meta | {"source": {"component": "rota-agent"}}
    meta = {"metadata": {"name": "f", "namespace": "default"}}
    theirs = told | meta | {"source": {"component": "kubelet"}, "message": "no word of ours"}
    served.fake.store.create("events", ours)
    served.fake.store.create("events", theirs)
    output = asked(served).output
    assert "takes no turns: its gate failed to close" in output
    assert "no word of ours" not in output


def test_rules_are_explained_without_a_cluster() -> None:
    run = CliRunner()
    assert "two-plugins" in run.invoke(command, ["--explain"], standalone_mode=False).output
    text = run.invoke(command, ["--explain", "two-plugins"], standalone_mode=False).output
    assert "Do:" in text
    assert (
        "quota" in run.invoke(command, ["--explain", "quota-prefix"], standalone_mode=False).output
    )
