"""`rota agent` as a process: how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.emulation import driver
from rota.emulation.inventory import EmulatedInventory
from rota.errors import GpuError
from tests.agent.conftest import GPU, Node, node, sharing  # noqa: F401  (a fixture)


class Process:
    """`rota agent` on the node of a test."""

    def __init__(self, node: Node, *more: str, env: dict[str, str] | None = None) -> None:  # noqa: F811
        self.log = node.folder / "agent.log"
        command = [sys.executable, "-m", "rota", "agent", "--log", "json", "--emulate", "t4"]
        command += ["--kubelet-dir", str(node.kubelet.plugin_socket.parent)]
        command += ["--run-dir", str(node.folder / "run"), *more]
        with self.log.open("wb") as log:
            environ = os.environ | (env or {})
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
async def started(node: Node) -> AsyncIterator[list[Process]]:  # noqa: F811
    """Processes put here are killed after the test."""
    processes: list[Process] = []
    yield processes
    for each in processes:
        each.process.kill()
        each.process.wait()


async def test_sigterm_ends_it_cleanly(node: Node, started: list[Process]) -> None:  # noqa: F811
    node.config.write_text(sharing(4))
    agent = Process(node, "--config", str(node.config))
    started.append(agent)
    await node.until_allocatable(4)
    assert agent.end() == 0
    assert agent.events()[-1] == "stopped"
    assert not list(node.kubelet.plugin_socket.parent.glob("nvidia*"))


async def test_the_stale_socket_of_a_killed_agent_is_no_obstacle(
    node: Node,  # noqa: F811
    started: list[Process],
) -> None:
    node.config.write_text(sharing(4))
    started.append(Process(node, "--config", str(node.config)))
    await node.until_allocatable(4)
    held = driver.attach(node.folder / "run" / "gpu")  # a program that goes on using it
    started[-1].end(signal.SIGKILL)
    await node.until_allocatable(0)
    started.append(Process(node, "--config", str(node.config)))
    await node.until_allocatable(4)
    held.close()
    assert "found the emulated GPU of an earlier agent" in started[-1].events()


async def test_sighup_reads_the_config_again(node: Node, started: list[Process]) -> None:  # noqa: F811
    node.config.write_text(sharing(4))
    agent = Process(node, "--config", str(node.config))
    started.append(agent)
    await node.until_allocatable(4)
    agent.process.send_signal(signal.SIGHUP)
    await node.until(lambda: agent.events().count("config served") == 2)


async def test_nvidias_variables_are_obeyed(node: Node, started: list[Process]) -> None:  # noqa: F811
    node.config.write_text(sharing(4))
    env = {"CONFIG_FILE": str(node.config), "DEVICE_ID_STRATEGY": "index"}
    started.append(Process(node, env=env))
    await node.until_allocatable(4)


async def test_a_bad_config_ends_it_with_its_places(node: Node, started: list[Process]) -> None:  # noqa: F811
    node.config.write_text(sharing(1))
    agent = Process(node, "--config", str(node.config))
    started.append(agent)
    assert agent.process.wait(20) == 1
    entries = [json.loads(line) for line in agent.log.read_text().splitlines()]
    assert f"{node.config}:6:17" in [entry.get("at") for entry in entries]


async def test_it_ends_with_its_parent_if_told_so(node: Node, tmp_path: Path) -> None:  # noqa: F811
    command = [sys.executable, "-m", "rota", "agent", "--emulate", "t4", "--with-parent"]
    command += ["--kubelet-dir", str(node.kubelet.plugin_socket.parent)]
    command += ["--run-dir", str(node.folder / "run")]
    code = f"import subprocess, sys; subprocess.Popen({command!r}); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        await node.until_allocatable(1)
        parent.kill()
        parent.wait()
    await node.until_allocatable(0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--listen", "nowhere"], "127.0.0.1:9400"),
        (["--emulate", "rtx9999"], "rtx"),
        (["--mig-strategy", "double"], "mixed"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(
    args: list[str], words: str, tmp_path: Path
) -> None:
    folders = ["--kubelet-dir", str(tmp_path), "--run-dir", str(tmp_path / "run")]
    command = [sys.executable, "-m", "rota", "agent", *folders, *args]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_engine_that_is_gone_is_a_gpu_error(tmp_path: Path) -> None:
    with pytest.raises(GpuError):
        EmulatedInventory(tmp_path)
