"""The end of a job's first process is told, once, and of the right process."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace

from rota.gpu.processes import started
from rota.jobs.job import Process
from rota.jobs.roots import Roots


async def test_the_end_of_a_root_is_told() -> None:
    ended = asyncio.Event()
    roots = Roots(ended.set)
    with subprocess.Popen(["sleep", "600"]) as child:
        roots.hold("a", Process(child.pid, started(child.pid) or 0))
        assert "a" in roots
        assert not ended.is_set()
        child.kill()
        async with asyncio.timeout(30):
            await ended.wait()
    assert "a" not in roots
    assert len(roots) == 0


async def test_a_process_that_got_the_pid_later_is_not_the_root() -> None:
    ended = asyncio.Event()
    roots = Roots(ended.set)
    with subprocess.Popen(["sleep", "600"]) as child:
        process = Process(child.pid, started(child.pid) or 0)
        roots.hold("a", replace(process, started=process.started + 1))
        assert ended.is_set()
        assert "a" not in roots
        roots.hold("b", process)
        roots.close()
        assert len(roots) == 0
        child.kill()
