"""`rota bench`: turns beside the driver's own slicing and MPS, by the programs' own records."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rota.errors import GpuError, RotaError, UsageError

if TYPE_CHECKING:
    from rota.bench.document import Document
    from rota.bench.scenarios import Scenario
    from rota.bench.slots import Slot
    from rota.model import Inventory

PROFILE = "h200"
"""What is emulated where there is no GPU."""


@click.command()
@click.option(
    "--workload",
    type=click.Choice(["ptx", "torch", "emulated"]),
    help="What the programs run.  [default: ptx, or emulated where there is no GPU]",
)
@click.option("--only", multiple=True, metavar="NAME", help="This scenario; repeatable.")
@click.option("--quick", is_flag=True, help="One short round: to see that it works.")
@click.option("--rounds", type=click.IntRange(1, 20), help="[default: 3, with --quick 1]")
@click.option(
    "--quantum", type=click.FloatRange(0.005, 10), default=0.1, show_default=True, help="Seconds."
)
@click.option("--within", type=float, metavar="SECONDS", help="Begin nothing more after that long.")
@click.option("--json", "kept", type=click.Path(path_type=Path), help="Keep every figure there.")
@click.option("--plots", type=click.Path(path_type=Path), help="Draw PNG files into this folder.")
@click.option(
    "--show", type=click.Path(path_type=Path), help="Measure nothing; show what was kept there."
)
@click.option("--page", type=click.Path(path_type=Path), help="Put the results into this page.")
@click.option("--list", "listed", is_flag=True, help="List the scenarios.")
def command(
    workload: str | None, only: tuple[str, ...], quick: bool, rounds: int | None, quantum: float,
    within: float | None, kept: Path | None, plots: Path | None, show: Path | None,
    page: Path | None, listed: bool,
) -> None:  # fmt: skip
    """Measure turns beside the driver's own slicing and MPS, on this machine.

    Each scenario runs in every way of sharing, interleaved, three rounds; the table shows what the
    programs themselves recorded. About eight minutes on a GPU that is otherwise idle. Without a GPU
    it runs on an emulated one, and says so on all that it puts out.
    """
    from rota.bench.scenarios import chosen, quicker

    if listed:
        _list(chosen(only))
        return
    if show:
        from rota.bench.document import read

        document, source = read(show), show
    else:
        scenarios = [quicker(each) if quick else each for each in chosen(only)]
        options = {"rounds": rounds or (1 if quick else 3), "quantum": quantum, "quick": quick}
        document = asyncio.run(_measure(workload, scenarios, options, within, kept))
        source = kept or Path("bench.json")
    _put_out(document, source, plots, page)
    sys.exit(1 if not document.slots or document.failures else 0)


def _list(scenarios: tuple[Scenario, ...]) -> None:
    from rota.bench.scenarios import DRIVER, OVERLAPPED

    for each in scenarios:
        lengths = f"{each.lasts(DRIVER):.1f} s, turns {each.lasts(OVERLAPPED):.1f} s"
        click.echo(f"{each.name:<14} {each.title} ({lengths})")


def _put_out(document: Document, source: Path, plots: Path | None, page: Path | None) -> None:
    from rich.console import Console

    from rota.bench.screen import show

    console = Console()
    show(document, console if console.is_terminal else Console(width=160))
    if page:
        from rota.bench.page import put, section

        text = page.read_text() if page.exists() else ""
        page.write_text(put(text, section(document, str(source))))
    if plots:
        from rota.bench.plots import draw

        for path in draw(document, plots):
            click.echo(path)


def _gpus(workload: str | None) -> tuple[str, Inventory]:
    """The workload and the GPUs that it runs on."""
    from rota.bench.devices import EMULATED, PTX, TORCH, has_torch
    from rota.emulation.profiles import parse_emulation

    if workload == TORCH and not has_torch():
        raise UsageError("PyTorch is not installed", hint="use --workload ptx")
    if workload != EMULATED:
        try:
            found = _real()
            if found.gpus:
                return workload or PTX, found
            raise GpuError("no GPU here", hint="use --workload emulated")
        except GpuError:
            if workload:
                raise
    return EMULATED, parse_emulation(PROFILE)


def _real() -> Inventory:
    from rota.agent.doors import attach_inventory

    door = attach_inventory("", Path())
    try:
        return door.inventory()
    finally:
        with suppress(RotaError):
            door.close()


async def _measure(
    workload: str | None, scenarios: list[Scenario], options: dict[str, Any],
    within: float | None, kept: Path | None,
) -> Document:  # fmt: skip
    """Play the scenarios; what there is by then is kept after each, also if a signal ends it."""
    from rota.bench.document import Document, describe_machine, keep, load
    from rota.bench.play import Run
    from rota.bench.stage import set_up

    work, inventory = _gpus(workload)
    machine = describe_machine(inventory.gpus[0].product, inventory.driver_version)
    document = Document(machine, {**options, "workload": work}, inventory.emulated)
    if inventory.emulated:
        click.echo("the GPU is emulated: the figures are the emulation's", err=True)
    until = time.monotonic() + within if within else float("inf")
    _end_on_signals()
    async with set_up(work, inventory, options["quantum"]) as stage:

        def said(slot: Slot) -> None:
            document.slots = run.slots
            document.off = {"mps": stage.mps.off} if stage.mps.off else {}
            rates = " ".join(f"{program.rate:.3f}" for program in slot.programs)
            click.echo(f"{slot.round + 1} {slot.scenario} {slot.mode}: {slot.error or rates}", err=True)  # fmt: skip
            if kept:
                keep(document, kept)

        run = Run(stage, scenarios, options["rounds"], until, said)
        await stage.measure_rate()
        with suppress(asyncio.CancelledError):
            await run.play()
        document.off = {"mps": stage.mps.off} if stage.mps.off else {}
    document.machine = {**machine, "load_after": load()}
    if kept:
        keep(document, kept)
    return document


def _end_on_signals() -> None:
    """A signal ends the measuring and what it started; what was measured is shown."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
