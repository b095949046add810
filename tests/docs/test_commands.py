"""Every command in the README and in docs/ is run, in a copy of the files that it names.

`make X` is asked with `-n` whether it is there (the suite itself is `make test`), a command that
serves until it is stopped is stopped, and everything else has to end well.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
SERVES = ("rota agent", "rota gatekeeper")
ELSEWHERE = ("pip-compile", "pre-commit", "git clone", "cd rota")
"""Of other projects, or what comes before there is a checkout."""


def commands(page: Path) -> Iterator[str]:
    """The page's commands, in its order."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition(" #")[0].strip()
            if command and not command.startswith(("#", *ELSEWHERE)):
                yield command


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with the examples and an agent's folder in it; whoever still uses it is ended."""
    folder = Path(tempfile.mkdtemp(prefix="rotadoc", dir="/tmp"))
    shutil.copytree(ROOT / "examples", folder / "examples")
    yield folder
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> Iterator[int]:
    """Processes that have the folder in their environment: agents that a command has started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if os.fsencode(folder) in (entry / "environ").read_bytes():
                    yield int(entry.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_one_after_the_other(page: Path, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "ROTA_RUN_DIR": str(folder / "run")}
    for command in commands(page):
        command = command.replace(
            "/tmp/", f"{folder}/"
        )  # what a page puts there goes with the test
        if command.startswith(SERVES):
            serves_until_stopped(command, folder, environ)
        else:
            works(command, folder, environ)


def works(command: str, folder: Path, environ: dict[str, str]) -> None:
    """It ends well; of a make target it is enough that it is there."""
    if command.startswith("make "):
        folder, command = ROOT, command.replace("make ", "make -n ", 1)
    ended = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, timeout=55
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"


def serves_until_stopped(command: str, folder: Path, environ: dict[str, str]) -> None:
    """It says that it serves, and ends well when asked to."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=environ, stdout=out, stderr=out
        )
    try:
        end = time.monotonic() + 30
        while "serving" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
