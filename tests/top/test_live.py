"""The live screen in a terminal of its own: it moves, takes keys, and leaves the terminal as it was."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

PATIENCE = 30.0

PROGRAM = """
import itertools, sys, time
from dataclasses import replace
from rich.console import Console
from rota.errors import RotaError
from rota.top import live
from rota.top.choice import Choice
from rota.top.screen import Painter
from tests.top.scenes import NODE

class Agent:
    hung_up = 0
    def follow(self, since=None):
        if self.hung_up:
            raise RotaError("nobody answers there")
        for second in itertools.count():
            yield replace(NODE, node=f"node-{second}")
            time.sleep(0.05)
            if second == int(sys.argv[1]):
                Agent.hung_up = 1
                return

live.run(Agent(), Painter(80), Choice(), Console(width=80, height=24))
"""


@dataclass
class Terminal:
    process: subprocess.Popen[bytes]
    descriptor: int
    seen: bytes = b""
    before: list[object] = field(default_factory=list)

    def press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def until(self, true: Callable[[str], bool]) -> str:
        """What was written since the last time, when it is as wanted."""
        end = time.monotonic() + PATIENCE
        while not true(self.seen.decode(errors="replace")):
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.seen += os.read(self.descriptor, 65536)
        seen, self.seen = self.seen, b""
        return seen.decode(errors="replace")


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": ".", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(request.param)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
    )
    made = Terminal(process, ours, before=termios.tcgetattr(theirs))
    yield made
    process.kill()
    process.wait()
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize("terminal", [100_000], indirect=True)
def test_it_moves_takes_keys_and_goes(terminal: Terminal) -> None:
    terminal.until(lambda seen: "node-3" in seen and "gpu-test" in seen)
    terminal.press("g")
    terminal.until(lambda seen: "sort: gpu%" in seen)
    terminal.press("/sim")
    terminal.until(lambda seen: "filter: sim_" in seen)
    terminal.press("\r")
    shown = terminal.until(lambda seen: "filter: sim (Esc)" in seen and "\x1b[H" in seen)
    last = shown.rpartition("\x1b[H")[2]
    assert "notebook" not in last
    terminal.press("p")
    terminal.until(lambda seen: "PAUSED" in seen)
    terminal.press("q")
    terminal.process.wait(PATIENCE)
    assert terminal.process.returncode == 0
    assert termios.tcgetattr(terminal.descriptor)[3] == terminal.before[3]


@pytest.mark.parametrize("terminal", [3], indirect=True)
def test_an_agent_that_goes_away_is_said_to_be_gone_and_waited_for(terminal: Terminal) -> None:
    terminal.until(lambda seen: "nobody answers there" in seen)
    terminal.press("q")
    terminal.process.wait(PATIENCE)
    assert terminal.process.returncode == 0
