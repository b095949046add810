"""Registration, and what becomes of plugins that misbehave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from rota.kubelet.embedded import EmbeddedKubelet, Timing

if TYPE_CHECKING:
    from tests.kubelet.embedded.conftest import FakePlugin, MakeKubelet, MakePlugin

GPU = "nvidia.com/gpu"
PATIENCE = 30.0


async def refused(plugin: FakePlugin, **changes: str) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plugin.register(**changes)
    return caught.value.code(), caught.value.details() or ""


async def test_a_registered_plugins_devices_are_capacity_and_allocatable(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    assert kubelet.capacity() == kubelet.allocatable() == {GPU: 4}
    assert [name for name, _ in plugin.calls] == ["GetDevicePluginOptions"]
    assert plugin.streams == 1


async def test_another_version_is_refused(
    kubelet: EmbeddedKubelet, make_plugin: MakePlugin
) -> None:
    assert await refused(make_plugin(), version="v1alpha1") == (
        grpc.StatusCode.UNKNOWN,
        'requested API version "v1alpha1" is not supported by kubelet. '
        'Supported version is ["v1beta1"]',
    )


@pytest.mark.parametrize("name", ["gpu", "kubernetes.io/gpu", ""])
async def test_a_name_that_is_no_extended_resource_is_refused(
    kubelet: EmbeddedKubelet, make_plugin: MakePlugin, name: str
) -> None:
    answer = await refused(make_plugin(), resource_name=name)
    assert answer == (grpc.StatusCode.UNKNOWN, f'the ResourceName "{name}" is invalid')
    assert kubelet.capacity() == {}


async def test_an_endpoint_where_nobody_listens_is_refused(
    make_kubelet: MakeKubelet, make_plugin: MakePlugin
) -> None:
    kubelet = await make_kubelet(timing=Timing(dial_deadline=0.3))
    answer = await refused(make_plugin(), endpoint="nobody.sock")
    assert answer[1] == "failed to dial device plugin: context deadline exceeded"
    assert any(event.reason == "RegistrationRefused" for event in kubelet.events)
    assert (await refused(make_plugin(), version="v2"))[1].startswith("requested API version")


async def test_an_endpoint_with_too_long_a_path_is_refused_with_its_length(
    kubelet: EmbeddedKubelet, make_plugin: MakePlugin
) -> None:
    _, message = await refused(make_plugin(), endpoint="e" * 100)
    assert message.startswith("failed to dial device plugin: ")
    assert "at most 107 bytes" in message


@pytest.mark.parametrize("endpoint", ["kubelet.sock", "", "a\0b", "../none.sock"])
async def test_an_endpoint_that_is_no_plugin_is_refused(
    make_kubelet: MakeKubelet, make_plugin: MakePlugin, endpoint: str
) -> None:
    kubelet = await make_kubelet(timing=Timing(dial_deadline=0.3))
    code, _ = await refused(make_plugin(), endpoint=endpoint)
    assert code == grpc.StatusCode.UNKNOWN
    assert kubelet.capacity() == {}
    assert (await refused(make_plugin(), version="v2"))[1].startswith("requested API version")


async def test_a_plugin_without_options_is_refused(
    kubelet: EmbeddedKubelet, make_plugin: MakePlugin
) -> None:
    plugin = make_plugin()
    plugin.refuse = {"GetDevicePluginOptions": "none"}
    await plugin.serve()
    assert (await refused(plugin))[1] == (
        "failed to get device plugin options: rpc error: code = InvalidArgument desc = none"
    )


async def test_a_plugin_that_dies_leaves_its_capacity_for_the_grace(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    await plugin.die()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 0}, PATIENCE)
    assert kubelet.capacity() == {GPU: 4}


async def test_after_the_grace_the_resource_is_forgotten(
    make_kubelet: MakeKubelet, make_plugin: MakePlugin
) -> None:
    kubelet = await make_kubelet(timing=Timing(endpoint_grace=0.05))
    plugin = make_plugin()
    await plugin.start()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 4}, PATIENCE)
    await plugin.die()
    await kubelet.wait_until(lambda: kubelet.capacity() == {}, PATIENCE)
    assert any(event.reason == "ResourceForgotten" for event in kubelet.events)
    await plugin.start()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 4}, PATIENCE)


async def test_a_plugin_that_comes_back_within_the_grace_is_not_forgotten(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    await plugin.die()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 0}, PATIENCE)
    devices = kubelet._require().devices
    assert devices.abandoned == {GPU}
    await plugin.start()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 4}, PATIENCE)
    assert devices.abandoned == set()


async def test_a_stream_that_breaks_makes_all_devices_unhealthy(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    plugin.refuse = {"ListAndWatch": "lost the driver"}
    plugin.send()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 0}, PATIENCE)
    assert kubelet.capacity() == {GPU: 4}
    gone = await kubelet.wait_until(
        lambda: [e for e in kubelet.events if e.reason == "PluginGone"], PATIENCE
    )
    assert "rpc error: code = Internal desc = lost the driver" in gone[0].message


async def test_a_new_registration_of_a_resource_replaces_the_old_one(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, make_plugin: MakePlugin
) -> None:
    second = make_plugin(["x"], endpoint="second.sock")
    await second.start()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 1}, PATIENCE)
    await kubelet.wait_until(lambda: plugin.streams == 0, PATIENCE)
    assert any(event.reason == "PluginReplaced" for event in kubelet.events)
    plugin.send(("a", "Healthy"), ("b", "Healthy"))
    await plugin.die()
    second.send(("x", "Healthy"), ("y", "Healthy"))
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 2}, PATIENCE)


async def test_resources_come_and_go_on_their_own(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, make_plugin: MakePlugin
) -> None:
    other = make_plugin(["n"], resource="x.y/nic", endpoint="nic.sock")
    await other.start()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 4, "x.y/nic": 1}, PATIENCE)
    await other.die()
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 4, "x.y/nic": 0}, PATIENCE)


async def test_nonsense_in_a_list_is_told_and_does_no_harm(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    plugin.send(("a", "Healthy"), ("a", "Healthy"), ("b", "splendid"), ("", "Healthy"))
    await kubelet.wait_until(lambda: kubelet.capacity() == {GPU: 3}, PATIENCE)
    assert kubelet.allocatable() == {GPU: 2}
    odd = [event.message for event in kubelet.events if event.reason == "OddDevice"]
    assert len(odd) == 2


async def test_an_empty_list_is_no_devices(kubelet: EmbeddedKubelet, plugin: FakePlugin) -> None:
    plugin.send()
    await kubelet.wait_until(lambda: kubelet.capacity() == {GPU: 0}, PATIENCE)
