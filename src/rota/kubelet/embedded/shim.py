"""One container's keeper: a process between the kubelet and what the container runs.

Run as a script with nothing but the standard library, so that it is up in some 20 ms. It is what a
container runtime's shim is on a node, and for the same reasons:

* It is the subreaper of everything below it, so a descendant can leave its process group, its
  session and its parents, or empty its environment, and is still found and killed.
* When the kubelet ends, however it ends, the shim's input ends (and the kernel sends SIGTERM): it
  kills everything below it and goes. So a kubelet killed with -9 leaves nothing behind.
* When the shim itself is killed, the kernel kills the main process.

When the main process ends, the rest is killed, as in a container whose process 1 ends.

Input: one line of JSON (`argv`, `env`, `cwd`), then lines `stop SECONDS`: SIGTERM to the main
process's group, and SIGKILL to everything when the seconds are over. Output: one line of JSON,
`{"pid"}` or `{"error"}`, then `{"exit"}` when nothing of the container is left. What the container
prints goes where this process's standard error goes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SHORTEST_PAUSE = 0.002
LONGEST_PAUSE = 0.05


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def say(**answer: Any) -> None:
    """One line to the kubelet, if it still lives."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(answer).encode() + b"\n")


def launch(order: dict[str, Any]) -> tuple[int, str]:
    """Start the main process.

    Returns:
        Its pid, and why it could not start; one of them is 0 or empty.
    """
    keeper = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            _become(order, keeper)
        except Exception as error:
            os.write(writing, str(error).encode()[:4000] or b"unknown")
        finally:
            os._exit(127)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        problem = pipe.read().decode(errors="replace")
    if problem:
        os.waitpid(pid, 0)
        return 0, problem
    return pid, ""


def _become(order: dict[str, Any], keeper: int) -> None:
    """In the child: a session of its own, plain signals, and then the program."""
    signal.set_wakeup_fd(-1)
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        return
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(2, 1)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    os.chdir(order["cwd"])
    program = order["argv"][0]
    try:
        os.execvpe(program, order["argv"], order["env"])
    except FileNotFoundError:
        raise OSError(f'exec: "{program}": executable file not found in $PATH') from None


def descendants(root: int) -> list[int]:
    """Pids of all processes below `root`."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - pathlib loads slowly
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            parent = file.read().rpartition(b")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill_all() -> None:
    """SIGKILL to everything below, once."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def sweep() -> None:
    """Kill and reap until nothing is left below."""
    pause = SHORTEST_PAUSE
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        kill_all()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def reap(main: int) -> int | None:
    """Collect the dead; the exit code of the main process if it is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return None
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


class Keeper:
    """Waits for the main process, and for orders about it."""

    def __init__(self, main: int, signals: int) -> None:
        self._main = main
        self._signals = signals
        self._deadline: float | None = None

    def run(self) -> int:
        """Keep until the main process has ended; its exit code."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        while (code := reap(self._main)) is None:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                kill_all()
                left = LONGEST_PAUSE
            for source, _ in poll.poll(None if left is None else left * 1000 + 1):
                if source == 0:
                    self._obey(os.read(0, 4096), poll)
                elif signal.SIGTERM in os.read(self._signals, 4096):
                    self._deadline = 0.0
        return code

    def _obey(self, text: bytes, poll: select.poll) -> None:
        if not text:
            poll.unregister(0)
            self._deadline = 0.0
        for line in text.decode().splitlines():
            grace = float(line.split()[1])
            if self._deadline is None and grace > 0:
                os.killpg(self._main, signal.SIGTERM)
            wanted = time.monotonic() + grace
            self._deadline = wanted if self._deadline is None else min(wanted, self._deadline)


def main() -> None:
    """Keep one container."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    order = read_order()
    if not order or os.getppid() != int(sys.argv[1]):
        return
    pid, problem = launch(json.loads(order))
    if problem:
        say(error=problem)
        return
    say(pid=pid)
    try:
        code = Keeper(pid, signals).run()
    finally:
        sweep()
    say(exit=code)


def read_order() -> bytes:
    """The first line of the input; empty when the input ended before it did.

    Nothing follows it before the kubelet has heard the pid, so no byte of a later line is lost.
    """
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            return b""
        line += part
    return line


if __name__ == "__main__":
    main()
