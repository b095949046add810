"""The whole screen as lines of text: GPUs with bars, then clients. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle
from string import ascii_letters

from rich.text import Text

from rota.figures.model import ClientFigures, GpuFigures, Snapshot, State
from rota.figures.palette import colours
from rota.top import cells
from rota.top.bars import GREY, Look, Part, bar, curve, fit
from rota.top.choice import HELP, Choice

HISTORY = 120
"""Snapshots of which the curve of a client's GPU % is made, a second each."""

COMPACT = 3
"""GPUs that have room for a block of lines each; with more, each has one line."""

_LEFT = ("NAMESPACE", "USER", "POD", "JOB", "STATE", "CLASS", "CONTAINER", "PIDS")

Key = tuple[str, str]


@dataclass(slots=True)
class History:
    """The last GPU % of each client, 0 to 1."""

    values: dict[Key, deque[float]] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Take in one more snapshot; who is no longer there is forgotten."""
        before = self.values
        self.values = {}
        for one in snapshot.clients:
            key = (one.client, one.gpu)
            self.values[key] = before.get(key) or deque(maxlen=HISTORY)
            self.values[key].append(one.utilization)


@dataclass(frozen=True, slots=True)
class Painter:
    """Makes lines of a snapshot.

    Attributes:
        width: of the terminal, in characters.
        look: what it can show.
        wide: all columns, however wide they get.
    """

    width: int = 80
    look: Look = field(default_factory=Look)
    wide: bool = False

    def lines(self, snapshot: Snapshot, choice: Choice, history: History | None) -> Iterator[Text]:
        """The screen from top to bottom, without a footer."""
        marks = _marks(snapshot.clients, self.look)
        yield self._head(snapshot, choice)
        one = self._line if len(snapshot.gpus) > COMPACT else self._block
        for gpu in snapshot.gpus:
            yield from one(gpu, [c for c in snapshot.clients if c.gpu == gpu.uuid], marks)
        yield Text()
        shown = choice.of(snapshot.clients)
        yield from self._table(snapshot, shown, marks, history)
        yield from self._notes(snapshot, shown)

    def footer(self, choice: Choice) -> Text:
        """What keys there are, and what they have done."""
        if choice.typing:
            return Text(f"filter: {choice.text}_   Enter keeps it, Esc leaves it")
        order = f"sort: {choice.order}{' reversed' * choice.reverse}"
        chosen = f"  filter: {choice.text} (Esc)" if choice.text else ""
        paused = "  PAUSED" * choice.paused
        line = fit(f"{HELP}   {order}{chosen}{paused}", self.width, self.look)
        return Text(line, style=GREY if self.look.colour else "")

    def _head(self, snapshot: Snapshot, choice: Choice) -> Text:
        when = datetime.fromtimestamp(snapshot.at).strftime("%H:%M:%S")
        said = f"rota top  {snapshot.node or 'this machine'}  {when}"
        said += f"  namespace {choice.namespace}" if choice.namespace else ""
        head = Text(said, style="bold")
        if snapshot.emulated:
            head.append("  emulated GPUs: these figures are the emulation's", style="italic")
        head.truncate(self.width)
        return head

    def _block(
        self, gpu: GpuFigures, clients: Sequence[ClientFigures], marks: Mapping[Key, Part]
    ) -> Iterator[Text]:
        vitals = _vitals(gpu, self.look)
        title = f"GPU {gpu.index}  {gpu.product}"
        room = max(0, self.width - len(vitals) - 2)
        yield Text(f"{fit(title, room, self.look):<{room}}  {vitals}".rstrip(), style="bold")
        width = max(10, min(60, self.width - 48))
        beside = Text(f" {cells.percent(gpu.utilization):>4}  {self._turn(gpu, clients)}")
        yield self._joined("  time   ", bar(_time(clients, marks), width, self.look), beside)
        memory = bar(_memory(gpu, clients, marks, self.look), width, self.look)
        held = f", {cells.gib(gpu.ballast_bytes)} held back" if gpu.ballast_bytes else ""
        total = cells.gib(gpu.memory_total_bytes)
        yield self._joined("  memory ", memory, Text(f" {_used(gpu)} of {total} GiB{held}"))
        for trouble in _troubles(gpu):
            yield Text(f"  {trouble}", style="bold" if self.look.colour else "")

    def _line(
        self, gpu: GpuFigures, clients: Sequence[ClientFigures], marks: Mapping[Key, Part]
    ) -> Iterator[Text]:
        width = max(8, (self.width - 34) // 2)
        line = Text(f"{gpu.index:>2} ")
        line.append_text(bar(_time(clients, marks), width, self.look))
        line.append(f" {cells.percent(gpu.utilization):>4}  ")
        line.append_text(bar(_memory(gpu, clients, marks, self.look), width, self.look))
        line.append(f" {_used(gpu)}/{cells.gib(gpu.memory_total_bytes)}G")
        yield line
        for trouble in _troubles(gpu):
            yield Text(f"   {trouble}", style="bold" if self.look.colour else "")

    def _joined(self, title: str, drawn: Text, beside: Text) -> Text:
        line = Text(title)
        line.append_text(drawn)
        line.append_text(beside)
        line.truncate(max(self.width, 40))
        return line

    def _turn(self, gpu: GpuFigures, clients: Iterable[ClientFigures]) -> str:
        waiting = f"{len(gpu.waiting)} wait" + "s" * (len(gpu.waiting) == 1)
        names = {one.client: cells.name(one) for one in clients}
        if gpu.turns_off or gpu.turns_mode != "exclusive":
            return "no turns"
        holder = fit(names.get(gpu.holder, gpu.holder), 18, self.look)
        said = f"turn: {holder}" if gpu.holder else "nobody's turn"
        return f"{said}, {waiting}" if gpu.waiting else said

    def _table(
        self,
        snapshot: Snapshot,
        shown: Sequence[ClientFigures],
        marks: Mapping[Key, Part],
        history: History | None,
    ) -> Iterator[Text]:
        if not shown:
            yield Text("no client" + " is like that" * bool(snapshot.clients))
            return
        columns = cells.columns(shown, snapshot.gpus, self.wide)
        rows = [[cells.plain(cell(one)) for cell in columns.values()] for one in shown]
        widths = self._widths(list(columns), rows)
        room = self.width - 2 - sum(widths) - 2 * len(widths)
        curves = self._curves(shown, history, room)
        title = f"  {'GPU% OF LATE':>{room}}" if curves and room >= 12 else ""
        heading = self._row(list(columns), list(columns), widths)
        yield Text(f"  {heading}{title}", style="bold")
        for one, row in zip(shown, rows, strict=True):
            mark = marks[one.client, one.gpu]
            shade = mark.colour if self.look.colour else ""
            line = Text()
            line.append(mark.sign + " ", style=shade)
            line.append(self._row(list(columns), row, widths), style=_style(one, self.look))
            line.append(curves.get((one.client, one.gpu), ""), style=shade)
            yield line

    def _curves(
        self, shown: Iterable[ClientFigures], history: History | None, room: int
    ) -> dict[Key, str]:
        """GPU % of the last seconds, against the highest that any client on screen had."""
        if self.wide or history is None or room < 5:
            return {}
        values = {key: list(history.values.get(key, ())) for key in _keys_of(shown)}
        most = max([0.1, *(value for each in values.values() for value in each[-room:])])
        return {
            key: "  " + curve([value / most for value in each], room, self.look)
            for key, each in values.items()
        }

    def _widths(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
        """Each column as wide as it needs to be; then who and what give way to the rest."""
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        over = 2 + sum(widths) + 2 * (len(widths) - 1) - self.width
        if not self.wide and over > 0:
            spare = max(0, widths[0] - 9)
            widths[0] -= min(spare, over)
            widths[1] = max(8, widths[1] - max(0, over - spare))
        return widths

    def _row(self, titles: Sequence[str], row: Sequence[str], widths: Sequence[int]) -> str:
        parts = [
            fit(text, width, self.look).ljust(width)
            if title in _LEFT
            else fit(text, width, self.look).rjust(width)
            for title, text, width in zip(titles, row, widths, strict=True)
        ]
        return "  ".join(parts).rstrip() if titles[-1] in _LEFT else "  ".join(parts)

    def _notes(self, snapshot: Snapshot, shown: Iterable[ClientFigures]) -> Iterator[Text]:
        """Why what is not as it should be is not."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for one in shown:
            if one.why and not any(one.why == gpu.turns_off for gpu in snapshot.gpus):
                reasons.setdefault((one.state, one.why), []).append(cells.name(one))
        for (state, why), names in reasons.items():
            yield Text(cells.plain(f"{state}: {', '.join(names)}: {why}"))
        for said in (snapshot.own.gatekeeper_problem, snapshot.own.config_refused_now):
            if said:
                yield Text(cells.plain(said), style="bold")


def _keys_of(clients: Iterable[ClientFigures]) -> list[Key]:
    return [(one.client, one.gpu) for one in clients]


def _marks(clients: Iterable[ClientFigures], look: Look) -> dict[Key, Part]:
    """The character and the colour of each client, in rows and bars."""
    found, known = {}, list(clients)
    shades = colours(one.client for one in known)
    letters = dict(zip(sorted(shades), cycle(ascii_letters), strict=False))
    for one in known:
        sign = ("█" if look.unicode else "#") if look.colour else letters[one.client]
        found[one.client, one.gpu] = Part(0.0, sign, shades[one.client])
    return found


def _time(clients: Iterable[ClientFigures], marks: Mapping[Key, Part]) -> list[Part]:
    return [marks[c.client, c.gpu]._replace(size=c.utilization) for c in clients]


def _memory(
    gpu: GpuFigures, clients: Iterable[ClientFigures], marks: Mapping[Key, Part], look: Look
) -> list[Part]:
    total = gpu.memory_total_bytes or 0
    if not total:
        return []
    parts = [marks[c.client, c.gpu]._replace(size=c.memory_bytes / total) for c in clients]
    return [*parts, Part(gpu.ballast_bytes / total, look.held, GREY)]


def _used(gpu: GpuFigures) -> str:
    """What others than Rota use, in GiB."""
    used = gpu.memory_used_bytes
    return cells.gib(None if used is None else max(0, used - gpu.ballast_bytes))


def _vitals(gpu: GpuFigures, look: Look) -> str:
    degree = " °C" if look.unicode else " C"
    warm, watts = gpu.temperature_celsius, gpu.power_watts
    parts = [f"{warm:.0f}{degree}" if warm is not None else ""]
    if watts is not None:
        limit = f" of {gpu.power_limit_watts:.0f}" if gpu.power_limit_watts is not None else ""
        parts.append(f"{watts:.0f}{limit} W")
    return "  ".join(part for part in parts if part)


def _troubles(gpu: GpuFigures) -> Iterator[str]:
    if not gpu.healthy:
        yield cells.plain(f"not healthy: {gpu.why_unhealthy}")
    if gpu.turns_off:
        yield cells.plain(f"no turns: {gpu.turns_off}")


def _style(one: ClientFigures, look: Look) -> str:
    if one.state is State.TURN:
        return "bold"
    faint = one.state in (State.IDLE, State.ABSENT) and look.colour
    return GREY if faint else ""
