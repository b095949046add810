"""How a demo looks: a live screen on a terminal, plain lines in a pipe, nothing for `--json`."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rota.demo.report import PodUse, Report, Step, Usage

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "grey74")
"""Okabe and Ito's, which can be told apart by the colour-blind."""

COLUMN = 25
"""Characters that the titles of the steps have."""

NARROW = 80
"""Columns of a terminal below which results stand beneath the titles, and pods have no lanes."""


class Screen(Protocol):
    """Is told what happens, as it happens."""

    def begin(self, title: str, note: str) -> None:
        """The demo starts; `note` says what GPU it runs on."""
        ...

    def working(self, title: str) -> None:
        """A step started."""
        ...

    def done(self, title: str, step: Step) -> None:
        """A step ended."""
        ...

    def usage(self, usage: Usage) -> None:
        """A sample of all pods."""
        ...

    def end(self, report: Report) -> None:
        """The demo is over, and everything is cleaned up."""
        ...

    def abort(self) -> None:
        """The demo was ended before its end, and everything is cleaned up."""
        ...


def bar(part: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar of `width` characters, `part` of it full; `part` outside 0 to 1 is held inside."""
    full = round(max(0.0, min(1.0, part)) * width)
    on, off = ("#", ".") if ascii_only else ("█", "░")
    return on * full + off * (width - full)


def gib(size: int) -> str:
    """Bytes as GiB with one decimal: `1.3 GiB`."""
    return f"{size / 2**30:.1f} GiB"


def closing(report: Report) -> str:
    """The last line."""
    failed = [step.name for step in report.steps if not step.ok]
    seconds = sum(step.seconds for step in report.steps)
    if failed:
        return f"This step failed: {', '.join(failed)}. Everything is cleaned up. ({seconds:.0f} s)"
    return f"All {len(report.steps)} steps well, everything cleaned up. ({seconds:.0f} s)"


class Silent:
    """Shows nothing."""

    def begin(self, title: str, note: str) -> None:
        """Nothing."""

    def working(self, title: str) -> None:
        """Nothing."""

    def done(self, title: str, step: Step) -> None:
        """Nothing."""

    def usage(self, usage: Usage) -> None:
        """Nothing."""

    def end(self, report: Report) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""


class Plain(Silent):
    """Lines, one a result, for a pipe or a log. Of the samples it shows the last."""

    def __init__(self, console: Console) -> None:
        """Write to `console`, never with colours or control codes."""
        self._console = console
        self._last: Usage | None = None

    def _line(self, text: str) -> None:
        self._console.out(text, highlight=False)

    def begin(self, title: str, note: str) -> None:
        """Title and GPU."""
        self._line(title)
        self._line(note)
        self._line("")

    def done(self, title: str, step: Step) -> None:
        """The result under its title; bars where the step had samples."""
        first, *rest = step.detail.split("\n")
        self._line(f"{'ok' if step.ok else 'FAIL':<5}{title:<{COLUMN}} {first}")
        for line in rest:
            self._line(f"     {line}")
        if self._last:
            for pod in self._last.pods:
                if pod.state == "running":
                    self._line(f"     {_plain_use(pod)}")
            self._last = None

    def usage(self, usage: Usage) -> None:
        """Kept, to be shown with the step's result."""
        self._last = usage

    def end(self, report: Report) -> None:
        """The closing line."""
        self._line("")
        self._line(closing(report))


def _plain_use(pod: PodUse) -> str:
    busy = f"GPU {bar(pod.part, 10, ascii_only=True)} {pod.part:4.0%}"
    lane = f"  {plain_lane(pod.lane)}" if pod.lane else ""
    return f"{pod.name:<12} {busy}  {gib(pod.memory_bytes)}{lane}"


def plain_lane(lane: str) -> str:
    """A lane in ASCII."""
    return lane.translate(str.maketrans("█▌·", "#+."))


def quiet_keys() -> Callable[[], None]:
    """Have the terminal echo no keys (a ^C in the midst of what is drawn); gives the way back."""
    try:
        before = termios.tcgetattr(sys.stdin)
        quiet = [*before]
        quiet[3] = before[3] & ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    except (termios.error, OSError, ValueError):  # no terminal to type on
        return lambda: None
    return lambda: termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


class Terminal:
    """A list of steps that fills from the top, and bars that move."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._console = console
        self._ascii = console.encoding.lower() not in ("utf-8", "utf8")
        self._now = ""
        self._usage: Usage | None = None
        self._keys: Callable[[], None] = lambda: None
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def begin(self, title: str, note: str) -> None:
        """Title and GPU; the live part starts."""
        self._keys = quiet_keys()
        self._console.print(Text(title, style="bold"))
        self._console.print(Text(note, style="yellow" if "emulated" in note else "green"))
        self._console.print()
        self._live.start()

    def working(self, title: str) -> None:
        """The step's title beneath the results so far."""
        self._now = title
        self._live.update(self._moving())

    def done(self, title: str, step: Step) -> None:
        """The result goes above the live part, for good."""
        first, *rest = step.detail.split("\n")
        self._live.console.print(self._result(title, first, ok=step.ok))
        for text in rest:
            self._live.console.print(Padding(Text(text, style="dim"), (0, 0, 0, 3)))
        if self._usage:
            self._live.console.print(self._bars(self._usage))
            self._usage = None
        self._now = ""
        self._live.update(self._moving())

    def usage(self, usage: Usage) -> None:
        """The bars move."""
        self._usage = usage
        self._live.update(self._moving())

    def end(self, report: Report) -> None:
        """The closing line; the live part ends."""
        self.abort()
        self._console.print()
        self._console.print(Text(closing(report), style="bold green" if report.ok else "bold red"))

    def abort(self) -> None:
        """Give the terminal back as it was."""
        self._keys()
        self._live.update(Text(""))
        self._live.stop()

    def _result(self, title: str, detail: str, *, ok: bool) -> RenderableType:
        mark = ("ok" if self._ascii else "✓", "green") if ok else ("FAIL", "bold red")
        table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
        table.add_column(width=2)
        if self._narrow:
            table.add_row(Text(*mark), Text(title, style="bold"))
            table.add_row("", Text(detail))
        else:
            table.add_column(width=COLUMN, style="bold")
            table.add_row(Text(*mark), title, Text(detail))
        return table

    @property
    def _narrow(self) -> bool:
        """No room for results beside the titles of the steps."""
        return self._console.width < NARROW

    def _moving(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._now:
            parts.append(Text(f"{'..' if self._ascii else '…'} {self._now}", style="dim"))
        if self._usage:
            parts.append(self._bars(self._usage))
        return Group(*parts)

    def _bars(self, usage: Usage) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
        for number, pod in enumerate(usage.pods):
            if pod.state == "running":
                table.add_row(*self._cells(pod, COLOURS[number % len(COLOURS)]))
        return table

    def _cells(self, pod: PodUse, colour: str) -> Iterator[Text]:
        yield Text(pod.name if self._narrow else "   " + pod.name)
        if not self._narrow:
            yield Text("GPU", style="dim")
        yield Text(bar(pod.part, 8, ascii_only=self._ascii), colour)
        yield Text(f"{pod.part:4.0%}")
        yield Text(gib(pod.memory_bytes))
        if not self._narrow:
            yield Text(plain_lane(pod.lane) if self._ascii else pod.lane, colour)
