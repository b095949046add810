"""The whole proof, against a Kubernetes API over HTTP whose nodes live on paper."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rota.cluster.door import Away, ClusterError, Forbidden
from rota.errors import UsageError
from rota.verify.smoke import Left
from rota.verify.traces import sweep, traces
from tests.cluster.conftest import until
from tests.doctor.build import GPU, node, pod
from tests.verify.conftest import QUICK, Stage


async def test_as_many_as_replicas_run_and_one_more_waits(stage: Stage) -> None:
    verdict = await stage.prove()
    (proof,) = verdict.proofs
    assert verdict.ok, proof.faults
    assert (proof.tried, len(proof.ran)) == (4, 4)
    assert f"1 Insufficient {GPU}" in proof.waited
    assert stage.left == []
    assert any("4 of 4 pods run" in word for word in stage.told)


async def test_only_what_is_free_is_tried(stage: Stage) -> None:
    stage.store.create("pods", pod("train-0"))
    (proof,) = (await stage.prove()).proofs
    assert proof.ok
    assert (proof.target.held, proof.tried, len(proof.ran)) == (1, 3, 3)


async def test_where_everything_is_held_one_more_still_has_to_wait(stage: Stage) -> None:
    stage.store.create("pods", pod("train-0", 4))
    (proof,) = (await stage.prove()).proofs
    assert (proof.tried, proof.waited != "", proof.ok) == (0, True, True)


async def test_numbers_alone(stage: Stage) -> None:
    stage.paper.offers = {GPU: 1}
    await until(lambda: stage.store.get("nodes", "", "gpu-1")["status"]["allocatable"][GPU] == "1")
    (proof,) = (await stage.prove(smoke=False)).proofs
    assert proof.faults == (
        "offers 1 nvidia.com/gpu, and key any of gpu-operator/time-slicing-config makes 4",
    )
    assert stage.cluster.count("create", "deployments") == 0


async def test_an_image_that_cannot_be_had_is_told_in_the_kubelets_words(stage: Stage) -> None:
    stage.paper.waiting = "ErrImagePull: manifest unknown"
    (proof,) = (await stage.prove(pace=replace(QUICK, run=2.0))).proofs
    assert "0 of 4 pods ran within 2 s" in proof.trouble
    assert "ErrImagePull: manifest unknown" in proof.trouble
    assert stage.left == []


async def test_what_no_patience_mends_is_not_waited_for(stage: Stage) -> None:
    stage.paper.refuses = "Allocate failed"
    (proof,) = (await stage.prove(pace=replace(QUICK, run=60.0))).proofs
    assert "failed: UnexpectedAdmissionError: Allocate failed" in proof.trouble
    assert stage.left == []


async def test_a_quota_is_named(stage: Stage) -> None:
    stage.controllers.quota = 2
    (proof,) = (await stage.prove(pace=replace(QUICK, run=2.0))).proofs
    assert proof.trouble == "2 of 4 pods ran within 2 s: exceeded quota: team"


async def test_one_more_that_is_placed_is_a_fault(stage: Stage) -> None:
    stage.controllers.generous = True
    (proof,) = (await stage.prove()).proofs
    assert proof.faults == ("one more pod was placed, with every replica held",)


async def test_one_more_is_not_asked_for_where_it_might_displace_somebody(stage: Stage) -> None:
    low = pod("batch-0")
    low["spec"]["priority"] = -10
    stage.store.create("pods", low)
    (proof,) = (await stage.prove()).proofs
    assert "it might displace default/batch-0" in proof.not_waited
    assert proof.ok


async def test_a_cordoned_node_is_left_alone(stage: Stage) -> None:
    stage.store.merge("nodes", "", "gpu-1", {"spec": {"unschedulable": True}}, "kubectl")
    (proof,) = (await stage.prove()).proofs
    assert proof.not_waited == "not tried: the node is cordoned"
    assert proof.ok


async def test_it_is_cleaned_up_when_it_is_cancelled(stage: Stage) -> None:
    stage.paper.waiting = "ContainerCreating"
    proving = asyncio.create_task(stage.prove())
    await until(lambda: len(stage.left) == 5)
    proving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await proving
    assert stage.left == []


async def test_it_is_cleaned_up_when_it_is_cancelled_in_the_middle_of_a_creation(
    stage: Stage,
) -> None:
    stage.cluster.delay = 0.3
    proving = asyncio.create_task(stage.prove())
    await until(lambda: stage.cluster.count("create", "deployments"))
    proving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await proving
    assert stage.left == []


async def test_it_is_cleaned_up_when_a_right_is_missing_in_mid_way(stage: Stage) -> None:
    stage.cluster.forbidden = {("create", "pods")}
    with pytest.raises(Forbidden, match="cannot create"):
        await stage.prove()
    assert stage.left == []


async def test_it_is_cleaned_up_after_a_server_that_was_away_for_a_while(stage: Stage) -> None:
    stage.paper.waiting = "ContainerCreating"
    proving = asyncio.create_task(stage.prove())
    await until(lambda: len(stage.left) == 5)
    stage.cluster.failing = 503
    asked = len(stage.cluster.asked)
    await until(
        lambda: stage.cluster.asked[-1].verb == "delete" and len(stage.cluster.asked) > asked + 3
    )
    stage.cluster.failing = 0
    with pytest.raises(ClusterError):
        await proving
    assert stage.left == []


async def test_what_cannot_be_removed_is_told_with_what_to_type(stage: Stage) -> None:
    stage.cluster.forbidden = {("delete", "deployments")}
    with pytest.raises(Left, match=r"Deployment rota-verify-.*-0 is left") as told:
        await stage.prove()
    assert "kubectl delete deployment,pod -n lab -l rota.dev/verify=" in told.value.hint


async def test_what_a_killed_run_left_is_found_and_swept(stage: Stage) -> None:
    meta = {
        "name": "rota-verify-zzzzz-0", "namespace": "lab",
        "labels": {"app.kubernetes.io/managed-by": "rota-verify"},
        "annotations": {"rota.dev/verify-until": "1", "rota.dev/verify-by": "elsewhere/1"},
    }  # fmt: skip
    body = {"metadata": meta, "spec": {"replicas": 0, "template": {}}}
    stage.store.create("deployments", body)
    (left,) = (await stage.prove(smoke=False)).left
    assert str(left).startswith("Deployment lab/rota-verify-zzzzz-0, since 20")
    await sweep(stage.api, (left,))
    assert stage.left == []
    await sweep(stage.api, (left,))


async def test_what_a_running_proof_made_is_not_left(stage: Stage) -> None:
    stage.paper.waiting = "ContainerCreating"
    proving = asyncio.create_task(stage.prove())
    await until(lambda: len(stage.left) == 5)
    assert await traces(stage.api, "lab") == ()
    assert len(await traces(stage.api, "lab", clock=lambda: 9e9)) == 1
    stage.paper.waiting = ""
    assert (await proving).ok


async def test_nodes_that_are_named(stage: Stage) -> None:
    stage.store.create("nodes", node("gpu-2", offers=2))
    (proof,) = (await stage.prove(nodes=("gpu-1",))).proofs
    assert proof.target.node.name == "gpu-1"
    with pytest.raises(UsageError, match="no node 'gpu-9'"):
        await stage.prove(nodes=("gpu-9",))


async def test_without_rota_an_image_must_be_named(stage: Stage) -> None:
    stage.store.delete("daemonsets", "rota", "rota")
    with pytest.raises(UsageError, match="no image to try"):
        await stage.prove()
    assert (await stage.prove(image="cuda")).proofs[0].ran


async def test_without_the_right_to_see_pods_nobody_knows_what_is_free(stage: Stage) -> None:
    stage.cluster.forbidden = {("list", "pods")}
    with pytest.raises(Forbidden, match="pods is forbidden"):
        await stage.prove()
    assert stage.cluster.count("create", "deployments") == 0


async def test_a_server_that_is_away_ends_it(stage: Stage) -> None:
    await stage.cluster.stop()
    with pytest.raises(Away):
        await stage.prove()
