"""`rota demo`, run as a person runs it."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DEMO = [sys.executable, "-m", "rota", "demo", "--emulate", "rtx4070tisuper"]
PATIENCE = 55

ONE_RUN = pytest.mark.xdist_group("demo")
"""These look at one and the same run: kept on one worker."""


def run(
    *more: str, tmp: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a demo whose folder lies under `tmp`."""
    environ = os.environ | {"TMPDIR": str(tmp)} | (env or {})
    return subprocess.run(
        [*DEMO, *more], capture_output=True, text=True, timeout=PATIENCE, env=environ
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have the folder in their command or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in told:
                found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def assert_nothing_is_left(tmp: Path) -> None:
    """No file, and after a moment no process: the emulated GPU ends when it is alone."""
    assert list(tmp.iterdir()) == []
    end = time.monotonic() + 30
    while (left := processes_of(tmp)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    tmp = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))
    try:
        ended = run("--json", tmp=tmp)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stderr == ""
        assert_nothing_is_left(tmp)
    finally:
        tmp.rmdir()
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@ONE_RUN
def test_one_gpu_is_four(document: dict[str, Any]) -> None:
    assert document["gpu"] == "NVIDIA GeForce RTX 4070 Ti SUPER"
    assert document["emulated"] is True
    assert document["allocatable"] == 4


@ONE_RUN
def test_four_pods_run_on_a_replica_each_and_the_fifth_waits(document: dict[str, Any]) -> None:
    states = [pod["state"] for pod in document["pods"]]
    assert states == ["running"] * 4 + ["waiting"]
    replicas = [pod["replica"] for pod in document["pods"][:4]]
    assert len(set(replicas)) == 4
    assert all("::" in replica for replica in replicas)
    assert document["pods"][4]["replica"] == ""


@ONE_RUN
def test_each_pod_is_measured(document: dict[str, Any]) -> None:
    running = document["pods"][:4]
    assert all(pod["gpu_seconds"] > 0.3 for pod in running)
    assert sum(pod["gpu_seconds"] for pod in running) < 30
    assert all(pod["memory_bytes"] > 2**28 for pod in running)
    assert document["pods"][4]["gpu_seconds"] == 0
    assert document["pods"][4]["memory_bytes"] == 0


@ONE_RUN
def test_each_step_says_what_came_of_it(document: dict[str, Any]) -> None:
    steps = {step["name"]: step for step in document["steps"]}
    assert all(step["ok"] for step in steps.values())
    assert {"check", "start", "allocatable", "deployment", "fifth", "edit", "rollback"} <= set(
        steps
    )
    assert "Insufficient nvidia.com/gpu" in steps["fifth"]["detail"]
    assert "was refused the next" in steps["greedy"]["detail"]
    assert "3 pods beside it went on" in steps["greedy"]["detail"]
    assert "4 → 2 → 4" in steps["edit"]["detail"]
    assert sum(step["seconds"] for step in document["steps"]) < 45


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's; what is left in it fails the test."""
    folder = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))
    yield folder
    folder.rmdir()


def test_a_pipe_gets_plain_lines_and_another_config_is_followed(
    tmp_path: Path, short: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "version: v1\nsharing:\n  timeSlicing:\n    renameByDefault: true\n    resources:\n"
        "    - {name: nvidia.com/gpu, replicas: 3}\n"
    )
    ended = run("--config", str(config), "--pods", "2", tmp=short)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert "emulated" in ended.stdout.splitlines()[1]
    assert "nvidia.com/gpu.shared: 3" in ended.stdout
    assert "gpu-test-3 waits" in ended.stdout
    assert "nvidia.com/gpu: 1 again" in ended.stdout


def test_a_config_that_shares_nothing_fails_its_step(tmp_path: Path, short: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("version: v1\n")
    ended = run("--config", str(config), "--json", tmp=short)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["steps"][-1]["ok"] is False
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "args", [["--config", "/no/such/file"], ["--emulate", "rtx0"], ["--pods", "0"]]
)
def test_wrong_usage_exits_with_2(args: list[str], tmp_path: Path) -> None:
    ended = run(*args, tmp=tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(seed: int, short: Path) -> None:
    environ = os.environ | {"TMPDIR": str(short)}
    demo = subprocess.Popen(DEMO, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        chance = random.Random(seed)
        moment = chance.uniform(1.5, 7.0)
        try:
            demo.wait(moment)
        except subprocess.TimeoutExpired:
            demo.send_signal(signal.SIGINT)
            if seed != 1:  # an impatient person
                time.sleep(chance.uniform(0.0, 0.1))
                demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=PATIENCE)
        assert b"Traceback" not in said
        assert demo.returncode in (0, 130, -signal.SIGINT)
        assert_nothing_is_left(short)
    finally:
        demo.kill()
        demo.wait()


def test_on_a_terminal_bars_move_and_the_cursor_comes_back(short: Path) -> None:
    parent, child = pty.openpty()
    environ = os.environ | {"TMPDIR": str(short), "TERM": "xterm-256color", "COLUMNS": "100"}
    demo = subprocess.Popen(DEMO, env=environ, stdout=child, stderr=child, close_fds=True)
    os.close(child)
    shown = bytearray()
    try:
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert demo.wait(PATIENCE) == 0
    finally:
        demo.kill()
        demo.wait()
        os.close(parent)
    text = shown.decode()
    assert "█" in text
    assert "✓" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")
