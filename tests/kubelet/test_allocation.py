"""What a container gets for its replicas, strategy by strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rota.config.schema import DeviceListStrategy, Flags
from rota.kubelet.allocation import (
    ContainerAllocation,
    DeviceNode,
    Refusal,
    UnfitReplica,
    UnknownReplica,
    allocate,
    check,
)
from rota.kubelet.listing import listing_of
from rota.model import Device, Resource

if TYPE_CHECKING:
    from tests.kubelet.conftest import Things

KIND = "k8s.device-plugin.nvidia.com/gpu"


def nodes(devices: Sequence[Device]) -> list[DeviceNode]:
    return [DeviceNode(f"/dev/{device.uuid}", f"/host/{device.uuid}") for device in devices]


def give(resource: Resource, ids: Sequence[str], flags: Flags) -> ContainerAllocation:
    return allocate(resource, ids, flags, request_id="1234", nodes=nodes)


def test_envvar_names_the_gpu_once_and_the_replicas_beside_it(things: Things) -> None:
    given = give(things.shared(4), ["GPU-0::3", "GPU-0::1"], Flags())
    assert given == ContainerAllocation(
        envs={"NVIDIA_VISIBLE_DEVICES": "GPU-0", "ROTA_REPLICAS": "GPU-0::1,GPU-0::3"}
    )


def test_replicas_of_two_gpus_are_two_gpus_in_index_order(things: Things) -> None:
    given = give(things.shared(4, gpus=2), ["GPU-1::0", "GPU-0::1"], Flags())
    assert given.envs["NVIDIA_VISIBLE_DEVICES"] == "GPU-0,GPU-1"


def test_the_index_strategy_names_gpus_and_mig_devices_by_index(things: Things) -> None:
    by_index = Flags(device_id_strategy="index")
    assert give(things.whole(), ["GPU-1"], by_index).envs["NVIDIA_VISIBLE_DEVICES"] == "1"
    mig = give(things.mig(), ["MIG-0-0", "MIG-0-1"], by_index)
    assert mig.envs["NVIDIA_VISIBLE_DEVICES"] == "0:0,0:1"


def test_volume_mounts_put_dev_null_at_each_name(things: Things) -> None:
    flags = Flags(device_list_strategy=("volume-mounts",))
    given = give(things.whole(), ["GPU-0", "GPU-1"], flags)
    assert given.envs["NVIDIA_VISIBLE_DEVICES"] == "/var/run/nvidia-container-devices"
    assert [(mount.container_path, mount.host_path) for mount in given.mounts] == [
        ("/var/run/nvidia-container-devices/GPU-0", "/dev/null"),
        ("/var/run/nvidia-container-devices/GPU-1", "/dev/null"),
    ]


def test_cdi_annotations_have_the_configured_prefix(things: Things) -> None:
    flags = Flags(device_list_strategy=("cdi-annotations",), cdi_annotation_prefix="my.cdi/")
    given = give(things.whole(), ["GPU-0", "GPU-1"], flags)
    assert given.annotations == {
        "my.cdi/nvidia-device-plugin_1234": f"{KIND}=GPU-0,{KIND}=GPU-1",
    }
    assert "NVIDIA_VISIBLE_DEVICES" not in given.envs
    assert given.cdi_devices == ()


def test_cdi_cri_names_qualified_devices(things: Things) -> None:
    given = give(things.shared(2), ["GPU-0::1"], Flags(device_list_strategy=("cdi-cri",)))
    assert given.cdi_devices == (f"{KIND}=GPU-0",)
    assert given.annotations == {}


def test_strategies_can_be_combined_and_mounts_win_over_the_variable(things: Things) -> None:
    every: tuple[DeviceListStrategy, ...] = (
        "envvar",
        "volume-mounts",
        "cdi-annotations",
        "cdi-cri",
    )
    given = give(things.whole(), ["GPU-0"], Flags(device_list_strategy=every))
    assert given.envs["NVIDIA_VISIBLE_DEVICES"] == "/var/run/nvidia-container-devices"
    assert len(given.mounts) == len(given.annotations) == len(given.cdi_devices) == 1


def test_device_nodes_come_only_when_they_are_asked_for(things: Things) -> None:
    assert give(things.whole(), ["GPU-1"], Flags()).devices == ()
    given = give(things.whole(), ["GPU-1"], Flags(pass_device_specs=True))
    assert given.devices == (DeviceNode("/dev/GPU-1", "/host/GPU-1"),)


def test_extra_variables_do_not_override_what_the_runtime_reads(things: Things) -> None:
    extra = {"ROTA_SOCKET": "/s", "NVIDIA_VISIBLE_DEVICES": "all"}
    given = allocate(
        things.whole(), ["GPU-0"], Flags(), request_id="", nodes=nodes, extra_env=extra
    )
    assert given.envs["ROTA_SOCKET"] == "/s"
    assert given.envs["NVIDIA_VISIBLE_DEVICES"] == "GPU-0"


@pytest.mark.parametrize(
    "foreign", ["GPU-0", "GPU-0::4", "GPU-1::0", "GPU-0::-1", "GPU-0::00", "x", ""]
)
def test_an_id_of_nobody_is_named_with_the_resource(things: Things, foreign: str) -> None:
    listing = listing_of(things.shared(4), {}, ())
    with pytest.raises(UnknownReplica) as refused:
        check(listing, ["GPU-0::1", foreign])
    assert str(refused.value) == (
        f'invalid allocation request for "nvidia.com/gpu": unknown device: {foreign or repr("")}'
    )


def test_two_of_a_single_request_resource_are_refused_in_nvidias_words(things: Things) -> None:
    shared = things.shared(4, single=True)
    listing = listing_of(shared, {}, ())
    check(listing, ["GPU-0::1"])
    with pytest.raises(Refusal) as refused:
        check(listing, ["GPU-0::1", "GPU-0::2"])
    assert str(refused.value) == (
        'invalid allocation request for "nvidia.com/gpu": invalid request: '
        "maximum request size for shared resources is 1; found 2"
    )


def test_whole_gpus_are_not_subject_to_the_single_request_rule(things: Things) -> None:
    whole = replace(things.whole(), single_request=True)
    check(listing_of(whole, {}, ()), ["GPU-0", "GPU-1"])


def test_an_unhealthy_or_draining_replica_is_refused_with_the_reason(things: Things) -> None:
    listing = listing_of(things.shared(2, gpus=2), {"GPU-1": "Xid 79"}, ["GPU-0::3"])
    check(listing, ["GPU-0::1"])
    with pytest.raises(UnfitReplica, match="device GPU-1::0 is unhealthy: Xid 79"):
        check(listing, ["GPU-1::0"])
    with pytest.raises(UnfitReplica, match="GPU-0::3 is unhealthy: the config no longer has it"):
        check(listing, ["GPU-0::3"])


def test_a_request_for_nothing_is_refused(things: Things) -> None:
    with pytest.raises(Refusal, match="no replica is named"):
        check(listing_of(things.shared(2), {}, ()), [])
