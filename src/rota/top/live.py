"""The screen that goes on: snapshots come in a thread, keys from the terminal."""

from __future__ import annotations

import os
import queue
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rota.errors import RotaError
from rota.figures.model import Snapshot, TurnPage
from rota.top.choice import Choice
from rota.top.screen import History, Painter

LOOK = 0.1
"""Seconds for which keys are waited for before the screen is looked at again."""

AGAIN = 1.0
"""Seconds until an agent that hung up is asked anew."""


class Stream(Protocol):
    """Whoever tells figures as they come: the reader of an agent."""

    def follow(self, since: int | None = None) -> Iterator[Snapshot | TurnPage]:
        """A snapshot each second."""
        ...


class Feed:
    """The latest snapshot, read in a thread; an agent that goes away is waited for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._came: queue.SimpleQueue[Snapshot | RotaError] = queue.SimpleQueue()
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self) -> Iterator[Snapshot | RotaError]:
        """All that came since the last time."""
        while not self._came.empty():
            yield self._came.get()

    def close(self) -> None:
        """No more is wanted; the thread goes with its next snapshot."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(0.0):
            try:
                for told in self._stream.follow():
                    if self._ended.is_set():
                        return
                    if isinstance(told, Snapshot):
                        self._came.put(told)
                self._came.put(RotaError("the agent has gone; waiting for it"))
            except RotaError as error:
                self._came.put(error)
            self._ended.wait(AGAIN)


def run(stream: Stream, painter: Painter, choice: Choice, console: Console) -> None:
    """Show until somebody has seen enough. Needs a terminal."""
    feed, history = Feed(stream), History()
    shown: Snapshot | None = None
    said = ""
    try:
        with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            while not choice.quit:
                for key in pressed():
                    choice = choice.press(key)
                for told in feed.take():
                    said = "" if isinstance(told, Snapshot) else str(told)
                    if isinstance(told, Snapshot) and not choice.paused:
                        history.add(told)
                        shown = told
                painter = replace(painter, width=console.width)
                drawn = _picture(painter, shown, choice, history, said, console.height)
                live.update(drawn, refresh=True)
    finally:
        feed.close()


def _picture(
    painter: Painter,
    snapshot: Snapshot | None,
    choice: Choice,
    history: History,
    said: str,
    height: int,
) -> Group:
    """All lines that there is room for, and the footer at the bottom."""
    lines = list(painter.lines(snapshot, choice, history)) if snapshot else []
    if said or not snapshot:
        lines.insert(0, Text(said or "asking the agent", style="bold"))
    room = max(1, height - 1)
    if len(lines) > room:
        hidden = len(lines) - room + 1
        lines[room - 1 :] = [Text(f"{hidden} lines more: / filters, a taller terminal shows them")]
    lines += [Text()] * (room - len(lines))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return Group(*lines, painter.footer(choice))


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Keys as they are pressed, without Enter and without an echo; a call waits a moment."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed() -> str:
        if not select.select([descriptor], [], [], LOOK)[0]:
            return ""
        text = os.read(descriptor, 64).decode(errors="ignore")
        return "" if text.startswith("\x1b[") else text  # arrows and the like

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
