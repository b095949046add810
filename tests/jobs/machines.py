"""A machine without Kubernetes for tests: `rota agent --local` and commands, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rota.jobs import processes
from rota.jobs.client import connect
from rota.jobs.folder import LOG, SOCKET
from rota.jobs.starting import READY

ROTA = (sys.executable, "-m", "rota")
PATIENCE = 30.0
NOBODY = 65534


def sharing(replicas: int, more: str = "") -> str:
    """A config."""
    return (
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n"
        f"    - name: nvidia.com/gpu\n      replicas: {replicas}\n{more}"
    )


def until(true: Callable[[], Any], *, deadline: float = PATIENCE) -> Any:
    """Wait for something true."""
    end = time.monotonic() + deadline
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


@dataclass
class Machine:
    """One run dir, its agent, and what people start; `prefix` is what an agent is run by."""

    folder: Path
    agent: subprocess.Popen[bytes] | None = None
    prefix: tuple[str, ...] = ()
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def serve(self, text: str = "", *more: str) -> None:
        """Start an agent and wait until it listens."""
        if text:
            self.config.write_text(text)
        reader, writer = os.pipe()
        command = [
            *self.prefix,
            *ROTA,
            "agent",
            "--local",
            "--emulate",
            "t4",
            "--run-dir",
            str(self.run_dir),
        ]
        command += ["--config", str(self.config), "--ready-fd", str(writer), *more]
        with (self.folder / "log").open("ab") as log:
            self.agent = subprocess.Popen(
                command, stdout=log, stderr=log, pass_fds=[writer], start_new_session=True
            )
        os.close(writer)
        told = os.read(reader, 64)
        os.close(reader)
        assert told == READY, (self.folder / "log").read_text()

    def end_agent(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.agent
        self.agent.send_signal(number)
        code = self.agent.wait(PATIENCE)
        self.agent = None
        return code

    def environ(self) -> dict[str, str]:
        """Without anything of the test runner's own that would matter."""
        ours = {"ROTA_RUN_DIR": str(self.run_dir), "XDG_CONFIG_HOME": str(self.folder / "none")}
        return {k: v for k, v in os.environ.items() if not k.startswith("ROTA_")} | ours

    def start(self, *command: str, user: int | None = None, **more: Any) -> subprocess.Popen[str]:
        """A command in the background; its output can be read as text."""
        process = subprocess.Popen(
            [*(_as(user) if user is not None else ()), *ROTA, *command],
            env=self.environ(),
            text=True,
            **({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | more),
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def rota(
        self, *command: str, stdin: str = "", user: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command from its beginning to its end."""
        process = self.start(*command, user=user, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=PATIENCE)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def jobs(self) -> list[dict[str, Any]]:
        """What the agent says that there is."""
        with connect(self.run_dir / SOCKET) as link:
            link.ask("jobs")
            found: list[dict[str, Any]] = link.answer()["jobs"]
        return found

    def holding(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many jobs run."""

        def look() -> list[dict[str, Any]] | None:
            running = [job for job in self.jobs() if job["state"] != "waiting"]
            return running if len(running) == count else None

        found: list[dict[str, Any]] = until(look)
        return found

    def idle(self) -> None:
        """Wait until nobody holds anything or waits."""
        until(lambda: not self.jobs())

    def events(self) -> list[str]:
        """What an agent that was started for a user said."""
        log = self.run_dir / LOG
        return log.read_text().splitlines() if log.exists() else []

    def close(self) -> None:
        """End everything."""
        for process in self.started:
            process.kill()
        if self.agent:
            self.agent.kill()
        for seen in processes.look():
            if mentions(seen.process.pid, str(self.folder)):
                with suppress(ProcessLookupError):
                    os.kill(seen.process.pid, signal.SIGKILL)
        for process in self.started:
            process.communicate()
        if self.agent:
            self.agent.wait()


def _as(user: int) -> tuple[str, ...]:
    """Another user, who may read whatever folder the interpreter lies in, and nothing else."""
    caps = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *caps)


def mentions(pid: int, text: str) -> bool:
    """A process's command line or environment names this."""
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            if text.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                return True
    return False
