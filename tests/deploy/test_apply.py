"""`rota apply` and `rota rollback` against a Kubernetes API."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from rota.cluster.door import Away, Conflict, Forbidden
from rota.deploy.holders import InUse
from rota.deploy.install import How
from rota.deploy.record import APPLIED, BEFORE
from rota.deploy.rollback import NotBack
from rota.deploy.target import NoOperator, TwoPlugins, WrongNamespace
from rota.deploy.waiting import NotServed
from rota.errors import RotaError, UsageError
from tests.cluster.fake.fields import owners
from tests.deploy.world import CONFIG_MAP, NAMESPACE, POLICY, World, sharing

OVERLAYS = ("", "gpu-operator")
"""The operator's namespace; empty for a cluster without it."""


@pytest.mark.parametrize("operator", OVERLAYS)
async def test_from_nothing_to_replicas_on_every_node_and_back(world: World, operator: str) -> None:
    fleet = world.begin(operator)
    before, physical = fleet.snapshot(), fleet.allocatable
    steps = await world.apply()
    assert fleet.allocatable == {"gpu-1": 4, "gpu-2": 8, "cpu-1": 0}
    assert {step.outcome for step in steps if "ClusterPolicy" not in step.title} == {"made"}
    assert "ok node gpu-2 nvidia.com/gpu: 8" in world.said
    assert "ok all nodes 2 of 2 serve it" in world.said
    assert await world.rollback()
    assert fleet.allocatable == physical
    assert fleet.snapshot() == before
    assert not await world.rollback()


@pytest.mark.parametrize("operator", OVERLAYS)
async def test_twice_is_once(world: World, operator: str) -> None:
    fleet = world.begin(operator)
    await world.apply()
    version, after = world.store.version, fleet.snapshot()
    assert {step.outcome for step in await world.apply()} == {"same"}
    assert (world.store.version, fleet.snapshot()) == (version, after)


def writes(operator: str, most: int) -> range:
    """All of them with the operator; without it the same code runs, and every third will do."""
    return range(1, most, 1 if operator else 3)


@pytest.mark.parametrize("operator", OVERLAYS)
async def test_broken_off_at_any_write_the_next_call_finishes_or_undoes_it(
    world: World, operator: str
) -> None:
    """The connection breaks by turns before the write is done and after it."""
    fleet = world.begin(operator)
    before = fleet.snapshot()
    await world.apply()
    whole = fleet.snapshot()
    assert await world.rollback()
    for number in writes(operator, 30):
        reached = world.cut(number, "before" if number % 2 else "after")
        with suppress(Away):
            await world.apply(timeout=0)
            break
        assert reached()
        world.cluster.cut = lambda _: ""
        if number // 2 % 2:
            await world.apply(timeout=0)
            assert fleet.snapshot() == whole
        await world.rollback(timeout=0)
        assert fleet.snapshot() == before
    assert number > len(whole) - len(before)


@pytest.mark.parametrize("operator", OVERLAYS)
async def test_a_rollback_broken_off_at_any_write_is_finished_by_the_next(
    world: World, operator: str
) -> None:
    fleet = world.begin(operator)
    space = operator or NAMESPACE
    if not operator:
        world.store.create("namespaces", {"metadata": {"name": space}}, "admin")
    meta = {"name": "time-slicing-config", "namespace": space}
    theirs = {"metadata": meta, "data": {"any": sharing(2)}}
    world.store.create("configmaps", theirs, "kubectl")
    before = fleet.snapshot()
    for number in writes(operator, 40):
        await world.apply("", f"namespace={space}", how=How(force=True), timeout=0)
        reached = world.cut(number, "before" if number % 2 else "after")
        with suppress(Away):
            await world.rollback(timeout=0)
            break
        assert reached()
        world.cluster.cut = lambda _: ""
        await world.rollback(timeout=0)
        assert fleet.snapshot() == before
    assert fleet.snapshot() == before
    assert number > 8


async def test_the_operators_policy_remembers_what_it_named(world: World) -> None:
    fleet = world.begin("gpu-operator")
    old = {"name": "old", "default": "few"}
    meta = {"name": "old", "namespace": "gpu-operator"}
    world.store.create("configmaps", {"metadata": meta, "data": {"few": sharing(2)}}, "kubectl")
    world.store.merge(*POLICY, {"spec": {"devicePlugin": {"config": old}}}, "kubectl-patch")
    before = fleet.snapshot()
    assert fleet.allocatable["gpu-1"] == 2
    await world.apply()
    policy = world.store.get(*POLICY)
    assert policy["spec"]["devicePlugin"]["config"] == {
        "name": "time-slicing-config", "default": "any",
    }  # fmt: skip
    assert json.loads(policy["metadata"]["annotations"][BEFORE])["spec"]["devicePlugin"] == {
        "config": old
    }
    assert fleet.allocatable == {"gpu-1": 4, "gpu-2": 8, "cpu-1": 0}
    await world.rollback()
    assert fleet.snapshot() == before
    assert "note ClusterPolicy cluster-policy names old again" in world.said
    policy = world.store.get(*POLICY)
    assert ("rota-apply", "Apply") not in owners(policy, "spec", "devicePlugin", "config", "name")


async def test_it_goes_where_the_operator_is(world: World) -> None:
    world.begin("gpu-operator")
    await world.apply()
    assert ("daemonsets", "gpu-operator", "rota") in world.store.objects
    assert ("namespaces", "", NAMESPACE) not in world.store.objects
    assert "the operator runs in gpu-operator" in world.said
    with pytest.raises(WrongNamespace, match="own namespace only"):
        await world.apply("", "namespace=elsewhere")


async def test_the_operators_namespace_is_found_where_its_plugin_is(world: World) -> None:
    world.begin("nvidia")
    world.store.merge(*POLICY, {"status": {"namespace": None}}, "old-operator")
    await world.apply()
    assert ("daemonsets", "nvidia", "rota") in world.store.objects


async def test_no_operator_or_one_without_a_plugin_is_told(world: World) -> None:
    world.begin()
    with pytest.raises(NoOperator, match="no ClusterPolicy"):
        await world.apply(overlay="gpu-operator")


async def test_a_policy_without_a_plugin_is_told(world: World) -> None:
    world.begin("gpu-operator")
    world.store.merge(*POLICY, {"spec": {"devicePlugin": {"enabled": False}}}, "helm")
    with pytest.raises(NoOperator, match="enabled is false"):
        await world.apply()


async def test_two_plugins_for_one_resource_are_refused(world: World) -> None:
    world.begin("gpu-operator")
    with pytest.raises(TwoPlugins, match="one plugin") as told:
        await world.apply(overlay="standalone")
    assert "--overlay gpu-operator" in told.value.hint
    assert ("daemonsets", NAMESPACE, "rota") not in world.store.objects


async def test_what_others_own_is_not_taken_without_a_word(world: World) -> None:
    fleet = world.begin()
    world.store.create("namespaces", {"metadata": {"name": NAMESPACE}}, "admin")
    meta = {"name": CONFIG_MAP[2], "namespace": NAMESPACE}
    mine = {"any": sharing(2), "other": sharing(3)}
    world.store.create("configmaps", {"metadata": meta, "data": mine}, "kubectl")
    before = fleet.snapshot()
    with pytest.raises(Conflict, match=r"\.data\.any") as told:
        await world.apply()
    assert "--force-conflicts" in told.value.hint
    assert told.value.where == f"ConfigMap {NAMESPACE}/time-slicing-config"
    await world.apply(how=How(force=True))
    assert world.store.get(*CONFIG_MAP)["data"] == {"any": sharing(4), "other": sharing(3)}
    await world.rollback()
    assert fleet.snapshot() == before


async def test_a_namespace_in_which_others_live_stays(world: World) -> None:
    world.begin()
    await world.apply()
    world.store.create("notebooks", {"metadata": {"name": "n", "namespace": NAMESPACE}}, "somebody")
    await world.rollback()
    assert ("namespaces", "", NAMESPACE) in world.store.objects
    assert f"note Namespace {NAMESPACE} stays: Notebook n is in it" in world.said
    world.store.delete("notebooks", NAMESPACE, "n")
    await world.rollback()
    assert ("namespaces", "", NAMESPACE) not in world.store.objects


async def test_what_cannot_be_seen_in_a_namespace_keeps_it(world: World) -> None:
    world.begin()
    await world.apply()
    world.cluster.forbidden.add(("list", "secrets"))
    await world.rollback()
    assert "stays: what cannot be seen (secrets is forbidden" in world.said


async def test_rollback_is_refused_while_pods_hold_replicas_and_names_them(world: World) -> None:
    fleet = world.begin()
    before = fleet.snapshot()
    await world.apply()
    world.pod("trainer", 2)
    world.pod("over", phase="Succeeded")
    version = world.store.version
    with pytest.raises(InUse, match=r"1 pod holds replicas: default/trainer \(2 nvidia.com/gpu\)"):
        await world.rollback()
    assert world.store.version == version
    await world.rollback(force=True)
    assert fleet.snapshot() == before


async def test_a_rollback_that_nodes_do_not_follow_says_which_and_goes_on_later(
    world: World,
) -> None:
    fleet = world.begin()
    before = fleet.snapshot()
    await world.apply()
    fleet.frozen.add("gpu-2")
    with pytest.raises(NotBack, match=r"gpu-2: nvidia.com/gpu: 8, not 0 yet"):
        await world.rollback(timeout=0.3)
    assert CONFIG_MAP in world.store.objects
    fleet.frozen.clear()
    fleet.settle()
    assert await world.rollback()
    assert fleet.snapshot() == before


async def test_a_node_that_does_not_serve_is_named_with_the_reason(world: World) -> None:
    fleet = world.begin()
    fleet.stuck["gpu-1"] = {"phase": "Pending", "conditions": [], "containerStatuses": [
        {"name": "agent", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
    ]}  # fmt: skip
    with pytest.raises(NotServed, match="1 of 2 nodes do not serve it") as told:
        await world.apply()
    assert "rota-gpu-1 [agent]: ImagePullBackOff: no such" in told.value.what
    assert "--image" in told.value.what
    assert "ok node gpu-2 nvidia.com/gpu: 8" in world.said


async def test_an_agent_that_reads_nothing_is_waited_for_in_vain(world: World) -> None:
    world.begin().deaf.add("gpu-2")
    with pytest.raises(NotServed, match="gpu-2: its agent has not read the config yet"):
        await world.apply(timeout=0.3)


async def test_what_the_agents_refuse_is_told_and_not_waited_for(world: World) -> None:
    world.begin()
    request = world.request()
    file = request.source
    object.__setattr__(file, "data", {"any": "version: v9\n"})
    from rota.deploy.apply import apply

    with pytest.raises(NotServed, match=r"refused: .*unknown version"):
        await apply(world.api, request, world.say)


async def test_a_label_that_names_no_key_is_told(world: World) -> None:
    world.begin()
    label = {"metadata": {"labels": {"nvidia.com/device-plugin.config": "mony"}}}
    world.store.merge("nodes", "", "gpu-1", label, "admin")
    with pytest.raises(NotServed, match="names the key `mony`, which is not there"):
        await world.apply()


async def test_no_gpu_node_is_told(world: World) -> None:
    world.begin(cpu_1=0)
    with pytest.raises(NotServed, match="none is labelled"):
        await world.apply()


async def test_pods_that_the_server_takes_not_are_told_with_its_reason(world: World) -> None:
    fleet = world.begin()
    fleet.denied = 'Error creating: pods "rota-" is forbidden: RuntimeClass "nvidia" not found'
    with pytest.raises(NotServed, match=r"no pod on 2: Error creating: .* --set runtimeClass="):
        await world.apply()
    assert f"FAIL DaemonSet {NAMESPACE}/rota Error creating" in world.said


async def test_without_an_image_it_is_told_that_no_registry_has_one(world: World) -> None:
    world.begin()
    request = world.request("", "image=x")
    object.__setattr__(request.options, "image", "")
    from rota.deploy.apply import apply

    with pytest.raises(UsageError, match="no registry has"):
        await apply(world.api, request, world.say)
    await world.apply()
    assert {s.outcome for s in await apply(world.api, request, world.say)} == {"same"}


async def test_a_dry_run_changes_nothing_and_shows_the_difference(world: World) -> None:
    fleet = world.begin()
    before, version = fleet.snapshot(), world.store.version
    for dry in ("client", "server"):
        steps = await world.apply(how=How(dry=dry, diff=True))
        assert {step.outcome for step in steps} == {"made"}
        assert (fleet.snapshot(), world.store.version) == (before, version)
    await world.apply()
    (step,) = [s for s in await world.apply(sharing(6), how=How(dry="server", diff=True))
               if s.outcome != "same"]  # fmt: skip
    assert "-          replicas: 4" in step.diff
    assert "+          replicas: 6" in step.diff
    assert "managedFields" not in step.diff


async def test_an_edit_is_applied_and_another_namespace_leaves_nothing_behind(world: World) -> None:
    fleet = world.begin()
    before = fleet.snapshot()
    await world.apply()
    await world.apply(sharing(6))
    assert fleet.allocatable["gpu-1"] == 6
    await world.apply(sharing(6), "namespace=gpus")
    assert ("daemonsets", NAMESPACE, "rota") not in world.store.objects
    assert fleet.allocatable["gpu-1"] == 6
    await world.rollback()
    assert fleet.snapshot() == before


async def test_a_missing_right_is_told_and_what_was_done_is_taken_back(world: World) -> None:
    fleet = world.begin()
    before = fleet.snapshot()
    world.cluster.forbidden.add(("patch", "clusterrolebindings"))
    with pytest.raises(Forbidden, match="clusterrolebindings"):
        await world.apply()
    assert fleet.snapshot() != before
    world.cluster.forbidden.clear()
    await world.rollback()
    assert fleet.snapshot() == before


async def test_a_server_that_goes_away_while_it_waits_only_makes_it_longer(world: World) -> None:
    fleet = world.begin()
    fleet.deaf.add("gpu-1")
    task = asyncio.create_task(world.apply())
    while "has not read" not in world.said:
        await asyncio.sleep(0.01)
    world.cluster.failing = 503
    while "still waiting" not in world.said:
        await asyncio.sleep(0.01)
    fleet.deaf.clear()
    fleet.settle()
    world.cluster.failing = 0
    await asyncio.wait_for(task, 20)
    assert fleet.allocatable["gpu-1"] == 4


async def test_somebody_who_changes_an_object_at_the_same_moment_is_waited_for(
    world: World,
) -> None:
    world.begin("gpu-operator")
    meddled = 0

    def meddle(asked: object) -> str:
        nonlocal meddled
        if "clusterpolicies" in asked.path and asked.method == "PATCH" and not meddled:  # type: ignore[attr-defined]
            meddled += 1
            world.store.merge(*POLICY, {"spec": {"devicePlugin": {"version": "v2"}}}, "helm")
        return ""

    world.cluster.cut = meddle  # type: ignore[assignment]
    await world.apply()
    assert meddled
    assert world.store.get(*POLICY)["spec"]["devicePlugin"]["version"] == "v2"


async def test_a_spoilt_memory_is_told_and_nothing_is_lost(world: World) -> None:
    world.begin("gpu-operator")
    await world.apply()
    world.store.merge(*POLICY, {"metadata": {"annotations": {BEFORE: "{"}}}, "somebody")
    with pytest.raises(RotaError, match="is spoilt") as told:
        await world.rollback()
    assert APPLIED in told.value.hint
    assert world.store.get(*POLICY)["spec"]["devicePlugin"]["config"]


async def test_what_was_installed_by_hand_is_kept_as_it_was(world: World) -> None:
    from rota.deploy.manifests import manifests
    from rota.deploy.options import Options

    fleet = world.begin()
    plurals = {"Namespace": "namespaces", "ServiceAccount": "serviceaccounts",
               "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
               "Role": "roles", "RoleBinding": "rolebindings", "ConfigMap": "configmaps",
               "Service": "services", "DaemonSet": "daemonsets"}  # fmt: skip
    for thing in manifests(Options(image="mine:1")):
        world.store.create(plurals[thing["kind"]], thing, "kubectl")
    before = fleet.snapshot()
    await world.apply(how=How(force=True))
    assert "here.example/rota:1" in json.dumps(fleet.snapshot()["daemonsets", NAMESPACE, "rota"])
    await world.rollback()
    assert "was there before, and serves on" in world.said
    assert fleet.snapshot() == before
