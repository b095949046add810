"""`rota trace`: the turns of the next seconds as a file for Perfetto, or as a picture."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rota.cli.figures_agent import agent_options, figures_of
from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.figures.reader import Reader

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True,
              help="For how long; an interrupt ends it early.")  # fmt: skip
@click.option("-o", "--output", type=_FILE, metavar="F.json",
              help="The trace.  [default: rota-trace.json, unless there is a --plot]")  # fmt: skip
@click.option("--plot", type=_FILE, metavar="F.png",
              help="Draw it; needs matplotlib.")  # fmt: skip
@click.option("--from", "source", type=_FILE, metavar="F.json",
              help="Draw this trace; ask no agent.")  # fmt: skip
@agent_options
def command(
    seconds: float,
    output: Path | None,
    plot: Path | None,
    source: Path | None,
    run_dir: Path | None,
    address: str | None,
    token_file: Path | None,
    ca: Path | None,
) -> None:
    """Record whose turn it is, and write it for https://ui.perfetto.dev or chrome://tracing.

    A track a client: its turns, its waits, the closing of its gates, and what it is where there are
    no turns (ungated, paged). Counters: utilisation and memory of each GPU and client.
    """
    from rota.trace.plot import plotter

    if source and (output or not plot):
        raise UsageError("reads a trace to draw it", where="--from", hint="--plot F.png, and no -o")
    pyplot = plotter() if plot else None  # said before, not after, the seconds are spent
    if source:
        trace = _load(source)
    else:
        trace = _record(figures_of(run_dir, address, token_file, ca), seconds)
        _keep(trace, output or (None if plot else Path("rota-trace.json")))
    if plot:
        _draw(trace, plot, pyplot)


def _record(reader: Reader, seconds: float) -> dict[str, Any]:
    from rota.trace.chrome import document
    from rota.trace.recording import record

    recording = record(reader, seconds, time.monotonic, time.sleep)
    if recording.snapshots[-1].emulated:
        click.echo("rota: the GPUs are emulated, and so are the figures", err=True)
    if recording.lost:
        click.echo(f"rota: {recording.lost} turns were gone before they could be read", err=True)
    length = recording.end - recording.begin
    click.echo(f"rota: {len(recording.turns)} turns in {length:.1f} s", err=True)
    return document(recording)


def _keep(trace: dict[str, Any], path: Path | None) -> None:
    from rota.trace.chrome import to_text

    if path:
        try:
            path.write_text(to_text(trace))
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
        click.echo(path)


def _draw(trace: dict[str, Any], path: Path, pyplot: Any) -> None:
    from rota.trace.lanes import read
    from rota.trace.plot import draw

    try:
        draw(read(trace), path, pyplot)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
    click.echo(path)


def _load(path: Path) -> dict[str, Any]:
    from rota.trace.lanes import TraceError

    try:
        trace: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise TraceError(f"not JSON: {error}", where=str(path)) from None
    return trace
