"""What can befall an agent on a node, done to real processes: it serves on, or says why it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rota.demo.stage import Stage, set_up
from rota.emulation import driver
from rota.emulation.profiles import parse_emulation
from rota.kubelet.sockets import socket_name
from tests.agent.conftest import GPU, PATIENCE, sharing

KUBELETS_OWN = {"kubelet.sock", "DEPRECATION", "kubelet_internal_checkpoint"}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A kubelet, and no agent yet; the agent is a process of its own."""
    async with set_up(sharing(4), "t4", parse_emulation("t4")) as made:
        yield made


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


def said(stage: Stage) -> Counter[str]:
    """How often the agent said what."""
    lines = (stage.folder / "agent.log").read_text().splitlines()
    return Counter(json.loads(line)["event"] for line in lines if line.startswith("{"))


async def serving(stage: Stage) -> None:
    await stage.start_agent()
    await stage.until_allocatable(GPU, 4)


async def served(stage: Stage, count: int) -> None:
    """An edit is served."""
    stage.config.write_text(sharing(count))
    await stage.until_allocatable(GPU, count)


async def test_of_two_that_start_at_once_one_serves_and_the_other_says_so(stage: Stage) -> None:
    await stage.start_agent()
    first = stage.agent
    await stage.start_agent()
    second = stage.agent
    assert first
    assert second
    waits = [asyncio.create_task(each.wait()) for each in (first, second)]
    await asyncio.wait(waits, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    codes = {first.returncode, second.returncode}
    assert codes == {None, 1}
    stage.agent = first if first.returncode is None else second
    await stage.until_allocatable(GPU, 4)
    await stage.stop_agent()


async def test_stopped_and_continued_it_catches_up(stage: Stage) -> None:
    await serving(stage)
    os.kill(stage.agent_pid, signal.SIGSTOP)
    stage.config.write_text(sharing(3))
    await stage.kubelet.stop()
    await stage.kubelet.start()
    os.kill(stage.agent_pid, signal.SIGCONT)
    await stage.until_allocatable(GPU, 3)


async def test_a_gpu_that_is_gone_is_said_once_and_the_agent_serves_on(stage: Stage) -> None:
    await serving(stage)
    engine = driver.attach(stage.folder / "run" / "gpu")
    engine.close()
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: said(stage)["the driver tells no errors now; trying again"])
    await served(stage, 2)
    assert said(stage)["the driver tells no errors now; trying again"] == 1
    await stage.stop_agent()
    assert stage.agent
    assert stage.agent.returncode == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_ended_at_any_moment_of_its_start_it_leaves_no_socket(
    stage: Stage, seed: int
) -> None:
    await stage.start_agent()
    assert stage.agent
    await asyncio.sleep(Random(seed).uniform(0.0, 1.2))
    stage.agent.terminate()
    async with asyncio.timeout(PATIENCE):
        assert await stage.agent.wait() in (0, -signal.SIGTERM)
    folder = stage.kubelet.plugin_socket.parent
    assert {path.name for path in folder.iterdir()} <= KUBELETS_OWN
    log = (stage.folder / "agent.log").read_text()
    assert "Traceback" not in log


async def test_without_descriptors_it_waits_and_what_was_edited_meanwhile_is_served(
    stage: Stage,
) -> None:
    await serving(stage)
    resource.prlimit(stage.agent_pid, resource.RLIMIT_NOFILE, (64, 64))
    await stage.until_mode("exclusive")
    path = str(stage.kubelet.plugin_socket.parent / socket_name(GPU))
    with contextlib.ExitStack() as links:
        for _ in range(100):
            link = links.enter_context(socket.socket(socket.AF_UNIX))
            link.connect(path)
        opened = Path(f"/proc/{stage.agent_pid}/fd")
        await until(lambda: len(list(opened.iterdir())) >= 60)
        stage.config.write_text(sharing(3))
        await asyncio.sleep(0.5)
    await stage.until_allocatable(GPU, 3)


async def test_of_many_edits_in_a_row_the_last_is_served(stage: Stage) -> None:
    mounted = stage.folder / "mounted"
    mounted.mkdir()
    swap(mounted, 0, sharing(4))
    (mounted / "config.yaml").symlink_to("..data/config.yaml")
    stage.config = mounted
    await serving(stage)
    for number in range(1, 200):
        bad = "sharing: [" if number % 20 else ""
        swap(mounted, number, bad if number % 10 == 0 else sharing(2 + number % 7))
        await asyncio.sleep(0)
    swap(mounted, 200, sharing(5))
    await stage.until_allocatable(GPU, 5)


def swap(mounted: Path, number: int, text: str) -> None:
    """As a kubelet updates a ConfigMap."""
    new, link = mounted / f"..{number}", mounted / "..data"
    new.mkdir()
    (new / "config.yaml").write_text(text)
    (mounted / "..tmp").symlink_to(new.name)
    old = link.readlink() if link.is_symlink() else None
    (mounted / "..tmp").rename(link)
    if old:
        shutil.rmtree(mounted / old)


@contextlib.contextmanager
def small_disk(folder: Path, *, full: bool) -> Iterator[None]:
    """A disk of its own in that folder: full, or read-only."""
    folder.mkdir(exist_ok=True)
    more = ["-o", "size=16k,nr_inodes=3"] if full else ["-o", "ro"]
    command = ["mount", "-t", "tmpfs", *more, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        if full:
            (folder / "a").touch()
            with contextlib.suppress(OSError):
                (folder / "b").write_bytes(b"x" * 65536)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.mark.parametrize("full", [True, False], ids=["full", "read-only"])
async def test_a_disk_that_takes_nothing_is_named_and_ends_the_start(
    stage: Stage, full: bool
) -> None:
    with small_disk(stage.folder / "run", full=full):
        await stage.start_agent()
        assert stage.agent
        async with asyncio.timeout(PATIENCE):
            assert await stage.agent.wait() == 1
    log = (stage.folder / "agent.log").read_text()
    assert ("No space left" if full else "Read-only file system") in log
    assert "Traceback" not in log


def test_a_locale_without_our_signs_is_no_error() -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "rota", "check", "--explain", "unknown-key"]
    ended = subprocess.run(command, env=env, capture_output=True, timeout=60)
    assert b"Traceback" not in ended.stderr
