"""`rota demo`: the main job, shown on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rota.errors import GpuError, RotaError

if TYPE_CHECKING:
    from rota.demo.report import Report
    from rota.demo.scenario import Script
    from rota.demo.screen import Screen
    from rota.model import Inventory

PROFILE = "rtx4070tisuper"
"""What is emulated on a machine without a GPU: the card of the example set-up."""


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Another config than the built-in one, which makes 4 replicas of each GPU.",
)
@click.option("--pods", type=click.IntRange(1, 32), help="Size of the Deployment.")
@click.option(
    "--emulate", metavar="PROFILE[xN]", default="",
    help=f"Emulate this GPU even if there is a real one.  [default without one: {PROFILE}]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(config: Path | None, pods: int | None, emulate: str, as_json: bool) -> None:
    """Show the whole thing on this machine: one GPU, four pods, a fifth that waits.

    A kubelet (embedded), an agent, and pods that are real processes; on the NVIDIA GPU of this
    machine, or on an emulated one that says so. Takes less than a minute, needs no rights, and
    leaves nothing behind, however it is ended.
    """
    from rota.demo.scenario import Script

    text, name = _config(config)
    inventory, emulated = _gpus(emulate)
    script = Script(text, name, inventory, emulated, pods)
    report = asyncio.run(_play(script, _screen(as_json)))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    sys.exit(0 if report.ok else 1)


def _config(path: Path | None) -> tuple[str, str]:
    """The config's text and its name; a ConfigMap's manifest is opened."""
    if path is None:
        return resources.files("rota.demo").joinpath("seed.yaml").read_text(), "seed.yaml"
    from rota.config.load import read_path

    text, file, _ = read_path(path)
    return text, file


def _gpus(emulate: str) -> tuple[Inventory, str]:
    """The machine's GPUs, or emulated ones where it has none or others were asked for."""
    from rota.emulation.profiles import parse_emulation

    if emulate:
        return parse_emulation(emulate), emulate
    from rota.agent.doors import attach_inventory

    door = attach_inventory("", Path())
    try:
        found = door.inventory()
        if found.gpus:
            return found, ""
    except GpuError:
        pass
    finally:
        with contextlib.suppress(RotaError):
            door.close()
    return parse_emulation(PROFILE), PROFILE


def _screen(as_json: bool) -> Screen:
    from rich.console import Console

    from rota.demo.screen import Plain, Silent, Terminal

    if as_json:
        return Silent()
    console = Console()
    plain = not console.is_terminal or os.environ.get("TERM") == "dumb"
    return Plain(console) if plain else Terminal(console)


async def _play(script: Script, screen: Screen) -> Report:
    """Run the demo; a signal ends it, and everything it started, and exits as signals do."""
    from rota.demo.scenario import Demo

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(Demo(script, screen).run())
    got: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not got:  # a second one would cut the clearing up short
            task.cancel()
        got.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        screen.abort()
        if got:
            click.echo("rota demo: stopped; everything it started is gone", err=True)
            sys.exit(128 + got[0])
        raise
