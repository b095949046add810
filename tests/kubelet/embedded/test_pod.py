"""The life of a pod: ends, restarts, back-offs, and being told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.kubelet.embedded import ContainerSpec, EmbeddedKubelet, PodSpec, PodStatus, Timing
from rota.kubelet.embedded.shim import descendants

if TYPE_CHECKING:
    from tests.kubelet.embedded.conftest import FakePlugin, MakeKubelet

    MakePod = Callable[..., PodSpec]
    Python = Callable[[str], tuple[str, ...]]
    Eventually = Callable[[Callable[[], Any]], Awaitable[Any]]

PATIENCE = 30.0


async def until(kubelet: EmbeddedKubelet, predicate: Callable[[PodStatus], object]) -> PodStatus:
    """Wait for pod `p` to be so."""
    found: list[PodStatus] = []

    def is_so() -> bool:
        found[:] = [kubelet.pod("default", "p")]
        return bool(predicate(found[0]))

    await kubelet.wait_until(is_so, PATIENCE)
    return found[0]


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_never_restarted_it_ends_with_its_exit_code(
    kubelet: EmbeddedKubelet, pod: MakePod, code: int, phase: str
) -> None:
    kubelet.add_pod(pod(command=("sh", "-c", f"exit {code}")))
    status = await until(kubelet, lambda p: p.over)
    container = status.container()
    assert (status.phase, container.exit_code, container.restarts) == (phase, code, 0)
    assert container.reason == ("Error" if code else "Completed")


async def test_a_signal_counts_as_128_and_its_number(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod(command=("sh", "-c", "kill -KILL $$")))
    status = await until(kubelet, lambda p: p.over)
    assert status.container().exit_code == 137


async def test_on_failure_it_is_restarted_until_it_ends_well(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    command = ("sh", "-c", "echo x >> tries; test $(wc -l < tries) = 3")
    kubelet.add_pod(pod(command=command, restart_policy="OnFailure"))
    status = await until(kubelet, lambda p: p.over)
    assert status.phase == "Succeeded"
    assert status.container().restarts == 2


async def test_always_it_is_restarted_even_after_a_good_end(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod(command=("sh", "-c", "echo $ROTA_CONTAINER_ID"), restart_policy="Always"))
    await until(kubelet, lambda p: p.container().restarts >= 2)
    assert kubelet.pod("default", "p").phase == "Running"


async def test_a_container_that_keeps_failing_backs_off(
    make_kubelet: MakeKubelet, pod: MakePod
) -> None:
    kubelet = await make_kubelet(timing=Timing(backoff_first=1000, backoff_longest=1000))
    kubelet.add_pod(pod(command=("sh", "-c", "echo try; exit 1"), restart_policy="Always"))
    status = await until(kubelet, lambda p: p.container().reason == "CrashLoopBackOff")
    container = status.container()
    assert (status.phase, container.state, container.restarts) == ("Running", "waiting", 1)
    assert container.exit_code == 1
    assert container.message == "back-off 1000s restarting failed container=main pod=default/p"
    assert kubelet.log("default", "p") == kubelet.log("default", "p", previous=True) == "try\n"
    await kubelet.delete_pod("default", "p")
    assert kubelet.pods() == ()


async def test_a_program_that_is_not_there_is_a_start_error(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod(command=("no-such-program",)))
    container = (await until(kubelet, lambda p: p.over)).container()
    assert (container.reason, container.exit_code) == ("StartError", 128)
    assert 'exec: "no-such-program": executable file not found in $PATH' in container.message


async def test_a_folder_that_is_not_there_is_a_start_error(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod(command=("true",), cwd="/no/such/folder"))
    container = (await until(kubelet, lambda p: p.over)).container()
    assert container.reason == "StartError"
    assert "/no/such/folder" in container.message


async def test_a_plugins_env_that_no_process_can_have_is_a_start_error(
    kubelet: EmbeddedKubelet, plugin: FakePlugin, pod: MakePod
) -> None:
    plugin.env = {"A=B": "x"}
    kubelet.add_pod(pod("p", 1, ("true",)))
    container = (await until(kubelet, lambda p: p.over)).container()
    assert container.reason == "StartError"
    assert "illegal environment variable name" in container.message


async def test_it_starts_where_it_is_told_or_in_a_folder_of_its_own(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod("p", 0, ("pwd",)))
    status = await until(kubelet, lambda p: p.over)
    home = kubelet.folder / "pods" / status.uid / "containers" / "main"
    assert Path(kubelet.log("default", "p").strip()) == home.resolve()
    kubelet.add_pod(pod("q", 0, ("pwd",), cwd="/"))
    await kubelet.wait_until(lambda: kubelet.pod("default", "q").over, PATIENCE)
    assert kubelet.log("default", "q") == "/\n"
    await kubelet.delete_pod("default", "p")
    assert not home.parents[1].exists()


async def test_output_and_errors_are_in_one_log(kubelet: EmbeddedKubelet, pod: MakePod) -> None:
    kubelet.add_pod(pod(command=("sh", "-c", "echo out; echo err >&2; printf '\\377'")))
    await until(kubelet, lambda p: p.over)
    assert kubelet.log("default", "p") == "out\nerr\n\N{REPLACEMENT CHARACTER}"


async def test_each_container_is_the_leader_of_a_session_of_its_own(
    kubelet: EmbeddedKubelet, pod: MakePod
) -> None:
    kubelet.add_pod(pod())
    pid = (await until(kubelet, lambda p: p.phase == "Running")).container().pid
    assert pid
    assert os.getsid(pid) == os.getpgid(pid) == pid


async def test_deleting_asks_first_and_lets_it_end_well(
    kubelet: EmbeddedKubelet, pod: MakePod, python: Python, eventually: Eventually
) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open('/proc/self/fd/1', 'w').write('bye'),"
        " sys.exit(7)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    kubelet.add_pod(pod(command=python(code)))
    await eventually(lambda: kubelet.log("default", "p") == "ready\n")
    await kubelet.delete_pod("default", "p")
    ended = [e for e in kubelet.events if e.reason == "Ended"]
    assert [e.message for e in ended] == ["container main ended with 7"]
    assert kubelet.pods() == ()


async def test_who_does_not_listen_is_killed_after_the_grace(
    kubelet: EmbeddedKubelet, pod: MakePod, eventually: Eventually
) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    kubelet.add_pod(pod(command=("sh", "-c", script), termination_grace_seconds=0.2))
    await eventually(lambda: kubelet.log("default", "p") == "ready\n")
    await kubelet.delete_pod("default", "p")
    ended = [e for e in kubelet.events if e.reason == "Ended"]
    assert [e.message for e in ended] == ["container main ended with 137"]


async def test_a_second_delete_with_a_shorter_grace_is_obeyed(
    kubelet: EmbeddedKubelet, pod: MakePod, eventually: Eventually
) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    kubelet.add_pod(pod(command=("sh", "-c", script), termination_grace_seconds=1000))
    await eventually(lambda: kubelet.log("default", "p") == "ready\n")
    patient = asyncio.create_task(kubelet.delete_pod("default", "p"))
    await until(kubelet, lambda p: p.terminating)
    await kubelet.delete_pod("default", "p", 0)
    await patient
    assert kubelet.pods() == ()


STRAYS = """
import os, sys, time
def stray(environment):
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    args = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000)"]
    os.execve(sys.executable, args, environment)
stray(os.environ)
stray({})
while not os.path.exists("end"): time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["delete", "exit"])
async def test_descendants_that_left_group_session_parent_and_environment_die_too(
    kubelet: EmbeddedKubelet,
    pod: MakePod,
    python: Python,
    eventually: Eventually,
    gone: Callable[[int], bool],
    end: str,
) -> None:
    kubelet.add_pod(pod(command=python(STRAYS), cwd=str(kubelet.folder)))
    main = (await until(kubelet, lambda p: p.container().pid)).container().pid
    assert main
    keeper = parent(main)

    def strays() -> list[int]:
        """Both sit right below the shim, which has adopted them."""
        below = [pid for pid in descendants(keeper) if pid != main and not gone(pid)]
        return below if len(below) == 2 and {parent(pid) for pid in below} == {keeper} else []

    pids = await eventually(strays)
    assert {os.getsid(pid) for pid in pids} != {main}
    if end == "delete":
        await kubelet.delete_pod("default", "p", 0.1)
    else:
        (kubelet.folder / "end").touch()
        await until(kubelet, lambda p: p.over)
    assert all(gone(pid) for pid in [main, *pids])


def parent(pid: int) -> int:
    """The parent's pid; 0 for a process that is no more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def test_a_killed_shim_takes_its_container_with_it(
    kubelet: EmbeddedKubelet, pod: MakePod, eventually: Eventually, gone: Callable[[int], bool]
) -> None:
    script = "setsid sleep 1000 & echo $!; wait"
    kubelet.add_pod(pod(command=("sh", "-c", script)))
    main = (await until(kubelet, lambda p: p.container().pid)).container().pid
    assert main
    stray = int(await eventually(lambda: kubelet.log("default", "p").rpartition("\n")[0]))
    os.kill(parent(main), signal.SIGKILL)
    status = await until(kubelet, lambda p: p.over)
    assert (status.phase, status.container().exit_code) == ("Failed", 137)
    await eventually(lambda: gone(main) and gone(stray))


async def test_init_containers_run_first_one_after_the_other(
    kubelet: EmbeddedKubelet,
) -> None:
    def container(name: str, script: str) -> ContainerSpec:
        return ContainerSpec(name, ("sh", "-c", script), cwd=str(kubelet.folder))

    kubelet.add_pod(
        PodSpec(
            "p",
            (container("main", "cat two"),),
            init_containers=(container("a", "echo x > one"), container("b", "mv one two")),
            restart_policy="Never",
        )
    )
    status = await until(kubelet, lambda p: p.over)
    assert status.phase == "Succeeded"
    assert kubelet.log("default", "p", "main") == "x\n"
    assert [c.name for c in status.init_containers] == ["a", "b"]


async def test_an_init_container_that_fails_fails_a_pod_that_is_never_restarted(
    kubelet: EmbeddedKubelet,
) -> None:
    main, init = ContainerSpec("main", ("true",)), ContainerSpec("init", ("false",))
    kubelet.add_pod(PodSpec("p", (main,), init_containers=(init,), restart_policy="Never"))
    status = await until(kubelet, lambda p: p.over)
    assert status.phase == "Failed"
    assert status.container("main").started is None


async def test_a_pod_runs_as_long_as_one_of_its_containers(kubelet: EmbeddedKubelet) -> None:
    quick, slow = ContainerSpec("quick", ("true",)), ContainerSpec("slow", ("sleep", "1000"))
    kubelet.add_pod(PodSpec("p", (quick, slow), restart_policy="Never"))
    status = await until(
        kubelet,
        lambda p: p.container("quick").state == "terminated" and p.container("slow").pid,
    )
    assert status.phase == "Running"
    with pytest.raises(KeyError):
        status.container("none")


async def test_a_fault_of_our_own_fails_the_pod_and_nothing_else(
    kubelet: EmbeddedKubelet, pod: MakePod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(kubelet._logs, "open", broken)
        kubelet.add_pod(pod())
        status = await until(kubelet, lambda p: p.over)
    assert (status.phase, status.reason) == ("Failed", "InternalError")
    assert "a bug" in status.message
    await kubelet.delete_pod("default", "p")
    kubelet.add_pod(pod())
    await until(kubelet, lambda p: p.phase == "Running")
