"""Devices and their holders."""

from __future__ import annotations

import pytest

from rota.kubelet.api import deviceplugin_pb2 as api
from rota.kubelet.embedded.checkpoint import Checkpoint
from rota.kubelet.embedded.ledger import CannotAllocate, Ledger, given

GPU = "nvidia.com/gpu"


def device(name: str, health: str = "Healthy", *nodes: int) -> api.Device:
    topology = api.TopologyInfo(nodes=[api.NUMANode(ID=node) for node in nodes]) if nodes else None
    return api.Device(ID=name, health=health, topology=topology)


def hold(ledger: Ledger, uid: str, *ids: str, resource: str = GPU, **env: str) -> None:
    ledger.hold(uid, "main", resource, ids, api.ContainerAllocateResponse(envs=env))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.set_devices(GPU, [device("a"), device("b", "Unhealthy"), device("c", "Healthy", 0, 1)])
    return ledger


def test_capacity_counts_all_devices_and_allocatable_the_healthy_ones(ledger: Ledger) -> None:
    assert ledger.capacity() == {GPU: 3}
    assert ledger.allocatable() == {GPU: 2}


def test_a_lost_plugin_leaves_capacity_without_allocatable(ledger: Ledger) -> None:
    ledger.lose(GPU)
    assert (ledger.capacity(), ledger.allocatable()) == ({GPU: 3}, {GPU: 0})
    ledger.forget(GPU)
    assert (ledger.capacity(), ledger.allocatable()) == ({}, {})


def test_free_is_what_is_healthy_and_not_held(ledger: Ledger) -> None:
    assert ledger.free(GPU, 2) == ("a", "c")
    hold(ledger, "one", "a")
    assert ledger.free(GPU, 1) == ("c",)
    assert ledger.release(["one"])
    assert not ledger.release(["one"])
    assert ledger.free(GPU, 2) == ("a", "c")


def test_too_few_devices_is_said_in_the_kubelets_words(ledger: Ledger) -> None:
    hold(ledger, "one", "a")
    with pytest.raises(CannotAllocate) as few:
        ledger.free(GPU, 2)
    assert few.value.what == (
        f"requested number of devices unavailable for {GPU}. Requested: 2, Available: 1"
    )
    with pytest.raises(CannotAllocate, match=r"cannot allocate unregistered device x\.y/z"):
        ledger.free("x.y/z", 1)
    ledger.lose(GPU)
    with pytest.raises(CannotAllocate, match="no healthy devices present"):
        ledger.free(GPU, 1)


def test_a_list_replaces_the_one_before_and_holders_keep_what_is_gone(ledger: Ledger) -> None:
    hold(ledger, "one", "a")
    ledger.set_devices(GPU, [device("z")])
    assert ledger.capacity() == {GPU: 1}
    assert ledger.held("one", "main")[0].ids == ("a",)


def test_odd_lists_are_told_and_read_as_the_safe_thing() -> None:
    ledger = Ledger()
    oddities = ledger.set_devices(
        GPU, [device("a"), device("a", "Unhealthy"), device("b", "so-so")]
    )
    assert oddities == (
        "device 'a' is listed twice",
        "device 'b' has the unknown health 'so-so'",
    )
    assert (ledger.capacity(), ledger.allocatable()) == ({GPU: 2}, {GPU: 0})


def test_devices_are_kept_by_numa_node(ledger: Ledger) -> None:
    hold(ledger, "one", "a", "c")
    (entry,) = ledger.held("one", "main")
    assert entry.devices == {-1: ("a",), 0: ("c",), 1: ("c",)}
    assert entry.ids == ("a", "c")


def test_a_checkpoint_brings_holders_back_and_resources_without_devices(ledger: Ledger) -> None:
    hold(ledger, "one", "a", NAME="x")
    registered = {name: tuple(ids) for name, ids in ledger.registered().items()}
    again = Ledger(Checkpoint(ledger.entries(), registered))
    assert (again.capacity(), again.allocatable()) == ({GPU: 0}, {GPU: 0})
    assert again.held("one", "main") == ledger.held("one", "main")
    assert again.holders() == {"one"}


def test_what_a_container_is_given_is_the_sum_over_its_resources(ledger: Ledger) -> None:
    hold(ledger, "one", "a", ONE="1", BOTH="gpu")
    hold(ledger, "one", "n", resource="x.y/nic", TWO="2", BOTH="nic")
    whole = given(ledger.held("one", "main"))
    assert whole.devices == {GPU: ("a",), "x.y/nic": ("n",)}
    assert whole.env == {"ONE": "1", "TWO": "2", "BOTH": "nic"}
