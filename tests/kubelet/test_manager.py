"""What is served to the kubelet, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from rota.config.schema import Allocation, Config, Flags, RotaSettings
from rota.errors import KubeletError
from rota.kubelet.api import deviceplugin_pb2 as pb
from rota.kubelet.api.deviceplugin_pb2_grpc import DevicePluginStub
from rota.kubelet.manager import PluginManager

if TYPE_CHECKING:
    from tests.kubelet.conftest import PlainKubelet, Things

    Eventually = Callable[..., Awaitable[None]]

GPU = "nvidia.com/gpu"
HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"


class Pods:
    """What pods hold, or an error where that cannot be known."""

    def __init__(self) -> None:
        self.held: dict[str, set[str]] = {}
        self.asked = 0
        self.error: KubeletError | None = None

    async def __call__(self) -> Mapping[str, Collection[str]]:
        self.asked += 1
        if self.error:
            raise self.error
        return {name: set(ids) for name, ids in self.held.items()}


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Pods:
    monkeypatch.setattr("rota.kubelet.manager.DRAIN_LOOK", 0.1)
    return Pods()


@pytest.fixture
async def manager(folder: Path, pods: Pods) -> AsyncIterator[PluginManager]:
    made = PluginManager(
        folder, in_use=pods, extra_env={"EXTRA": "1"}, cdi_folder=folder / "cdi", host=folder
    )
    yield made
    await made.stop()


def four(state: str = HEALTHY) -> dict[str, str]:
    return {f"GPU-0::{n}": state for n in range(4)}


async def served(manager: PluginManager, things: Things, *resources: object) -> None:
    await manager.serve(resources, Config(), things.inventory)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await manager.wait_registered()


async def test_a_resource_is_registered_and_listed(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4))
    await eventually(lambda: kubelet.now() == four())
    (request,) = kubelet.requests
    assert (request.version, request.resource_name) == ("v1beta1", GPU)
    assert request.endpoint == "nvidia-gpu.sock"
    assert request.options.get_preferred_allocation_available
    assert not request.options.pre_start_required
    assert await kubelet.plugin(GPU).GetDevicePluginOptions(pb.Empty()) == request.options
    answer = await kubelet.plugin(GPU).PreStartContainer(pb.PreStartContainerRequest())
    assert answer == pb.PreStartContainerResponse()


async def test_a_changed_count_reaches_the_kubelet_on_the_same_socket_and_stream(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4), things.shared(2, "nvidia.com/other"))
    await eventually(lambda: kubelet.now("nvidia.com/other") and kubelet.now())
    inode = (kubelet.folder / "nvidia-gpu.sock").stat().st_ino
    await served(manager, things, things.shared(2), things.shared(2, "nvidia.com/other"))
    await eventually(lambda: len(kubelet.now()) == 2)
    await served(manager, things, things.shared(6), things.shared(2, "nvidia.com/other"))
    await eventually(lambda: len(kubelet.now()) == 6)
    assert (kubelet.folder / "nvidia-gpu.sock").stat().st_ino == inode
    assert kubelet.registrations(GPU) == 1
    assert kubelet.ended == {}
    assert len(kubelet.lists["nvidia.com/other"]) == 1


async def test_a_resource_that_is_gone_stops_and_a_new_one_starts(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4))
    await eventually(lambda: kubelet.now())
    await served(manager, things, things.shared(4, "nvidia.com/gpu.shared"))
    await eventually(lambda: kubelet.now("nvidia.com/gpu.shared") == four())
    await eventually(lambda: kubelet.ended == {GPU: ["OK"]})
    names = sorted(path.name for path in kubelet.folder.iterdir())
    assert names == ["kubelet.sock", "nvidia-gpu.shared.sock"]
    assert [status.listing.resource.name for status in manager.status()] == [
        "nvidia.com/gpu.shared"
    ]


async def test_stop_ends_the_streams_and_removes_the_sockets(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4), things.mig())
    await eventually(lambda: kubelet.now() and kubelet.now(things.mig().name))
    await manager.stop()
    await eventually(lambda: kubelet.ended == {GPU: ["OK"], things.mig().name: ["OK"]})
    assert [path.name for path in kubelet.folder.iterdir()] == ["kubelet.sock"]
    await manager.stop()


async def test_a_kubelet_that_restarts_finds_everything_again(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4), things.mig())
    for _ in range(2):
        await eventually(lambda: kubelet.now() and kubelet.now(things.mig().name))
        kubelet.lists.clear()
        await kubelet.restart()
        await eventually(lambda: kubelet.now() == four())
        await eventually(lambda: kubelet.now(things.mig().name))
    assert kubelet.registrations(GPU) >= 3
    request = pb.AllocateRequest()
    request.container_requests.add(devices_ids=["GPU-0::1"])
    answer = await kubelet.plugin(GPU).Allocate(request)
    assert answer.container_responses[0].envs["NVIDIA_VISIBLE_DEVICES"] == "GPU-0"


async def test_a_kubelet_that_comes_late_is_waited_for(
    late_kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    path = late_kubelet.folder / "kubelet.sock"
    with socket.socket(socket.AF_UNIX) as left_by_a_dead_kubelet:
        left_by_a_dead_kubelet.bind(str(path))
    await manager.serve((things.shared(4),), Config(), things.inventory)
    await eventually(lambda: manager.status()[0].counters.failed_registrations > 1)
    assert not manager.status()[0].registered
    await late_kubelet.start()
    await eventually(lambda: late_kubelet.now() == four())


async def test_a_refused_registration_is_tried_again_and_hurts_no_other(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    kubelet.refuse = {GPU: "not today"}
    await manager.serve(
        (things.shared(4), things.shared(2, "nvidia.com/b")), Config(), things.inventory
    )
    await eventually(lambda: len(kubelet.now("nvidia.com/b")) == 2)
    await eventually(lambda: kubelet.registrations(GPU) > 2)
    kubelet.refuse = {}
    await eventually(lambda: kubelet.now() == four())
    assert kubelet.registrations("nvidia.com/b") == 1
    counters = {status.listing.resource.name: status.counters for status in manager.status()}
    assert counters[GPU].failed_registrations > 2
    assert counters["nvidia.com/b"].failed_registrations == 0


async def test_a_fault_in_one_resource_restarts_that_one_alone(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await served(manager, things, things.shared(4), things.shared(2, "nvidia.com/b"))
    await eventually(lambda: kubelet.now() and kubelet.now("nvidia.com/b"))
    kubelet.lists.clear()
    board = manager._plugins[GPU].board
    with monkeypatch.context() as broken:
        broken.setattr(board, "watch", lambda _: 1 / 0)
        stream = kubelet.plugin(GPU).ListAndWatch(pb.Empty())
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()
    await eventually(lambda: kubelet.now() == four())
    assert kubelet.registrations("nvidia.com/b") == 1
    assert "nvidia.com/b" not in kubelet.ended
    restarts = {
        status.listing.resource.name: status.counters.restarts for status in manager.status()
    }
    assert restarts["nvidia.com/b"] == 0
    assert restarts[GPU] > 0


async def test_a_socket_that_somebody_removed_is_made_again(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4))
    (kubelet.folder / "nvidia-gpu.sock").unlink()
    await eventually(lambda: kubelet.registrations(GPU) >= 2)
    await eventually(lambda: (kubelet.folder / "nvidia-gpu.sock").exists())
    assert manager.status()[0].counters.restarts >= 1


async def test_a_stale_socket_of_a_killed_agent_is_no_obstacle(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    for name in ("nvidia-gpu.sock", ".rota-0123abcd"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(kubelet.folder / name))
    await served(manager, things, things.shared(4))
    await eventually(lambda: kubelet.now() == four())
    assert not (kubelet.folder / ".rota-0123abcd").exists()


async def test_a_second_agent_is_told_that_there_is_one(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4))
    second = PluginManager(kubelet.folder)
    with pytest.raises(KubeletError, match=r"nvidia-gpu\.sock: another device plugin serves"):
        await second.serve((things.shared(2),), Config(), things.inventory)
    await second.stop()
    await eventually(lambda: kubelet.now() == four())
    assert (kubelet.folder / "nvidia-gpu.sock").exists()


async def test_what_another_plugin_holds_is_taken_over_once_it_ends(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    first = PluginManager(kubelet.folder)
    await served(first, things, things.shared(2))
    with pytest.raises(KubeletError):
        await manager.serve(
            (things.shared(4), things.shared(3, "nvidia.com/b")), Config(), things.inventory
        )
    await eventually(lambda: len(kubelet.now("nvidia.com/b")) == 3)
    await first.stop()
    await eventually(lambda: kubelet.now() == four())


async def test_no_folder_is_said_and_waited_for(
    folder: Path, things: Things, eventually: Eventually
) -> None:
    manager = PluginManager(folder / "later")
    with pytest.raises(KubeletError, match="folder is not there"):
        await manager.serve((things.shared(4),), Config(), things.inventory)
    (folder / "later").mkdir()
    await eventually(lambda: (folder / "later" / "nvidia-gpu.sock").exists())
    await manager.stop()


async def test_a_path_that_no_socket_can_have_is_refused(folder: Path, things: Things) -> None:
    long = folder / ("x" * 90)
    long.mkdir()
    manager = PluginManager(long)
    with pytest.raises(KubeletError, match="at most 107 bytes"):
        await manager.serve((things.shared(4),), Config(), things.inventory)
    await manager.stop()


async def test_a_sick_gpu_takes_all_its_replicas_with_it_and_brings_them_back(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(2, gpus=2), things.shared(4, "nvidia.com/b"))
    await eventually(lambda: kubelet.now() and kubelet.now("nvidia.com/b"))
    manager.set_health("GPU-0", False, "Xid 79")
    sick = {"GPU-0::0": UNHEALTHY, "GPU-0::1": UNHEALTHY}
    await eventually(lambda: kubelet.now() == {**sick, "GPU-1::0": HEALTHY, "GPU-1::1": HEALTHY})
    await eventually(lambda: kubelet.now("nvidia.com/b") == four(UNHEALTHY))
    await served(manager, things, things.shared(1, gpus=2), things.shared(4, "nvidia.com/b"))
    await eventually(lambda: kubelet.now() == {"GPU-0::0": UNHEALTHY, "GPU-1::0": HEALTHY})
    manager.set_health("GPU-0", True)
    await eventually(lambda: kubelet.now() == {"GPU-0::0": HEALTHY, "GPU-1::0": HEALTHY})
    await eventually(lambda: kubelet.now("nvidia.com/b") == four())


async def test_a_sick_gpu_takes_its_mig_devices_with_it_and_a_mig_device_only_itself(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    mig = things.mig()
    await served(manager, things, mig)
    manager.set_health("MIG-0-1", False)
    await eventually(lambda: kubelet.now(mig.name) == {"MIG-0-0": HEALTHY, "MIG-0-1": UNHEALTHY})
    manager.set_health("GPU-0", False)
    await eventually(lambda: kubelet.now(mig.name) == {"MIG-0-0": UNHEALTHY, "MIG-0-1": UNHEALTHY})
    manager.set_health("GPU-0", True)
    await eventually(lambda: kubelet.now(mig.name) == {"MIG-0-0": HEALTHY, "MIG-0-1": UNHEALTHY})


async def test_a_shrink_drops_free_replicas_and_drains_held_ones(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    pods: Pods,
    eventually: Eventually,
) -> None:
    await served(manager, things, things.shared(4))
    pods.held = {GPU: {"GPU-0::0", "GPU-0::3"}}
    await served(manager, things, things.shared(2))
    draining = {"GPU-0::0": HEALTHY, "GPU-0::1": HEALTHY, "GPU-0::3": UNHEALTHY}
    await eventually(lambda: kubelet.now() == draining)
    asked = pods.asked
    await eventually(lambda: pods.asked > asked + 1)
    assert kubelet.now() == draining
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await allocate(kubelet, "GPU-0::3")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the config no longer has it" in str(refused.value.details())
    pods.held = {GPU: {"GPU-0::0"}}
    await eventually(lambda: kubelet.now() == {"GPU-0::0": HEALTHY, "GPU-0::1": HEALTHY})


async def test_growing_back_makes_a_draining_replica_healthy_again(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    pods: Pods,
    eventually: Eventually,
) -> None:
    pods.held = {GPU: {"GPU-0::3"}}
    await served(manager, things, things.shared(2))
    await eventually(lambda: kubelet.now().get("GPU-0::3") == UNHEALTHY)
    await served(manager, things, things.shared(4))
    await eventually(lambda: kubelet.now() == four())
    asked = pods.asked
    await served(manager, things, things.shared(4))
    assert pods.asked == asked + 1


async def test_a_rollback_to_whole_gpus_lists_what_pods_still_hold(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    pods: Pods,
    eventually: Eventually,
) -> None:
    await served(manager, things, things.shared(4, gpus=2))
    pods.held = {GPU: {"GPU-0::0"}}
    await served(manager, things, things.whole())
    await eventually(
        lambda: kubelet.now() == {"GPU-0": HEALTHY, "GPU-1": HEALTHY, "GPU-0::0": UNHEALTHY}
    )


async def test_what_was_just_allocated_is_drained_though_the_kubelet_does_not_show_it(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(4))
    await allocate(kubelet, "GPU-0::2")
    await served(manager, things, things.shared(1))
    await eventually(lambda: kubelet.now() == {"GPU-0::0": HEALTHY, "GPU-0::2": UNHEALTHY})


async def test_without_the_kubelets_word_everything_allocated_is_drained(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    pods: Pods,
    eventually: Eventually,
) -> None:
    pods.error = KubeletError("no such socket")
    await served(manager, things, things.shared(4))
    await allocate(kubelet, "GPU-0::2")
    await served(manager, things, things.shared(1))
    asked = pods.asked
    await eventually(lambda: pods.asked > asked + 1)
    assert kubelet.now() == {"GPU-0::0": HEALTHY, "GPU-0::2": UNHEALTHY}


async def allocate(kubelet: PlainKubelet, *ids: str) -> pb.ContainerAllocateResponse:
    request = pb.AllocateRequest()
    request.container_requests.add(devices_ids=ids)
    answer: pb.AllocateResponse = await kubelet.plugin(GPU).Allocate(request)
    (container,) = answer.container_responses
    return container


async def test_allocate_gives_the_gpu_the_replicas_and_the_extra_environment(
    kubelet: PlainKubelet, manager: PluginManager, things: Things
) -> None:
    await served(manager, things, things.shared(4))
    assert dict((await allocate(kubelet, "GPU-0::1", "GPU-0::3")).envs) == {
        "NVIDIA_VISIBLE_DEVICES": "GPU-0",
        "ROTA_REPLICAS": "GPU-0::1,GPU-0::3",
        "EXTRA": "1",
    }


async def test_every_strategy_at_once_over_the_wire_and_the_spec_is_there_until_the_stop(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, folder: Path
) -> None:
    flags = Flags(
        pass_device_specs=True,
        device_list_strategy=("envvar", "volume-mounts", "cdi-annotations", "cdi-cri"),
        device_id_strategy="index",
    )
    await manager.serve((things.shared(4),), Config(flags=flags), things.inventory)
    await manager.wait_registered()
    answer = await allocate(kubelet, "GPU-0::1")
    assert answer.envs["NVIDIA_VISIBLE_DEVICES"] == "/var/run/nvidia-container-devices"
    assert answer.mounts[0].host_path == "/dev/null"
    assert answer.devices[0].host_path == "/dev/nvidia4"
    assert [device.name for device in answer.cdi_devices] == ["k8s.device-plugin.nvidia.com/gpu=0"]
    assert list(answer.annotations.values()) == ["k8s.device-plugin.nvidia.com/gpu=0"]
    spec = folder / "cdi" / "k8s.device-plugin.nvidia.com-gpu.json"
    assert spec.exists()
    await manager.serve((things.shared(4),), Config(), things.inventory)
    assert not spec.exists()
    assert not (await allocate(kubelet, "GPU-0::1")).cdi_devices
    await manager.serve((things.shared(4),), Config(flags=flags), things.inventory)
    await manager.stop()
    assert not spec.exists()


@pytest.mark.parametrize(
    ("ids", "code", "message"),
    [
        (
            ["GPU-0::0", "GPU-0::1"],
            grpc.StatusCode.INVALID_ARGUMENT,
            'invalid allocation request for "nvidia.com/gpu": invalid request: '
            "maximum request size for shared resources is 1; found 2",
        ),
        (
            ["GPU-9::0"],
            grpc.StatusCode.NOT_FOUND,
            'invalid allocation request for "nvidia.com/gpu": unknown device: GPU-9::0',
        ),
        (
            ["GPU-1::0"],
            grpc.StatusCode.FAILED_PRECONDITION,
            'invalid allocation request for "nvidia.com/gpu": device GPU-1::0 is unhealthy: Xid 79',
        ),
    ],
)
async def test_a_refusal_names_its_cause(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    ids: list[str],
    code: grpc.StatusCode,
    message: str,
) -> None:
    await served(manager, things, things.shared(4, gpus=2, single=True))
    manager.set_health("GPU-1", False, "Xid 79")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await allocate(kubelet, *ids)
    assert (refused.value.code(), refused.value.details()) == (code, message)
    counters = manager.status()[0].counters
    assert (counters.refusals, counters.allocations) == (1, 0)


async def test_a_missing_mig_capability_is_the_drivers_fault_not_the_requests(
    kubelet: PlainKubelet, manager: PluginManager, things: Things
) -> None:
    config = Config(flags=Flags(pass_device_specs=True))
    resource = replace(things.mig(), name=GPU)
    await manager.serve((resource,), config, things.mig_inventory)
    await manager.wait_registered()
    with pytest.raises(grpc.aio.AioRpcError, match="no capability gpu4/gi7/access") as refused:
        await allocate(kubelet, "MIG-0-0")
    assert refused.value.code() is grpc.StatusCode.INTERNAL


async def test_the_preferred_allocation_follows_the_config(
    kubelet: PlainKubelet, manager: PluginManager, things: Things
) -> None:
    request = pb.PreferredAllocationRequest()
    available = ["GPU-0::2", "GPU-0::3", "GPU-1::0", "GPU-1::1", "GPU-1::2"]
    asked = request.container_requests.add(available_deviceIDs=available, allocation_size=2)
    resource = things.shared(4, gpus=2)
    packed = Config(rota=RotaSettings(allocation=Allocation("packed")))
    apart = Config(rota=RotaSettings(allocation=Allocation("packed", "required")))
    for config, expected in (
        (Config(), ["GPU-1::0", "GPU-0::2"]),
        (packed, ["GPU-0::2", "GPU-0::3"]),
        (apart, ["GPU-0::2", "GPU-1::0"]),
    ):
        await manager.serve((resource,), config, things.inventory)
        await manager.wait_registered()
        answer = await kubelet.plugin(GPU).GetPreferredAllocation(request)
        assert list(answer.container_responses[0].deviceIDs) == expected
    asked.allocation_size = 6
    with pytest.raises(grpc.aio.AioRpcError, match="6 replicas") as refused:
        await kubelet.plugin(GPU).GetPreferredAllocation(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_several_clients_watch_and_one_that_leaves_or_is_slow_hurts_nobody(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, eventually: Eventually
) -> None:
    await served(manager, things, things.shared(1024))
    async with grpc.aio.insecure_channel(f"unix:{kubelet.folder}/nvidia-gpu.sock") as channel:
        stub = DevicePluginStub(channel)  # type: ignore[no-untyped-call]
        slow, leaving = stub.ListAndWatch(pb.Empty()), stub.ListAndWatch(pb.Empty())
        assert len((await leaving.read()).devices) == 1024
        await eventually(lambda: manager.status()[0].streams == 3)
        leaving.cancel()
        await eventually(lambda: manager.status()[0].streams == 2)
        for round_ in range(40):
            manager.set_health("GPU-0", bool(round_ % 2))
            state = HEALTHY if round_ % 2 else UNHEALTHY
            await eventually(lambda s=state: kubelet.now().get("GPU-0::0") == s)
        slow.cancel()
    await eventually(lambda: manager.status()[0].streams == 1)


async def test_a_kubelet_that_stops_watching_is_told_again(
    kubelet: PlainKubelet,
    manager: PluginManager,
    things: Things,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rota.kubelet.plugin.LONELY", 0.1)
    await served(manager, things, things.shared(4))
    await eventually(lambda: kubelet.now())
    await kubelet.leave(GPU)
    kubelet.lists.clear()
    await eventually(lambda: kubelet.now() == four())
    assert kubelet.registrations(GPU) >= 2


@pytest.mark.parametrize("authority", ["/var/lib/kubelet/x.sock", "%2Fvar%2Fx.sock", "localhost"])
async def test_every_form_of_authority_that_kubelets_send_is_served(
    kubelet: PlainKubelet, manager: PluginManager, things: Things, authority: str
) -> None:
    await served(manager, things, things.shared(4))
    target = f"unix:{kubelet.folder}/nvidia-gpu.sock"
    options = [("grpc.default_authority", authority)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = DevicePluginStub(channel)  # type: ignore[no-untyped-call]
        assert await stub.GetDevicePluginOptions(pb.Empty())
