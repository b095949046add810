"""What a demo plays on: a folder, a kubelet, an agent, a GPU; all of it gone when it ends.

The kubelet runs inside this process, the agent is a process of its own, started as a person would
start it. Everything lies in one temporary folder with a short name (a unix socket's path has room
for 108 characters), and every process ends with this one, however this one ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rota.agent.doors import attach_inventory
from rota.errors import RotaError
from rota.gatekeeper.client import ask
from rota.gpu.doors import InventoryDoor
from rota.kubelet.embedded import EmbeddedKubelet, Timing
from rota.model import Inventory

START = 20.0
"""Seconds that kubelet and agent have to find each other."""


LONGEST = 40
"""Characters that the path of a folder for temporary files may have: the rest of a socket's path
needs the other 68."""


@dataclass(slots=True)
class Stage:
    """Everything that is running.

    Attributes:
        folder: where all of it lies.
        config: the file that the agent serves.
        emulate: what `--emulate` was given; empty on a real GPU.
        kubelet: the embedded kubelet.
        inventory: the GPUs, as they were seen before.
        door: the opened door behind `gpu`.
    """

    folder: Path
    config: Path
    emulate: str
    kubelet: EmbeddedKubelet
    inventory: Inventory
    door: InventoryDoor | None = None
    agent: asyncio.subprocess.Process | None = None

    async def start_agent(self) -> None:
        """Start `rota agent` on this stage's config and kubelet."""
        command = [sys.executable, "-m", "rota", "agent", "--log", "json"]
        command += ["--config", str(self.config), "--run-dir", str(self.folder / "run")]
        command += ["--kubelet-dir", str(self.folder / "node" / "device-plugins")]
        command += ["--cdi-dir", str(self.folder / "cdi"), "--with-parent"]
        if self.emulate:
            command += ["--emulate", self.emulate]
        with (self.folder / "agent.log").open("wb") as log:
            self.agent = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    async def until_allocatable(self, resource: str, count: int) -> None:
        """Wait until the kubelet has so many of the resource to give.

        Raises:
            RotaError: the agent ended, or it took too long; the hint is the agent's last word.
        """
        try:
            await self.kubelet.wait_until(
                lambda: self._agent_ended() or self.kubelet.allocatable().get(resource, 0) == count,
                START,
            )
        except RotaError:
            found = self.kubelet.allocatable().get(resource, 0)
            raise self._lost(f"{found} {resource} allocatable, not {count}") from None
        if self._agent_ended():
            raise self._lost("the agent ended")

    @property
    def gpu(self) -> InventoryDoor:
        """The door for figures; opened at the first use, after the agent has come up."""
        if self.door is None:
            self.door = attach_inventory(self.emulate, self.folder / "run")
        return self.door

    async def until_mode(self, mode: str) -> None:
        """Wait until the gatekeeper runs turns in this mode.

        Raises:
            RotaError: it does not, or there is no gatekeeper.
        """

        def is_mode() -> bool:
            with suppress(RotaError):
                return bool(ask(self.folder / "run", {"op": "state"})["mode"] == mode)
            return self._agent_ended()

        try:
            await self.kubelet.wait_until(is_mode, START)
        except RotaError:
            raise self._lost(f"the turns' mode did not become {mode}") from None

    @property
    def agent_pid(self) -> int:
        """The agent's process; 0 before it was started."""
        return self.agent.pid if self.agent else 0

    def _agent_ended(self) -> bool:
        return self.agent is not None and self.agent.returncode is not None

    def _lost(self, what: str) -> RotaError:
        log = self.folder / "agent.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return RotaError(what, hint=_last_word(lines[-1]) if lines else "")

    async def stop_agent(self) -> None:
        """SIGTERM, and SIGKILL for an agent that does not listen."""
        if self.agent is None or self.agent.returncode is not None:
            return
        self.agent.terminate()
        try:
            await asyncio.wait_for(self.agent.wait(), 10)
        except TimeoutError:
            self.agent.kill()
            await self.agent.wait()


def _last_word(line: str) -> str:
    with suppress(ValueError):
        entry = json.loads(line)
        return f"the agent's last word: {entry.get('event', line)}"
    return f"the agent's last word: {line}"


@asynccontextmanager
async def set_up(config_text: str, emulate: str, inventory: Inventory) -> AsyncIterator[Stage]:
    """A stage with its kubelet running and no agent yet; taken down whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="rota-demo-", dir=_short_folder()))
    kubelet = EmbeddedKubelet(
        folder / "node", node="demo", timing=Timing(endpoint_grace=5.0), environ=_environment()
    )
    config = folder / "config.yaml"
    config.write_text(config_text)
    stage = Stage(folder, config, emulate, kubelet, inventory)
    try:
        await kubelet.start()
        yield stage
    finally:
        await _take_down(stage)


async def _take_down(stage: Stage) -> None:
    """Pods, kubelet, agent, figures, folder; a failure of one keeps none of the others."""
    for ending in (stage.kubelet.stop(), stage.stop_agent()):
        with suppress(Exception):
            await asyncio.shield(ending)
    with suppress(RotaError):
        if stage.door:
            stage.door.close()
    shutil.rmtree(stage.folder, ignore_errors=True)


def _short_folder() -> str:
    """The folder for temporary files, or /tmp where sockets in it would have too long a name."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= LONGEST else "/tmp"


def _environment() -> dict[str, str]:
    """What pods inherit: enough to run this Python, nothing of the person's GPU settings."""
    hidden = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
    return {name: value for name, value in os.environ.items() if name not in hidden}
