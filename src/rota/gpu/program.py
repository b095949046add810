"""The process around a workload: its command line, its lines of JSON, and how it is ended.

A program whose gate is closed sits in a C function that no signal handler of Python can interrupt.
So SIGTERM is noticed by a thread of its own, which says goodbye and ends the process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rota.config.quantities import parse_duration, parse_size
from rota.errors import RotaError
from rota.gpu.work import KINDS, REPORT, Options, WorkDevice

_ENDLESS = 1e9


class Lines:
    """One JSON object a line, to standard output and to a file; every line is out at once."""

    def __init__(self, out: Path | None) -> None:
        self._descriptors = [1]
        if out is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptors.append(os.open(out, flags, 0o644))

    def say(self, event: str, **fields: Any) -> None:
        """Write one line. A reader that has gone away is no reason to stop working."""
        record = {"at": round(time.monotonic(), 6), "event": event, **fields}
        line = (json.dumps(record) + "\n").encode()
        for descriptor in self._descriptors:
            with suppress(OSError):
                os.write(descriptor, line)


def main(
    program: str,
    device: Callable[[], WorkDevice],
    *,
    emulated: bool,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run one workload as this whole process: exit 0 when it is done or was ended by a signal."""
    given = _parser(program).parse_args(arguments)
    lines = Lines(given.out)
    _end_on_signal(lines)
    try:
        options = _options(given)
        opened = device()
        if given.kind != "hog" and options.memory:
            opened.malloc(options.memory)
        lines.say(
            "ready",
            kind=given.kind,
            pid=os.getpid(),
            gpu=opened.uuid,
            product=opened.product,
            emulated=emulated,
            memory_bytes=0 if given.kind == "hog" else options.memory,
        )
        KINDS[given.kind](opened, options, lines.say)
    except RotaError as error:
        lines.say("failed", error=type(error).__name__, why=str(error))
        sys.exit(f"{program}: {error}")
    lines.say("end", why="done")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument(
        "--seconds", help="how long it runs, such as 10s; until ended, if not given"
    )
    parser.add_argument("--memory", help="GPU memory it takes, such as 2Gi (a hog: all it can get)")
    parser.add_argument("--kernel", default="20ms", help="how long a kernel runs (default 20ms)")
    parser.add_argument("--period", default="200ms", help="between two requests (default 200ms)")
    parser.add_argument("--think", default="600ms", help="between two cells (default 600ms)")
    parser.add_argument("--ahead", type=int, help="kernels queued at once (default 1, notebook 10)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a trainer (default 1)")
    parser.add_argument(
        "--report", default=f"{REPORT}s", help="between two progress lines (default 0.2s)"
    )
    parser.add_argument(
        "--when", type=Path, help="a hog works until this file is there, then takes"
    )
    parser.add_argument("--out", type=Path, help="a file that the lines are appended to as well")
    return parser


def _options(given: argparse.Namespace) -> Options:
    hog = given.kind == "hog"
    return Options(
        seconds=_seconds(given.seconds) if given.seconds else _ENDLESS,
        memory=parse_size(given.memory) if given.memory else (2**62 if hog else 0),
        kernel=_seconds(given.kernel),
        period=_seconds(given.period),
        think=_seconds(given.think),
        ahead=max(1, given.ahead or (10 if given.kind == "notebook" else 1)),
        threads=max(1, given.threads),
        report=_seconds(given.report),
        when=given.when,
    )


def _seconds(text: str) -> float:
    """A duration; here a bare number is taken too, in seconds."""
    try:
        return float(text)
    except ValueError:
        return parse_duration(text)


def _end_on_signal(lines: Lines) -> None:
    inner, outer = socket.socketpair()
    inner.setblocking(False)
    signal.set_wakeup_fd(inner.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        number = outer.recv(1)
        lines.say("end", why=signal.Signals(number[0]).name)
        inner.close()
        os._exit(0)

    threading.Thread(target=wait, name="signals", daemon=True).start()
