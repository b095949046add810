"""The whole thing: admission, waiting, restarts of the kubelet, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import KubeletError
from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec, Timing

if TYPE_CHECKING:
    from tests.kubelet.embedded.conftest import FakePlugin, MakeKubelet, MakePlugin

    MakePod = Callable[..., PodSpec]
    Eventually = Callable[[Callable[[], Any]], Awaitable[Any]]

GPU = "nvidia.com/gpu"
PATIENCE = 30.0


def phases(kubelet: EmbeddedKubelet) -> dict[str, str]:
    return {pod.name: pod.phase for pod in kubelet.pods()}


def devices(kubelet: EmbeddedKubelet, name: str) -> tuple[str, ...]:
    return kubelet.pod("default", name).container().devices.get(GPU, ())


async def test_a_pod_runs_on_its_devices_with_the_plugins_env(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p", 2, ("sh", "-c", "echo $VISIBLE $FROM_PLUGIN")))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Succeeded", PATIENCE)

    container = kubelet.pod("default", "p").container("main")
    assert kubelet.log("default", "p", "main") == f"{','.join(container.devices[GPU])} yes\n"
    assert container.given.env == {
        "VISIBLE": ",".join(container.devices[GPU]),
        "FROM_PLUGIN": "yes",
    }
    assert container.given.mounts == (("/c", "/h", True),)
    assert container.given.device_nodes == (("/d", "/e", "rw"),)
    assert container.given.annotations == {"note": "x"}
    assert container.given.cdi_devices == ("a.b/c=d",)
    assert len(container.id) == 64
    assert container.pid is None
    assert container.exit_code == 0
    assert container.started is not None
    assert container.finished is not None
    assert container.started <= container.finished


async def test_a_containers_own_env_wins_over_the_plugins(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    command = ("sh", "-c", "echo $VISIBLE")
    kubelet.add_pod(pod("p", 1, command, env={"VISIBLE": "mine"}))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Succeeded", PATIENCE)
    assert kubelet.log("default", "p") == "mine\n"


async def test_environ_is_what_every_environment_starts_from(
    make_kubelet: MakeKubelet, pod: MakePod
) -> None:
    kubelet = await make_kubelet(environ={"PATH": os.environ["PATH"], "BASE": "x"})
    status = kubelet.add_pod(pod("p", 0, ("env",)))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Succeeded", PATIENCE)
    env = dict(line.split("=", 1) for line in kubelet.log("default", "p").splitlines())
    container = kubelet.pod("default", "p").container()
    assert env["BASE"] == "x"
    assert env["ROTA_POD_UID"] == status.uid
    assert env["ROTA_CONTAINER_ID"] == container.id
    assert "HOME" not in env


async def test_a_pod_that_does_not_fit_waits_and_says_why(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    for number in range(4):
        kubelet.add_pod(pod(f"p{number}", 1))
    kubelet.add_pod(pod("fifth", 1))
    await kubelet.wait_until(lambda: kubelet.pod("default", "fifth").reason, PATIENCE)
    fifth = kubelet.pod("default", "fifth")
    assert (fifth.phase, fifth.reason) == ("Pending", "Unschedulable")
    assert fifth.message == f"0/1 nodes are available: 1 Insufficient {GPU}."
    held = [devices(kubelet, f"p{number}") for number in range(4)]
    assert sorted(i for ids in held for i in ids) == ["g0", "g1", "g2", "g3"]

    await kubelet.delete_pod("default", "p2")
    await kubelet.wait_until(lambda: phases(kubelet)["fifth"] == "Running", PATIENCE)
    assert devices(kubelet, "fifth") == held[2]
    assert kubelet.pod("default", "fifth").message == ""


async def test_who_waits_is_started_in_the_order_of_arrival(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("all", 4))
    for name in ("a", "b", "c", "d", "e"):
        kubelet.add_pod(pod(name, 2))
    await kubelet.wait_until(lambda: kubelet.pod("default", "e").reason, PATIENCE)
    await kubelet.delete_pod("default", "all")
    await kubelet.wait_until(
        lambda: phases(kubelet)["a"] == phases(kubelet)["b"] == "Running", PATIENCE
    )
    assert [phases(kubelet)[name] for name in "cde"] == ["Pending"] * 3
    await kubelet.delete_pod("default", "b")
    await kubelet.wait_until(lambda: phases(kubelet)["c"] == "Running", PATIENCE)
    assert [phases(kubelet)[name] for name in "de"] == ["Pending"] * 2


async def test_a_pod_waits_for_a_resource_that_nobody_serves_yet(
    kubelet: EmbeddedKubelet, make_plugin: MakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: kubelet.pod("default", "p").reason, PATIENCE)
    await make_plugin().start()
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)


async def test_devices_are_free_when_a_pod_has_ended(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("first", 4, ("true",)))
    kubelet.add_pod(pod("second", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["second"] == "Running", PATIENCE)
    assert phases(kubelet)["first"] == "Succeeded"
    assert len(devices(kubelet, "second")) == 4


async def test_ill_devices_are_not_handed_out_and_who_has_one_keeps_it(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("holder", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["holder"] == "Running", PATIENCE)
    (mine,) = devices(kubelet, "holder")
    well = [f"g{n}" for n in range(4) if f"g{n}" != mine]
    plugin.send((mine, "Unhealthy"), *((i, "Healthy") for i in well))
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 3}, PATIENCE)
    assert kubelet.capacity() == {GPU: 4}

    kubelet.add_pod(pod("a", 2))
    kubelet.add_pod(pod("b", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["a"] == "Running", PATIENCE)
    await kubelet.wait_until(lambda: kubelet.pod("default", "b").reason, PATIENCE)
    assert set(devices(kubelet, "a")) < set(well)
    assert phases(kubelet)["holder"] == "Running"
    assert devices(kubelet, "holder") == (mine,)


async def test_an_error_in_allocate_fails_the_pod_with_the_plugins_words(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.refuse = {"Allocate": "one at most"}
    kubelet.add_pod(pod("p", 2))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Failed", PATIENCE)
    status = kubelet.pod("default", "p")
    assert status.reason == "UnexpectedAdmissionError"
    assert status.message == (
        "Pod was rejected: Allocate failed due to rpc error: code = InvalidArgument desc = "
        "one at most, which is unexpected"
    )
    plugin.refuse = {}
    kubelet.add_pod(pod("next", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["next"] == "Running", PATIENCE)


async def test_a_plugin_that_hangs_in_allocate_costs_one_pod_and_no_more(
    make_kubelet: MakeKubelet, make_plugin: MakePlugin, pod: MakePod
) -> None:
    kubelet = await make_kubelet(timing=Timing(call_deadline=0.5))
    plugin = make_plugin()
    plugin.hang = {"Allocate"}
    await plugin.start()
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Failed", PATIENCE)
    assert "code = DeadlineExceeded" in kubelet.pod("default", "p").message
    kubelet.add_pod(pod("other"))
    await kubelet.wait_until(lambda: phases(kubelet)["other"] == "Running", PATIENCE)


async def test_a_pod_deleted_while_its_plugin_hangs_leaves_nothing(
    make_kubelet: MakeKubelet, make_plugin: MakePlugin, pod: MakePod
) -> None:
    kubelet = await make_kubelet(timing=Timing(call_deadline=1))
    plugin = make_plugin()
    plugin.hang = {"Allocate"}
    await plugin.start()
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: plugin.asked("Allocate"), PATIENCE)
    await kubelet.delete_pod("default", "p")
    assert kubelet.pods() == ()


async def test_a_plugin_that_dies_in_allocate_costs_one_pod_and_no_more(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.hang = {"Allocate"}
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: plugin.asked("Allocate"), PATIENCE)
    await plugin.die()
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Failed", PATIENCE)
    assert "rpc error: code = " in kubelet.pod("default", "p").message
    kubelet.add_pod(pod("other"))
    await kubelet.wait_until(lambda: phases(kubelet)["other"] == "Running", PATIENCE)


async def test_a_plugin_that_is_replaced_in_allocate_costs_one_pod_and_no_more(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, make_plugin: MakePlugin
) -> None:
    plugin.hang = {"Allocate"}
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: plugin.asked("Allocate"), PATIENCE)
    await make_plugin(["x"], endpoint="second.sock").start()
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Failed", PATIENCE)
    assert "code = Canceled desc = grpc: the client connection is closing" in (
        kubelet.pod("default", "p").message
    )
    await kubelet.wait_until(lambda: kubelet.allocatable() == {GPU: 1}, PATIENCE)
    kubelet.add_pod(pod("other", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["other"] == "Running", PATIENCE)
    assert devices(kubelet, "other") == ("x",)


async def test_a_restart_while_a_plugin_hangs_lets_the_pod_wait_for_the_next(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, make_plugin: MakePlugin
) -> None:
    plugin.hang = {"Allocate"}
    kubelet.add_pod(pod("p", 4))
    await kubelet.wait_until(lambda: plugin.asked("Allocate"), PATIENCE)
    await kubelet.restart()
    await plugin.die()
    await make_plugin().start()
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    assert len(devices(kubelet, "p")) == 4


async def test_a_fault_of_our_own_in_admission_fails_that_pod_only(
    kubelet: EmbeddedKubelet, pod: MakePod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(kubelet._require().devices, "allocate", broken)
        kubelet.add_pod(pod("p"))
        await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Failed", PATIENCE)
    assert "a bug" in kubelet.pod("default", "p").message
    kubelet.add_pod(pod("q"))
    await kubelet.wait_until(lambda: phases(kubelet)["q"] == "Running", PATIENCE)


async def test_a_restart_keeps_pods_and_their_devices_and_forgets_plugins(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, make_plugin: MakePlugin
) -> None:
    kubelet.add_pod(pod("p", 3))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    before = kubelet.pod("default", "p")
    made = kubelet.plugin_socket.stat().st_ctime_ns

    await kubelet.restart()
    assert kubelet.plugin_socket.is_socket()
    assert kubelet.pod_resources_socket.is_socket()
    assert kubelet.plugin_socket.stat().st_ctime_ns > made
    assert not (plugin.folder / plugin.endpoint).exists()
    assert kubelet.capacity() == kubelet.allocatable() == {GPU: 0}
    assert kubelet.pod("default", "p") == before

    await plugin.die()
    again = make_plugin()
    await again.start()
    kubelet.add_pod(pod("q", 1))
    kubelet.add_pod(pod("r", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["q"] == "Running", PATIENCE)
    await kubelet.wait_until(lambda: kubelet.pod("default", "r").reason, PATIENCE)
    assert not set(devices(kubelet, "q")) & set(devices(kubelet, "p"))
    await kubelet.delete_pod("default", "p")
    await kubelet.wait_until(lambda: phases(kubelet)["r"] == "Running", PATIENCE)


async def test_a_damaged_checkpoint_does_not_stop_a_restart(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    real_close = kubelet._require().devices.close

    def damage() -> None:
        real_close()
        (plugin.folder / "kubelet_internal_checkpoint").write_text("{")

    kubelet._require().devices.close = damage  # type: ignore[method-assign]
    await kubelet.restart()
    assert any(event.reason == "CheckpointDamaged" for event in kubelet.events)
    assert phases(kubelet)["p"] == "Running"


async def test_a_pod_that_ends_during_a_restart_frees_its_devices(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, make_plugin: MakePlugin
) -> None:
    kubelet.add_pod(pod("p", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    await asyncio.gather(kubelet.restart(), kubelet.delete_pod("default", "p", 0))
    await plugin.die()
    await make_plugin().start()
    kubelet.add_pod(pod("q", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["q"] == "Running", PATIENCE)


async def test_starting_removes_sockets_and_files_but_not_folders(
    folder: Path, make_kubelet: MakeKubelet
) -> None:
    plugins = folder / "device-plugins"
    (plugins / "DEPRECATION").mkdir(parents=True)
    (plugins / "old.sock").touch()
    (plugins / "dangling").symlink_to("nowhere")
    await make_kubelet()
    assert {path.name for path in plugins.iterdir()} == {
        "DEPRECATION",
        "kubelet.sock",
        "kubelet_internal_checkpoint",
    }


async def test_stop_kills_all_pods_and_removes_the_sockets(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, gone: Callable[[int], bool]
) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    kubelet.add_pod(pod("p", 1))
    kubelet.add_pod(pod("q", 1, stubborn, restart_policy="Always"))
    kubelet.add_pod(pod("waits", 4))
    await kubelet.wait_until(
        lambda: phases(kubelet)["p"] == phases(kubelet)["q"] == "Running", PATIENCE
    )
    pids = [kubelet.pod("default", name).container().pid for name in "pq"]
    await kubelet.stop()
    assert all(pid and gone(pid) for pid in pids)
    assert kubelet.pods() == ()
    assert not kubelet.plugin_socket.exists()
    assert not kubelet.pod_resources_socket.exists()
    assert not (kubelet.folder / "pods").exists()
    await kubelet.stop()

    await kubelet.start()
    assert kubelet.plugin_socket.is_socket()


async def test_a_stop_during_a_restart_wins(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, gone: Callable[[int], bool]
) -> None:
    kubelet.add_pod(pod("p", 1))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    pid = kubelet.pod("default", "p").container().pid
    await asyncio.gather(kubelet.restart(), kubelet.stop())
    assert not kubelet.plugin_socket.exists()
    assert pid
    assert gone(pid)


async def test_after_a_new_start_nobody_holds_anything(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod, make_plugin: MakePlugin
) -> None:
    kubelet.add_pod(pod("p", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    await kubelet.stop()
    await plugin.die()
    await kubelet.start()
    await make_plugin().start()
    kubelet.add_pod(pod("q", 4))
    await kubelet.wait_until(lambda: phases(kubelet)["q"] == "Running", PATIENCE)


KILLED_KUBELET = """
import asyncio, sys
from pathlib import Path
from rota.kubelet.embedded import EmbeddedKubelet, PodSpec, ContainerSpec

async def main():
    folder = Path(sys.argv[1])
    script = (f"trap '' TERM; sleep 1000 & echo $! > {folder}/child;"
              f"setsid env -i /bin/sleep 1000 & echo $! > {folder}/stray;"
              f"echo $$ > {folder}/new; mv {folder}/new {folder}/main; wait")
    kubelet = EmbeddedKubelet(folder)
    await kubelet.start()
    kubelet.add_pod(PodSpec("p", (ContainerSpec("c", ("sh", "-c", script)),)))
    await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_a_kubelet_killed_with_9_leaves_no_process_behind(
    folder: Path, eventually: Eventually, gone: Callable[[int], bool]
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_KUBELET, str(folder)
    )
    try:
        await eventually((folder / "main").exists)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    pids = [int((folder / name).read_text()) for name in ("main", "child", "stray")]
    await eventually(lambda: all(gone(pid) for pid in pids))


async def test_a_deployment_makes_pods_with_names_of_their_own(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    names = kubelet.add_deployment("web", 4, pod("template", 1))
    assert len(set(names)) == 4
    assert all(name.startswith("web-") for name in names)
    await kubelet.wait_until(lambda: set(phases(kubelet).values()) == {"Running"}, PATIENCE)


async def test_a_pods_resources_are_those_of_its_containers_together(
    kubelet: EmbeddedKubelet, plugin: FakePlugin
) -> None:
    containers = tuple(ContainerSpec(name, ("sleep", "1000"), limits={GPU: 2}) for name in "ab")
    kubelet.add_pod(PodSpec("p", containers))
    kubelet.add_pod(PodSpec("q", containers[:1]))
    await kubelet.wait_until(lambda: phases(kubelet)["p"] == "Running", PATIENCE)
    await kubelet.wait_until(lambda: kubelet.pod("default", "q").reason, PATIENCE)
    status = kubelet.pod("default", "p")
    held = status.container("a").devices[GPU] + status.container("b").devices[GPU]
    assert len(set(held)) == 4


async def test_wrong_use_is_refused_in_kubernetes_words(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p"))
    with pytest.raises(KubeletError, match='pods "p" already exists'):
        kubelet.add_pod(pod("p"))
    with pytest.raises(KubeletError, match='pods "q" not found'):
        await kubelet.delete_pod("default", "q")
    with pytest.raises(KubeletError, match="container x is not valid for pod p"):
        kubelet.log("default", "p", "x")
    with pytest.raises(KubeletError, match="runs already"):
        await kubelet.start()
    await kubelet.stop()
    with pytest.raises(KubeletError, match="does not run"):
        kubelet.add_pod(pod("p"))


async def test_a_folder_too_deep_for_a_socket_is_refused_with_its_length(folder: Path) -> None:
    deep = folder / ("d" * 90)
    with pytest.raises(KubeletError, match=r"at most 107 bytes, this one has \d+") as caught:
        await EmbeddedKubelet(deep).start()
    assert caught.value.hint
    assert not deep.exists()


async def test_a_folder_that_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "device-plugins").touch()
    with pytest.raises(KubeletError, match="cannot make the folders"):
        await EmbeddedKubelet(folder).start()


async def test_a_socket_that_cannot_be_bound_is_refused_and_leaves_nothing(folder: Path) -> None:
    (folder / "pod-resources" / "kubelet.sock" / "x").mkdir(parents=True)
    kubelet = EmbeddedKubelet(folder)
    with pytest.raises(KubeletError, match="cannot listen there"):
        await kubelet.start()
    assert not kubelet.plugin_socket.exists()


async def test_it_can_be_used_as_a_context(folder: Path) -> None:
    async with EmbeddedKubelet(folder) as kubelet:
        assert kubelet.plugin_socket.is_socket()
    assert not kubelet.plugin_socket.exists()


async def test_waiting_in_vain_tells_what_happened_last(kubelet: EmbeddedKubelet) -> None:
    with pytest.raises(KubeletError, match=r"within 0.05 s .*the kubelet serves"):
        await kubelet.wait_until(lambda: False, 0.05)
