"""The agent without a kubelet: what it makes of a config, and the unit that runs it."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rota.agent.claims import claimed
from rota.agent.config import Served
from rota.agent.jobs import pool_of
from rota.agent.local import LocalAgent, LocalTerms
from rota.agent.lock import Taken, only_agent
from rota.agent.logs import make_logger
from rota.agent.settings import Settings, default_config
from rota.cli.agent import command
from rota.config.load import load_text
from rota.emulation.link import Link
from rota.errors import RotaError
from rota.jobs import client
from rota.jobs.folder import LASTING, LOCK, SOCKET
from tests.jobs.conftest import until
from tests.jobs.machines import NOBODY, PATIENCE, Machine, sharing

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "rota.service"
EXAMPLE = ROOT / "examples" / "02-workstation" / "config.yaml"


@dataclass
class Local:
    """One agent in this process."""

    folder: Path
    log: io.StringIO = field(default_factory=io.StringIO)
    agent: LocalAgent | None = None
    task: asyncio.Task[None] | None = None

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    async def start(self, text: str = "", claims: Path | None = None, **terms: float) -> LocalAgent:
        config = self.folder / "config.yaml"
        config.write_text(text or sharing(2))
        settings = Settings(config=config, run_dir=self.run_dir, emulate="t4", claims=claims)
        logger = make_logger("json", "debug", self.log)
        self.agent = LocalAgent(settings, logger, LocalTerms(**terms))  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.agent.run())
        await until(lambda: (self.run_dir / SOCKET).exists() or self.ended())
        return self.agent

    def ended(self) -> bool:
        assert self.task
        if self.task.done():
            self.task.result()
        return self.task.done()

    async def stop(self) -> None:
        if self.agent and self.task:
            self.agent.stop()
            await asyncio.wait([self.task])

    async def jobs(self) -> list[object]:
        def ask() -> list[object]:
            with client.connect(self.run_dir / SOCKET) as link:
                link.ask("jobs")
                found: list[object] = link.answer()["jobs"]
            return found

        return await asyncio.to_thread(ask)


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    made = Local(Path(tempfile.mkdtemp(prefix="rota")))
    yield made
    await made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    folder.chmod(0o755)
    made = Machine(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


async def test_it_serves_until_stopped_and_tells_what_it_serves(local: Local) -> None:
    agent = await local.start()
    assert await local.jobs() == []
    snapshot = agent.snapshot()
    assert (snapshot["ready"], snapshot["emulated"], snapshot["jobs"]) == (True, True, [])
    assert len(snapshot["resources"][0]["replicas"]) == 2
    assert (local.run_dir / LASTING).exists()
    await local.stop()
    assert local.ended()
    assert not (local.run_dir / SOCKET).exists()
    assert not (local.run_dir / LASTING).exists()


async def test_it_comes_back_if_its_folder_is_taken_away(local: Local) -> None:
    """Else the next `rota run` would start a second agent, with every replica once more."""
    await local.start()
    await asyncio.to_thread(shutil.rmtree, local.run_dir)
    await until((local.run_dir / SOCKET).exists)
    assert await local.jobs() == []
    with pytest.raises(RotaError, match="another agent"), only_agent(local.run_dir / LOCK):
        pass


async def test_it_ends_if_another_has_come_in_its_place(local: Local) -> None:
    await local.start()
    local.run_dir.rename(local.folder / "away")
    local.run_dir.mkdir(mode=0o700)
    with only_agent(local.run_dir / LOCK):
        (local.run_dir / SOCKET).touch()
        await until(local.ended)
    assert (local.run_dir / SOCKET).exists()  # the other's


async def test_unused_it_ends_itself(local: Local) -> None:
    await local.start(unused=0.1)
    assert not (local.run_dir / LASTING).exists()
    await until(local.ended)
    assert "nobody has needed this agent" in local.log.getvalue()


async def test_a_sick_gpu_is_not_given_out(local: Local) -> None:
    agent = await local.start()
    (gpu,) = agent.snapshot()["gpus"]
    link = Link(local.run_dir / "gpu")
    try:
        link.ask("inject", device=gpu["uuid"], xid=79)
        await until(lambda: not agent.snapshot()["gpus"][0]["healthy"])
    finally:
        link.close()
    ask = ["run", "--no-wait", "--run-dir", str(local.run_dir), "--", "true"]
    ended = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rota", *ask, stderr=asyncio.subprocess.PIPE, env=os.environ
    )
    _, err = await ended.communicate()
    assert (ended.returncode, b"a GPU that is not well" in err) == (75, True)


async def test_systemd_is_told_when_it_listens(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(local.folder / "notify"))
        systemd.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(local.folder / "notify"))
        await local.start()
        assert await asyncio.to_thread(systemd.recv, 64) == b"READY=1"
        await local.stop()
    assert (local.run_dir / LASTING).exists()  # it is about to be started again


async def test_a_gpu_that_a_nodes_agent_gives_out_is_left_alone_until_that_has_gone(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.agent.local.CLAIMS_LOOK", 0.02)
    agent = await local.start()
    agent._yielding._patience = 0.0
    (gpu,) = agent._inventory.gpus
    claims = local.run_dir / "gpu" / "claims"
    with claimed(claims, [gpu.uuid]):
        await until(lambda: gpu.uuid in agent._keeper._ledger._shut)  # type: ignore[union-attr]
        second = Local(local.folder / "b")
        second.folder.mkdir()
        with pytest.raises(Taken, match="a node's agent"):
            await second.start(claims=claims)
    await until(lambda: not agent._keeper._ledger._shut)  # type: ignore[union-attr]


async def test_the_example_is_served(local: Local) -> None:
    agent = await local.start(EXAMPLE.read_text())
    assert len(agent.snapshot()["resources"][0]["replicas"]) == 4
    pool = pool_of(Served(load_text(EXAMPLE.read_text(), "f").config), make_logger())
    assert (pool.limit(0), pool.limit(NOBODY)) == (None, 2)


def test_quotas_are_of_users_that_are_here() -> None:
    text = "version: v1\nrota: {jobs: {quota: 1, quotas: {root: none, nobody-here: 3}}}"
    log = io.StringIO()
    pool = pool_of(Served(load_text(text, "f").config), make_logger("json", "debug", log))
    assert (pool.limit(0), pool.limit(NOBODY)) == (None, 1)
    assert "nobody-here" in log.getvalue()


def test_the_users_config_comes_before_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    config = tmp_path / ".config" / "rota" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.touch()
    assert default_config({"HOME": str(tmp_path)}) == config
    assert default_config({"XDG_CONFIG_HOME": str(tmp_path / ".config")}) == config
    assert default_config({}) in (None, Path("/etc/rota/config.yaml"))


def unit(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.M)


def test_the_units_command_line_is_one_that_the_agent_understands() -> None:
    (line,) = unit("ExecStart")
    program, name, *options = line.split()
    assert (program, name) == ("/usr/local/bin/rota", "agent")
    given = command.make_context("agent", options).params
    assert (given["local"], given["group"], given["log"]) == (True, "rota", "json")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "rota.service"
    copy.write_text(UNIT.read_text().replace("/usr/local/bin/rota", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=50
    )
    assert "rota.service" not in verified.stderr, verified.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping rights needs root")
def test_the_rights_that_the_unit_keeps_are_enough(machine: Machine) -> None:
    """Another user's job is known by its mark alone, and can be ended."""
    names = [name.removeprefix("CAP_").lower() for name in unit("CapabilityBoundingSet")[0].split()]
    caps = ",".join(["-all", *(f"+{name}" for name in names)])
    machine.prefix = ("setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}")
    machine.serve(sharing(2), "--socket-mode", "0666", "--group", "daemon")
    shell = "setsid sleep 600 & echo ready; exec sleep 600"
    job = machine.start("run", "--name", "pair", "--", "sh", "-c", shell, user=NOBODY)
    assert job.stdout
    assert job.stdout.readline() == "ready\n"
    job.send_signal(signal.SIGKILL)
    job.wait(PATIENCE)
    machine.end_agent(signal.SIGKILL)  # so that nothing but the mark tells whose the child is
    state = machine.run_dir / "jobs.json"
    state.write_text(re.sub(r'"processes": \[.*?\]\]', '"processes": []', state.read_text()))
    machine.serve("", "--socket-mode", "0666", "--group", "daemon")
    (left,) = machine.holding()
    assert job.pid not in left["pids"]
    assert machine.rota("stop", "pair").returncode == 0
    assert machine.jobs() == []
