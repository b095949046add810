"""Every command in the README and in docs/ is run, in a copy of the files that it names.

`make X` is asked with `-n` whether it is there (the suite itself is `make test`), a command that
serves until it is stopped is stopped, and everything else has to end well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
SERVES = ("rota agent", "rota gatekeeper")
ELSEWHERE = ("pip-compile", "pre-commit", "git clone", "cd rota")
"""Of other projects, or what comes before there is a checkout."""


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.partition(" #")[0].strip()
                if command and not command.startswith(("#", *ELSEWHERE)):
                    yield str(page.relative_to(ROOT)), command


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands may read and write: the examples."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_a_command_in_the_docs_works(page: str, command: str, checkout: Path) -> None:
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if command.startswith("make "):
        checkout, command = ROOT, command.replace("make ", "make -n ", 1)
    if command.startswith(SERVES):
        serves_until_stopped(command, checkout, environ)
        return
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert ended.returncode == 0, f"{page}: {command}\n{ended.stdout}{ended.stderr}"


def serves_until_stopped(command: str, checkout: Path, environ: dict[str, str]) -> None:
    """It says that it serves, and ends well when asked to."""
    log = checkout / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=checkout, env=environ, stdout=out, stderr=out
        )
    try:
        end = time.monotonic() + 20
        while "serving" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
