"""What `bench/memory.py` and `bench/paging.py` play on: a GPU, a gatekeeper on it, programs, findings."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from bench.machine import path_with
from rota.emulation.device import CONTEXT_BYTES
from rota.errors import RotaError
from rota.gatekeeper.journal import Process
from rota.gatekeeper.messages import ClientSpec, Node, Settings
from rota.gatekeeper.supervisor import Supervisor
from rota.gpu.doors import InventoryDoor
from rota.gpu.processes import started
from rota.memory.limits import Claim, Pool
from rota.memory.sizes import CONTEXT
from rota.memory.terms import GpuTerms
from rota.scheduling.terms import Rules, Share

ROOT = Path(__file__).resolve().parents[1]
GIB, MIB = 2**30, 2**20
PATIENCE = 60.0
FIRST = 0.1
"""The quantum, in seconds."""


class Failed(Exception):
    """Something that must hold does not."""


@dataclass
class Program:
    """A program on the GPU that answers in lines of JSON."""

    process: subprocess.Popen[bytes]

    @property
    def identity(self) -> Process:
        when = started(self.process.pid)
        if when is None:
            raise Failed(f"a program has ended with {self.process.poll()}")
        return Process(self.process.pid, when)

    def tell(self, **order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    async def line(self, patience: float = PATIENCE) -> dict[str, Any]:
        assert self.process.stdout
        text = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), patience)
        if not text:
            raise Failed(f"a program ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()


@dataclass
class Bench:
    """One GPU, a gatekeeper on it, and what was found."""

    folder: Path
    gpu: str
    door: InventoryDoor
    emulated: Path | None
    environment: Mapping[str, str]
    supervisor: Supervisor
    findings: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)

    def note(self, name: str, text: str, **figures: Any) -> None:
        self.findings[name] = {"text": text, **figures}
        print(f"{name:<22} {text}", flush=True)

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.failures.append(what)
            print(f"  DOES NOT HOLD: {what}", flush=True)

    def start(self, *arguments: str) -> Program:
        program = [sys.executable, str(ROOT / "bench" / "memory_programs.py"), *arguments]
        return self.run(program)

    def work(self, out: Path, *arguments: str) -> Program:
        module = "rota.emulation.workloads" if self.emulated else "rota.gpu.workload"
        command = [sys.executable, "-m", module, *arguments, "--out", str(out)]
        return self.run(command, stdout=subprocess.DEVNULL)

    def run(self, command: Sequence[str], stdout: int = subprocess.PIPE) -> Program:
        process = subprocess.Popen(
            command,
            env={**os.environ, **self.environment, "PYTHONPATH": path_with(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=stdout,
        )
        self.programs.append(Program(process))
        return self.programs[-1]

    def clear(self) -> None:
        """End every program, and tell the gatekeeper."""
        self.supervisor.tell(Node())
        for program in self.programs:
            program.end()
        self.programs.clear()

    def use(self, program: Program) -> int:
        found = {each.pid: each.memory_bytes for each in self.door.processes(self.gpu)}
        return found.get(program.process.pid, 0)

    def held(self) -> int:
        """What is used and no process's: the ballast, and what the driver takes."""
        memory = self.door.memory(self.gpu)
        return (
            memory.total
            - memory.free
            - sum(each.memory_bytes for each in self.door.processes(self.gpu))
        )

    def tell(
        self,
        programs: Mapping[str, Program],
        *,
        limits: bool = True,
        replicas: int = 4,
        **more: Any,
    ) -> None:
        """Tell the gatekeeper who is there."""
        clients = tuple(
            ClientSpec(name, {self.gpu: Share()}, frozenset({program.identity}))
            for name, program in programs.items()
        )
        total = self.door.memory(self.gpu).total
        context = CONTEXT_BYTES if self.emulated else CONTEXT
        pool = Pool(self.gpu, total, replicas, context=context)
        terms = GpuTerms(pool, tuple(Claim(name) for name in programs), **more)
        settings = Settings(handing="disjoint", rules=Rules(quantum=FIRST))
        self.supervisor.tell(Node(settings, clients, (terms,) if limits else ()))

    async def table(self) -> dict[str, Any]:
        """The gatekeeper's table of this GPU, once every client is in it."""
        found: dict[str, Any] = (await self.supervisor.state())["memory"].get(self.gpu, {})
        return found

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            value = condition()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value
            if time.monotonic() > end:
                raise Failed(f"not in {PATIENCE:.0f} s: {what}")
            await asyncio.sleep(0.005)


Section: TypeAlias = Callable[[Bench], Awaitable[None]]
"""One part of a bench: it notes what it finds, and what does not hold."""


async def play(
    stage: AbstractAsyncContextManager[Bench],
    sections: Mapping[str, Section],
    failed: Section | None = None,
) -> dict[str, Any]:
    """Play the sections one after the other; one that fails ends no other. What was found.

    Args:
        stage: where.
        sections: name → section.
        failed: called after one that failed.
    """
    async with stage as bench:
        for name, section in sections.items():
            begun = time.monotonic()
            try:
                await section(bench)
            except (Failed, RotaError, OSError, AssertionError, KeyError, TimeoutError) as error:
                bench.failures.append(f"{name}: {type(error).__name__}: {error}")
                print(f"{name:<22} FAILED: {type(error).__name__}: {error}", flush=True)
                if failed:
                    await failed(bench)
            bench.clear()
            print(f"{'':<22} [{time.monotonic() - begun:.1f} s]", flush=True)
        return {"findings": bench.findings, "failures": bench.failures}


def command(
    doc: str | None,
    name: str,
    set_up: Callable[[str], AbstractAsyncContextManager[Bench]],
    sections: Mapping[str, Section],
    failed: Section | None = None,
) -> None:
    """The command line of a bench; ends the process.

    Args:
        doc: its docstring.
        name: of its JSON.
        set_up: makes the stage, on the emulated GPU of a profile where one is named.
        sections: name → section, in the order in which they are played.
        failed: as for `play`.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else "")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    parser.add_argument("--emulate", default="", metavar="PROFILE")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")) / name)
    given = parser.parse_args()
    if unknown := [each for each in given.sections if each not in sections]:
        parser.error(f"no section {unknown[0]}: {', '.join(sections)}")
    chosen = {each: sections[each] for each in given.sections or sections}
    document = asyncio.run(play(set_up(given.emulate), chosen, failed))
    given.out.write_text(json.dumps(document, indent=2, default=str) + "\n")
    print(f"{len(document['failures'])} failures; {given.out}")
    sys.exit(bool(document["failures"]))
