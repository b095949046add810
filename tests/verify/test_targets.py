"""What each node should offer, and what of it is free."""

from __future__ import annotations

from rota.cluster.door import DAEMON_SETS, NODES
from rota.cluster.gather import Gathered
from rota.cluster.gpus import node_of, pod_of
from rota.cluster.setup import Source, sources
from rota.verify.targets import Target, targets
from tests.doctor.build import GPU, SHARING, agents, node, pod

PLACE = ("rota", "config")


def of(
    *nodes: object, pods: tuple[object, ...] = (), text: str = "", by: str = "rota"
) -> list[Target]:
    kind: Source = Source("nvidia" if by == "nvidia" else "rota", "x", "rota", PLACE)
    things = [node_of(one) for one in nodes]  # type: ignore[arg-type]
    given = [pod_of(one) for one in pods]  # type: ignore[arg-type]
    return list(targets(things, given, [kind], {PLACE: {"any": text}} if text else {}))


def test_a_config_says_what_a_node_should_offer() -> None:
    (found,) = of(node(offers=1), text=SHARING)
    assert (found.should, found.told_by, found.offers) == (4, "key any of rota/config", 1)


def test_without_a_config_labels_do() -> None:
    labelled = node()
    labelled["metadata"]["labels"][f"{GPU}.replicas"] = "8"
    (found,) = of(labelled)
    assert (found.should, found.told_by) == (8, "its labels")
    (unknown,) = of(node())
    assert unknown.should is None


def test_what_pods_hold_is_not_free() -> None:
    pods = (pod("a", 2), pod("b"), pod("ended", phase="Succeeded"), pod("other", node="gpu-2"))
    (found,) = of(node(), pods=pods)
    assert (found.held, found.free) == (3, 1)


def test_a_resource_that_should_be_there_and_is_not() -> None:
    renamed = SHARING + "      rename: nvidia.com/gpu.shared\n"
    shared, plain = of(node(offers=1), text=renamed)
    assert (shared.resource, shared.should, shared.offers) == ("nvidia.com/gpu.shared", 4, 0)
    assert (plain.resource, plain.should, plain.offers) == (GPU, 0, 1)


def test_whole_gpus_beside_shared_ones() -> None:
    two = node(offers=5, count="2")
    (found,) = of(two, text=SHARING + "      devices: [0]\n")
    assert found.should == 5


def test_nvidias_plugin_shares_nothing_without_a_default_or_a_label() -> None:
    (found,) = of(node(), text=SHARING, by="nvidia")
    assert found.should is None
    (labelled,) = of(node(config="any"), text=SHARING, by="nvidia")
    assert labelled.should == 4


def test_limits_are_expected_only_where_rota_holds_them() -> None:
    held = node()
    held["metadata"]["labels"] |= {"rota.dev/turns": "exclusive", f"{GPU}.replicas": "4"}
    assert of(held, text=SHARING)[0].limited
    assert not of(held, text=SHARING + "rota: {memory: {enforce: report}}\n")[0].limited
    assert not of(node(), text=SHARING)[0].limited


def test_the_agents_daemon_set_says_where_the_config_is_and_what_image_to_try() -> None:
    made = agents("--config-map=$(NAMESPACE)/config", "--config-key", "any", "--beside-nvidia")
    made["spec"]["template"]["spec"]["runtimeClassName"] = "nvidia"
    (found,) = sources(Gathered({DAEMON_SETS: (made,), NODES: ()}))
    assert found == Source(
        "rota", "DaemonSet rota/rota", "rota", ("rota", "config"), "any", "registry/rota:0.1.0", True,
        "nvidia",
    )  # fmt: skip
