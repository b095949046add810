"""`rota gatekeeper`: the process that runs the turns, where it has a container of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from rota.agent.settings import default_run_dir


@click.command()
@click.option(
    "--run-dir", type=click.Path(path_type=Path), default=default_run_dir,
    help="The folder shared with the agent.  [default: /run/rota for root]",
)  # fmt: skip
@click.option("--emulated", type=click.Path(path_type=Path), help="The folder of an emulated GPU.")
@click.option("--linger", type=float, help="End after so many seconds without an agent.")
def command(run_dir: Path, emulated: Path | None, linger: float | None) -> None:
    """Run the turns and own the gates, for an agent that is another process.

    The agent starts one by itself; this is for where each has a container of its own (the agent is
    told so with --gatekeeper-elsewhere). However it ends, every gate is opened.
    """
    from rota.gatekeeper.doors import gate_door, memory_doors
    from rota.gatekeeper.process import run

    run(run_dir, gate_door(emulated), linger, partial(memory_doors, emulated))
