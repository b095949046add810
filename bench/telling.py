"""What telling figures costs an agent and its gatekeeper, and whether turns notice it.

    python bench/telling.py [--seconds 10]

An agent of this machine with one emulated GPU and three programs that never stop. In turn: nobody asks
(no address is named, nothing is counted), figures are counted for nobody, Prometheus scrapes every
second (it usually comes every fifteen), one viewer reads the stream, and five do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from rota.errors import RotaError
from rota.figures.own import cost
from rota.figures.reader import Reader
from rota.gatekeeper.client import ask, read_turns

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "01-seed" / "time-slicing-config.yaml"
PORT = 19400


@contextmanager
def node(*options: str) -> Iterator[tuple[Path, int]]:
    """An agent with three programs in turns: its folder and its pid."""
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    env = os.environ | {"ROTA_RUN_DIR": str(folder)}
    rota = [sys.executable, "-m", "rota"]
    agent = subprocess.Popen(
        [*rota, "agent", "--local", "--emulate", "t4", "--config", str(CONFIG), *options],
        env=env, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    jobs: list[subprocess.Popen[bytes]] = []
    try:
        _until(lambda: (folder / "rota.sock").exists())
        work = [sys.executable, "-m", "rota.emulation.workloads", "trainer", "--ahead", "2"]
        jobs = [
            subprocess.Popen([*rota, "run", "--", *work], env=env, stdout=subprocess.DEVNULL)
            for _ in range(3)
        ]
        _until(lambda: len(ask(folder, {"op": "state"})["clients"]) == 3)
        time.sleep(2.0)
        yield folder, agent.pid
    finally:
        for process in (*jobs, agent):
            process.send_signal(signal.SIGTERM)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(RotaError):
            if true():
                return
        time.sleep(0.1)
    raise TimeoutError("the agent does not come up")


def measure(folder: Path, agent: int, seconds: float) -> str:
    """Processor time of both processes, and what turns were like, over so many seconds."""
    gatekeeper = next(_gatekeepers(agent))
    number = ask(folder, {"op": "state"})["turns"]
    before = [cost(pid)[0] or 0.0 for pid in (agent, gatekeeper)]
    begun = time.monotonic()
    time.sleep(seconds)
    span = time.monotonic() - begun
    after = [cost(pid)[0] or 0.0 for pid in (agent, gatekeeper)]
    _, turns = read_turns(folder, number)
    part = [100 * (late - early) / span for early, late in zip(before, after, strict=True)]
    length = [1000 * (turn.end - turn.start) for turn in turns]
    closing = [1000 * turn.closing for turn in turns]
    used = sum(turn.used for turn in turns) / span
    return (
        f"agent {part[0]:4.1f} %, gatekeeper {part[1]:4.1f} % of a core; {len(turns)} turns of "
        f"{statistics.median(length):.1f} ms, closing {statistics.median(closing):.1f} ms, "
        f"GPU in somebody's turn {100 * used:.0f} %"
    )


def _gatekeepers(agent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"rota.gatekeeper" in path.read_bytes():
                pid = int(path.parent.name)
                if f"PPid:\t{agent}" in (path.parent / "status").read_text():
                    yield pid


@contextmanager
def asking(count: int, ask_once: Callable[[threading.Event], None]) -> Iterator[None]:
    """So many threads that ask until the block ends."""
    end = threading.Event()
    threads = [threading.Thread(target=ask_once, args=(end,), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        end.set()


def scrape(end: threading.Event) -> None:
    while not end.wait(1.0):
        with urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as answer:
            answer.read()


def view(end: threading.Event) -> None:
    for _ in Reader(f"http://127.0.0.1:{PORT}").follow():
        if end.is_set():
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    say = sys.stdout.write
    with node() as (folder, agent):
        say(f"nobody asks:      {measure(folder, agent, seconds)}\n")
    with node("--listen", f"127.0.0.1:{PORT}") as (folder, agent):
        say(f"counted:          {measure(folder, agent, seconds)}\n")
        with asking(1, scrape):
            say(f"a scrape a second:{measure(folder, agent, seconds)}\n")
        for count in (1, 5):
            with asking(count, view):
                say(f"viewers: {count}        {measure(folder, agent, seconds)}\n")
            time.sleep(1.5)


if __name__ == "__main__":
    main()
