"""A program of a scenario as a process of its own, and what it wrote."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rota.bench.records import Record, read
from rota.bench.scenarios import Part
from rota.errors import RotaError
from rota.gatekeeper.journal import Process
from rota.gpu.processes import started

READY = 40.0
"""Seconds that a program has to be on the GPU, on a machine that is busy."""

LIFE = 300.0
"""Seconds after which a program ends by itself, should nobody be left to end it."""

_POLL = 0.02
_PATIENCE = 5.0


class ProgramFailed(RotaError):
    """A program of a scenario ended or did not start."""


@dataclass(slots=True)
class Actor:
    """One program that was started.

    Attributes:
        name: its client's id.
        part: what it plays.
        process: the process.
        out: the file with its lines.
        born: when it was started, in seconds of the monotonic clock.
    """

    name: str
    part: Part
    process: subprocess.Popen[bytes]
    out: Path
    born: float

    @property
    def identity(self) -> Process | None:
        """Pid and start time; None once it is no more."""
        when = started(self.process.pid) if self.process.poll() is None else None
        return None if when is None else Process(self.process.pid, when)

    def record(self) -> Record:
        """Its own account so far."""
        if not self.out.exists():
            return Record()
        with self.out.open() as lines:
            return read(lines, self.part.ahead)

    async def ready(self) -> None:
        """Wait until it is on the GPU.

        Raises:
            ProgramFailed: it ended before, or does not get there.
        """
        end = time.monotonic() + READY
        while self.record().ready is None:
            if self.process.poll() is not None or time.monotonic() > end:
                raise self.failure()
            await asyncio.sleep(_POLL)

    def failure(self) -> ProgramFailed:
        """Why it is not there any more, or not there yet, in its own words."""
        why = self.record().failed or self.out.with_suffix(".err").read_text().strip()[-300:]
        ended = self.process.poll()
        gone = "does not get to the GPU" if ended is None else f"ended with {ended}"
        return ProgramFailed(why or gone, where=self.name)

    def end(self) -> None:
        """End it, by force if need be. Twice is once."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)
        self.process.kill()
        self.process.wait()


def start(
    name: str, part: Part, command: tuple[str, ...], out: Path, environment: Mapping[str, str],
    life: float = LIFE,
) -> Actor:  # fmt: skip
    """Start a program; `command` is what `program_command` said, its lines go to `out`."""
    with out.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(
            [*command, *part.arguments, "--seconds", str(life), "--out", str(out)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    return Actor(name, part, process, out, time.monotonic())


def program_command(workload: str, rate: float) -> tuple[str, ...]:
    """What starts a program on that kind of device."""
    return (sys.executable, "-m", "rota.bench.program", workload, repr(rate))
