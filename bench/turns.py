"""Ten thousand turns over programs as people run them: nobody is lost, no bit of a result differs.

    python bench/turns.py [--turns 10000] [--limit 170] [--kills 20] [--json FILE]

For a machine with an NVIDIA GPU, PyTorch, JAX and CuPy. A local agent with a quantum of 5 ms, and
eight programs under `rota run` (`bench/programs.py`), while short ones start and end all the time.
The agent, the gatekeeper or both are killed meanwhile, again and again, at random moments. At the end
every program is run once more, ungated, as far as it came: every check must be the same.
Last, which capabilities the gatekeeper needs for programs in namespaces of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.programs import KINDS
from rota.gatekeeper.client import NoGatekeeper, ask, read_turns
from rota.jobs.folder import SOCKET

HERE = Path(__file__).resolve().parent
ROTA = [sys.executable, "-m", "rota"]
CONFIG = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 16
rota:
  turns:
    quantum: 5ms
    minimum: 2ms
  memory:
    limit: {limit}
"""
LIMITS = {"overlapped": "none", "disjoint": "share"}
"""Where memory is limited, handovers are disjoint."""


class Run:
    """An agent and its programs, in a folder of their own."""

    def __init__(self, folder: Path, handover: str, kinds: list[str]) -> None:
        self.kinds = kinds
        self.folder, self.run_dir = folder, folder / "run"
        self.stop = folder / "stop"
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(limit=LIMITS[handover]))
        self.agent = self.start_agent()
        end = time.monotonic() + 30
        while not (self.run_dir / SOCKET).exists():
            if self.agent.poll() is not None or time.monotonic() > end:
                raise SystemExit((folder / "agent.log").read_text()[-2000:])
            time.sleep(0.05)
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self.newcomers: list[subprocess.Popen[bytes]] = []
        self.came = self.lost = self.next = self.turns = 0
        self.why: dict[str, int] = {}

    def start_agent(self) -> subprocess.Popen[bytes]:
        """A local agent; it takes over what one before it left."""
        log = (self.folder / "agent.log").open("ab")
        where = ("--run-dir", str(self.run_dir), "--config", str(self.config))
        command = [*ROTA, "agent", "--local", *where]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def rota_run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A job; `rota run` becomes its command."""
        log = (self.folder / f"{name}.err").open("ab")
        where = ("--run-dir", str(self.run_dir), "--name", name)
        return subprocess.Popen(
            [*ROTA, "run", *where, "--", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def start_programs(self) -> None:
        """One of each kind, as a job."""
        for kind in self.kinds:
            out = self.folder / f"{kind}.jsonl"
            command = (sys.executable, str(HERE / "programs.py"), kind, str(out), str(self.stop))
            self.programs[kind] = self.rota_run(kind, *command)

    def churn(self) -> None:
        """Keep two short programs on their way, one after the other."""
        for program in list(self.newcomers):
            if (code := program.poll()) is not None:
                self.newcomers.remove(program)
                self.lost += code != 0
        while len(self.newcomers) < 2 and not self.stop.exists():
            self.came += 1
            arguments = ("trainer", "--kernel", "2ms", "--seconds", "0.5", "--report", "10s")
            command = (sys.executable, "-m", "rota.gpu.workload", *arguments)
            self.newcomers.append(self.rota_run("newcomer", *command))

    def count(self) -> None:
        """Take note of the turns that have ended since the last time."""
        with suppress(NoGatekeeper):
            while True:
                following, page = read_turns(self.run_dir, self.next)
                if following < self.next:
                    self.next = 0  # a new gatekeeper counts from the beginning
                    continue
                self.next = following
                self.turns += len(page)
                for turn in page:
                    self.why[str(turn.why)] = self.why.get(str(turn.why), 0) + 1
                if not page:
                    return

    def ended(self) -> list[str]:
        """The programs that have ended, and must not."""
        return [kind for kind, program in self.programs.items() if program.poll() is not None]

    def gatekeeper(self) -> int | None:
        """Its pid."""
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = cmdline.read_bytes().split(b"\0")
                if b"rota.gatekeeper" in words and str(self.run_dir).encode() in words:
                    return int(cmdline.parent.name)
        return None

    def kill(self, whom: str) -> None:
        """kill -9; an agent is started again, as a service manager would."""
        keeper = self.gatekeeper()
        if whom in ("agent", "both"):
            self.agent.kill()
        if whom in ("gatekeeper", "both") and keeper:
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGKILL)
        if whom in ("agent", "both"):
            self.agent.wait()
            self.agent = self.start_agent()

    def finish(self) -> dict[str, int | None]:
        """Every program stops after its next check; the exit codes."""
        self.stop.touch()
        end = time.monotonic() + 20
        for program in (*self.programs.values(), *self.newcomers):
            with suppress(subprocess.TimeoutExpired):
                program.wait(max(0.1, end - time.monotonic()))
        codes = {kind: program.poll() for kind, program in self.programs.items()}
        for program in (*self.programs.values(), *self.newcomers):
            program.kill()
        self.lost += sum(1 for program in self.newcomers if program.wait() != 0)
        self.agent.terminate()
        self.agent.wait(20)
        return codes

    def checks(self, kind: str, suffix: str = "") -> list[dict[str, Any]]:
        """The lines of a program."""
        out = self.folder / f"{kind}{suffix}.jsonl"
        lines = out.read_text().splitlines() if out.exists() else []
        return [line for line in map(json.loads, lines) if "check" in line]


def wait_until_all_run(run: Run, limit: float) -> None:
    """Every program has made its first check."""
    end = time.monotonic() + limit
    while missing := [kind for kind in run.kinds if not run.checks(kind)]:
        if (gone := run.ended()) or time.monotonic() > end:
            told = "\n".join(describe(run, kind) for kind in gone or missing)
            raise SystemExit(f"programs that do not run: {gone or missing}\n{told}")
        time.sleep(0.1)


def describe(run: Run, kind: str) -> str:
    """What there is to know of a program that does not come on: its words, its gate, its threads."""
    said = (run.folder / f"{kind}.err").read_text()[-800:]
    pid = run.programs[kind].pid
    calls: Counter[str] = Counter()
    for call in Path(f"/proc/{pid}/task").glob("*/syscall"):
        with suppress(OSError):
            calls[" ".join(call.read_text().split()[:4])] += 1
    with suppress(NoGatekeeper):
        state = ask(run.run_dir, {"op": "state"})
        told = {name: c for name, c in state["clients"].items() if pid in c["pids"]}
        said += f"\ngatekeeper: {told or list(state['clients'])}"
    threads = "\n".join(f"  {count} × {call}" for call, count in calls.most_common(20))
    return f"{kind} (pid {pid}):\n{said}\nthreads:\n{threads}"


def stalls(run: Run, begin: float, end: float) -> dict[str, float]:
    """The longest time between two checks of each program, in seconds."""
    longest = {}
    for kind in run.kinds:
        times = [c["at"] for c in run.checks(kind) if begin <= c["at"] <= end]
        longest[kind] = round(max((b - a for a, b in pairwise([begin, *times, end])), default=0), 3)
    return longest


def compare(run: Run, seconds: float) -> dict[str, Any]:
    """Run the programs again, ungated, as far as they came or as the time allows; compare digests."""
    never, again = run.folder / "never", {}
    for kind in run.kinds:
        out = run.folder / f"{kind}-alone.jsonl"
        command = [sys.executable, str(HERE / "programs.py"), kind, str(out), str(never)]
        checks = str(len(run.checks(kind)))
        again[kind] = subprocess.Popen([*command, checks], stdin=subprocess.DEVNULL)
    end = time.monotonic() + seconds
    for program in again.values():
        with suppress(subprocess.TimeoutExpired):
            program.wait(max(0.1, end - time.monotonic()))
    never.touch()
    result: dict[str, Any] = {}
    for kind, program in again.items():
        with suppress(subprocess.TimeoutExpired):
            program.wait(10)
        program.kill()
        gated, alone = run.checks(kind), run.checks(kind, "-alone")
        same = sum(a["digest"] == b["digest"] for a, b in zip(gated, alone, strict=False))
        result[kind] = {"checks": len(gated), "compared": len(alone), "same": same}
        print(f"  {kind}: {len(gated)} checks, {len(alone)} compared, {same} the same", flush=True)
    return result


def soak(arguments: argparse.Namespace, folder: Path, document: dict[str, Any]) -> None:
    """Turns, with a kill now and then, and the comparison."""
    run = Run(folder, arguments.handover, arguments.programs)
    try:
        run.start_programs()
        wait_until_all_run(run, arguments.start_limit)
        print("all programs run", flush=True)
        run.count()
        run.turns, run.why, begin = 0, {}, time.monotonic()
        killed = play(run, arguments, begin + arguments.limit)
        end = time.monotonic()
        document["turns"] = {
            "turns": run.turns, "seconds": round(end - begin, 1), "why": run.why,
            "newcomers": run.came, "newcomers_lost": run.lost, "killed": killed,
            "lost": run.ended(), "longest_stall": stalls(run, begin, end),
        }  # fmt: skip
        print(json.dumps(document["turns"], indent=1), flush=True)
    finally:
        document["exit_codes"] = run.finish()
    print("exit codes", document["exit_codes"], "newcomers lost", run.lost, flush=True)
    document["newcomers_lost_at_the_end"] = run.lost
    document["bits"] = compare(run, arguments.compare)


def play(run: Run, arguments: argparse.Namespace, until: float) -> list[str]:
    """So many turns, and as many kills of ours, at random moments spread over them."""
    chance, killed = random.Random(arguments.seed), list[str]()
    at = sorted(chance.uniform(0.05, 0.95) * arguments.turns for _ in range(arguments.kills))
    while time.monotonic() < until and (run.turns < arguments.turns or len(killed) < len(at)):
        run.churn()
        run.count()
        if len(killed) < len(at) and run.turns >= at[len(killed)]:
            killed.append(chance.choice(["gatekeeper", "agent", "both"]))
            run.kill(killed[-1])
        if gone := run.ended():
            raise SystemExit(f"lost: {gone}, after the deaths of {killed}")
        time.sleep(0.1)
    return killed


PROBE = """
import os, sys, time
from rota.gpu.demand import ProcessDemand
from rota.gpu.gates import CudaGates
from rota.gpu.processes import started
pid = int(sys.argv[1]); when = started(pid)
gates, demand = CudaGates(), ProcessDemand(pid, when)
begin = time.monotonic()
gates.close(pid, when, 3.0)
took = time.monotonic() - begin
end = time.monotonic() + 3
while not demand.wants():
    if time.monotonic() > end: sys.exit("its demand is not seen" + ("" if demand.readable() else ": /proc is shut"))
    time.sleep(0.001)
gates.open(pid, when)
print(f"closed in {1e3 * took:.1f} ms, seen waiting, opened")
"""
CAPS = {
    "all": [],
    "SYS_PTRACE": ["setpriv", "--bounding-set=-all,+sys_ptrace"],
    "none": ["setpriv", "--bounding-set=-all"],
}
MORE = ("dac_override", "dac_read_search", "kill", "setuid", "setgid", "sys_admin",
        "checkpoint_restore", "ipc_owner", "fowner", "chown")  # fmt: skip
"""What is tried besides CAP_SYS_PTRACE, one by one, for a program of another user."""

TARGETS = {
    "same namespaces": [],
    "own net": ["unshare", "-n"],
    "own ipc": ["unshare", "-i"],
    "own mount": ["unshare", "-m"],
    "own pid, net, ipc, mount, uts": ["unshare", "-n", "-i", "-m", "-u", "-p", "-f", "--mount-proc"],
    "own user": ["unshare", "-U", "-r"],
    "another user": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
}  # fmt: skip


def rights(folder: Path, targets: list[str]) -> dict[str, dict[str, str]]:
    """For each target and each set of capabilities of a root gatekeeper: what came of it."""
    found: dict[str, dict[str, str]] = {}
    folder.chmod(0o777)
    for target in targets:
        prefix = TARGETS[target]
        out = folder / f"target-{len(found)}.jsonl"
        work = [sys.executable, "-m", "rota.gpu.workload", "trainer", "--kernel", "1ms"]
        command = [*prefix, *work, "--out", str(out)]
        program = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        end = time.monotonic() + 15
        while not (out.exists() and "ready" in out.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        pid = innermost(program.pid)
        found[target] = {caps: probe(pid, setpriv) for caps, setpriv in CAPS.items()}
        if target == "another user":
            for cap in MORE:
                only = ["setpriv", f"--bounding-set=-all,+sys_ptrace,+{cap}"]
                found[target][f"SYS_PTRACE, {cap.upper()}"] = probe(pid, only)
        print(target, json.dumps(found[target]), flush=True)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        program.kill()
        program.wait()
    return found


def innermost(pid: int) -> int:
    """The last child: `unshare -f` stays as the parent of what it runs."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return pid
        pid = int(children[0])


def probe(pid: int, prefix: list[str]) -> str:
    """Close and open that gate with those capabilities."""
    command = [*prefix, sys.executable, "-c", PROBE, str(pid)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    said = (ended.stdout if ended.returncode == 0 else ended.stderr).strip().splitlines()
    return said[-1] if said else f"ended with {ended.returncode}"


def main() -> None:
    """The command line; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--limit", type=float, default=170.0, help="seconds for them")
    parser.add_argument("--start-limit", type=float, default=90.0, help="seconds to start in")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--handover", default="overlapped", choices=list(LIMITS))
    parser.add_argument("--compare", type=float, default=60.0, help="seconds for it")
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--programs", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rota-turns-", dir="/tmp"))
    document: dict[str, Any] = {"handover": arguments.handover, "quantum": 0.005}
    try:
        soak(arguments, folder, document)
        document["rights"] = rights(folder, arguments.targets)
    finally:
        if arguments.json:
            arguments.json.write_text(json.dumps(document, indent=1) + "\n")
        log = (folder / "agent.log").read_text().splitlines()
        print("\n".join(["the agent's last lines:", *log[-12:]]))
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
