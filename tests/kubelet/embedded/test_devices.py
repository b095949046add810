"""Allocation: which devices a container gets, and what the plugin is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec
from rota.kubelet.embedded.status import PodStatus

if TYPE_CHECKING:
    from tests.kubelet.embedded.conftest import FakePlugin, MakePlugin

    MakePod = Callable[..., PodSpec]

GPU = "nvidia.com/gpu"
PATIENCE = 30.0


async def settled(kubelet: EmbeddedKubelet, spec: PodSpec) -> PodStatus:
    """Add a pod; its status once it runs or is over."""
    kubelet.add_pod(spec)

    def is_settled() -> bool:
        return kubelet.pod(spec.namespace, spec.name).phase != "Pending"

    await kubelet.wait_until(is_settled, PATIENCE)
    return kubelet.pod(spec.namespace, spec.name)


async def test_without_the_option_the_plugin_is_not_asked_what_it_prefers(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.preferred = ["g3"]
    status = await settled(kubelet, pod("p", 1))
    assert status.container().devices == {GPU: ("g0",)}
    assert not plugin.asked("GetPreferredAllocation")


async def prefers(plugin: FakePlugin, *ids: str) -> None:
    """Have the plugin say at its registration that it has preferences."""
    plugin.options.get_preferred_allocation_available = True
    plugin.preferred = ids
    await plugin.register()


async def test_the_plugins_preference_is_followed(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    await prefers(plugin, "g2", "g3")
    status = await settled(kubelet, pod("p", 2))
    assert status.container().devices == {GPU: ("g2", "g3")}
    (asked,) = plugin.asked("GetPreferredAllocation")
    (request,) = asked.container_requests
    assert list(request.available_deviceIDs) == ["g0", "g1", "g2", "g3"]
    assert list(request.must_include_deviceIDs) == []
    assert request.allocation_size == 2
    (allocated,) = plugin.asked("Allocate")
    assert [list(r.devices_ids) for r in allocated.container_requests] == [["g2", "g3"]]


async def test_what_is_preferred_but_not_free_is_made_up_for(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    await settled(kubelet, pod("first", 1))
    await prefers(plugin, "g0", "unknown", "g3")
    status = await settled(kubelet, pod("p", 2))
    assert status.container().devices == {GPU: ("g3", "g1")}


async def test_a_preference_for_too_many_is_cut(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    await prefers(plugin, "g3", "g2", "g1")
    status = await settled(kubelet, pod("p", 1))
    assert status.container().devices == {GPU: ("g3",)}


async def test_an_error_about_preferences_fails_the_pod(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    await prefers(plugin)
    plugin.refuse = {"GetPreferredAllocation": "cannot"}
    status = await settled(kubelet, pod("p", 1, ("true",)))
    assert status.reason == "UnexpectedAdmissionError"
    assert status.message == (
        "Pod was rejected: Allocate failed due to device plugin GetPreferredAllocation rpc failed "
        "with err: rpc error: code = InvalidArgument desc = cannot, which is unexpected"
    )


async def test_an_answer_for_no_container_fails_the_pod(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.answer_nothing = True
    status = await settled(kubelet, pod("p", 1))
    assert status.reason == "UnexpectedAdmissionError"
    assert "no containers return in allocation response" in status.message


async def test_an_error_for_the_second_container_frees_the_firsts_devices(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, make_plugin: MakePlugin, pod: MakePod
) -> None:
    nic = make_plugin(["n"], resource="x.y/nic", endpoint="nic.sock")
    nic.refuse = {"Allocate": "no"}
    await nic.start()
    await kubelet.wait_until(lambda: kubelet.allocatable().get("x.y/nic"), PATIENCE)
    first = ContainerSpec("a", ("true",), limits={GPU: 4})
    second = ContainerSpec("b", ("true",), limits={"x.y/nic": 1})
    assert (await settled(kubelet, PodSpec("p", (first, second)))).phase == "Failed"
    assert (await settled(kubelet, pod("q", 4))).phase == "Running"


async def test_each_resource_of_a_container_is_allocated_by_its_own_plugin(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, make_plugin: MakePlugin
) -> None:
    nic = make_plugin(["n"], resource="x.y/nic", endpoint="nic.sock")
    await nic.start()
    await kubelet.wait_until(lambda: kubelet.allocatable().get("x.y/nic"), PATIENCE)
    container = ContainerSpec("a", ("sleep", "1000"), limits={GPU: 1, "x.y/nic": 1})
    status = await settled(kubelet, PodSpec("p", (container,)))
    assert status.container().devices == {GPU: ("g0",), "x.y/nic": ("n",)}


async def test_containers_use_the_devices_of_init_containers_again(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    await prefers(plugin, "g3")
    init = ContainerSpec("init", ("true",), limits={GPU: 1})
    main = ContainerSpec("main", ("sleep", "1000"), limits={GPU: 2})
    status = await settled(kubelet, PodSpec("p", (main,), init_containers=(init,)))
    assert status.container("init").devices == {GPU: ("g3",)}
    assert status.container("main").devices == {GPU: ("g3", "g0")}
    second = plugin.asked("GetPreferredAllocation")[1].container_requests[0]
    assert list(second.must_include_deviceIDs) == ["g3"]
    assert sorted(second.available_deviceIDs) == ["g0", "g1", "g2", "g3"]
    assert second.allocation_size == 2


async def test_prestart_is_called_only_where_the_plugin_wants_it(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    await settled(kubelet, pod("p", 1))
    assert not plugin.asked("PreStartContainer")
    plugin.options.pre_start_required = True
    await plugin.register()
    await settled(kubelet, pod("q", 2))
    assert [list(r.devices_ids) for r in plugin.asked("PreStartContainer")] == [["g1", "g2"]]


async def test_a_prestart_that_fails_keeps_the_container_waiting_until_it_does_not(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.options.pre_start_required = True
    plugin.refuse = {"PreStartContainer": "not yet"}
    await plugin.register()
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: kubelet.pod("default", "p").container().message, PATIENCE)
    container = kubelet.pod("default", "p").container()
    assert container.reason == "CreateContainerConfigError"
    assert container.message == (
        "device plugin PreStartContainer rpc failed with err: "
        "rpc error: code = InvalidArgument desc = not yet"
    )
    plugin.refuse = {}
    await kubelet.wait_until(lambda: kubelet.pod("default", "p").phase == "Running", PATIENCE)
