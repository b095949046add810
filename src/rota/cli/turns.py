"""`rota turns`: the turn log, as it stands or as it grows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rota.agent.settings import default_run_dir

if TYPE_CHECKING:
    from rota.scheduling.log import Turn

LOOK = 0.25
"""Seconds between two looks for new turns."""

HEADER = f"{'AGO':>9}  {'TURN':>8}  {'WAITED':>8}  {'CLOSING':>8}  {'WHY':<9}  CLIENT"


@click.command()
@click.option(
    "--run-dir", type=click.Path(path_type=Path), default=default_run_dir,
    help="The agent's folder.  [default: /run/rota for root]",
)  # fmt: skip
@click.option("--follow", is_flag=True, help="Go on with turns as they end.")
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, help="So many turns."
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How to show them; json is one object a line.")  # fmt: skip
def command(run_dir: Path, follow: bool, last: int, output: str) -> None:
    """Show whose turn it was: when, for how long, why it ended, and how long it was waited for."""
    shown = 0
    for shown, turn in enumerate(_turns(run_dir, last, follow), 1):
        if output == "table" and shown == 1:
            click.echo(HEADER)
        click.echo(_json(turn) if output == "json" else _line(turn))
    if not shown and output == "table":
        click.echo("no turn has ended yet; a program that is alone on its GPU is never interrupted")


def _turns(run_dir: Path, last: int, follow: bool) -> Iterator[Turn]:
    from rota.gatekeeper.client import read_turns

    number = 0
    kept: list[Turn] = []
    while True:
        number, page = read_turns(run_dir, number)
        kept += page
        if not page:
            break
        kept = kept[-last:]
    yield from kept
    if follow:
        yield from _grown(run_dir, number, kept[-1].end if kept else 0.0)


def _grown(run_dir: Path, number: int, shown: float) -> Iterator[Turn]:
    """The turns after that number, for ever; each gatekeeper counts its own from 0.

    Args:
        run_dir: the agent's folder.
        number: of the next turn.
        shown: when the last turn that was shown ended.
    """
    from rota.gatekeeper.client import NoGatekeeper, read_turns

    after, answers = 0.0, True
    while True:
        time.sleep(LOOK)
        try:
            following, page = read_turns(run_dir, number)
        except NoGatekeeper:
            if answers:
                click.echo("rota: no gatekeeper answers; waiting for the next one", err=True)
            following, page, answers = -1, [], False
        else:
            answers = True
        if following < number:
            number, after = 0, shown
            continue
        number = following
        for turn in page:
            if turn.end > after:
                shown = turn.end
                yield turn


def _line(turn: Turn) -> str:
    ago = time.monotonic() - turn.end
    lengths: Iterable[float] = (turn.end - turn.start, turn.waited, turn.closing)
    columns = "  ".join(f"{length * 1000:>5.1f} ms" for length in lengths)
    return f"{ago:>7.2f} s  {columns}  {turn.why:<9}  {turn.client}"


def _json(turn: Turn) -> str:
    from rota.gatekeeper.messages import turn_message

    return json.dumps(turn_message(turn))
