"""What a proof comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rota.cluster.gpus import GpuNode
from rota.verify.report import Proof
from rota.verify.sight import Seen, Sight
from rota.verify.targets import Target

GIB = 1 << 30
NODE = GpuNode("gpu-1")
TARGET = Target(NODE, "nvidia.com/gpu", 1, 4, "key any of rota/config", 4, 0, 4, limited=True)


def sight(room: int | None = 3 * GIB, *uuids: str) -> Sight:
    devices = tuple(Seen(uuid, "T4", 16 * GIB, room) for uuid in uuids or ("GPU-1",))
    return Sight("GPU-1", (), devices)


def proof(**changes: Any) -> Proof:
    ran = {f"p{n}": sight() for n in range(4)}
    return replace(Proof(TARGET, 4, ran, waited="1 Insufficient nvidia.com/gpu"), **changes)


def test_all_is_well() -> None:
    assert proof().ok
    assert proof().plain()["ran"] == 4


def test_another_number_than_it_should() -> None:
    one = proof(target=replace(TARGET, offers=1))
    assert one.faults == ("offers 1 nvidia.com/gpu, and key any of rota/config makes 4",)
    assert proof(target=replace(TARGET, should=None, offers=0)).faults == (
        "offers no nvidia.com/gpu",
    )


def test_pods_that_do_not_run_and_one_more_that_does() -> None:
    assert proof(trouble="3 of 4 pods ran").faults == ("3 of 4 pods ran",)
    assert proof(waited="", not_waited="one more was placed").faults == ("one more was placed",)
    assert proof(waited="", not_waited="not tried", unproven=True).ok


def test_each_pod_sees_one_device() -> None:
    blind = Sight("", why="no CUDA driver here")
    two = sight(None, "GPU-1", "GPU-2")
    assert proof(ran={"p0": blind, "p1": two}).faults == (
        "p0 asked for one device and sees 0: no CUDA driver here",
        "p1 asked for one device and sees 2",
    )


def test_no_device_is_given_out_too_often() -> None:
    ran = {f"p{n}": sight() for n in range(5)}
    assert proof(ran=ran).faults == ("5 pods see GPU-1, which has 4 replicas",)


def test_nobody_finds_more_than_its_share() -> None:
    greedy = proof(ran={"p0": sight(15 * GIB)})
    assert greedy.faults == ("p0 finds 15.0 GiB to take, and its share is 4.0 GiB",)
    assert proof(target=replace(TARGET, limited=False), ran={"p0": sight(15 * GIB)}).ok
    assert proof(ran={"p0": sight(None)}).ok


def test_a_node_that_is_not_ready() -> None:
    away = replace(TARGET, node=replace(NODE, ready=False))
    assert proof(target=away).faults == ("the node is not ready",)
