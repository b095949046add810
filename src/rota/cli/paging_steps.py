"""What `rota pause` and `rota resume` share: asking the agent, and showing how it goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rota.cli.jobs_agent import agent_of
from rota.memory.sizes import shown

_DONE = {"out": "paged out", "resident": "on the GPU again"}


def page(op: str, job: str, run_dir: Path | None) -> None:
    """Ask for a page-out or page-in, and wait until it is done."""
    with agent_of(run_dir) as link:
        link.ask(op, job=job)
        live = sys.stderr.isatty()
        step: dict[str, Any] = {}
        size = 0
        for answer in link.answers():
            step = answer["paging"]
            size = step["bytes"] or size
            if live and not step["done"]:
                click.echo(f"\r\033[K{_progress(step)}", err=True, nl=False)
        if live:
            click.echo("\r\033[K", err=True, nl=False)
    much = f", {shown(size)}" if size else ""
    done = _DONE.get(step["place"], step["place"])
    click.echo(f"{step['job']} {done}{much}, in {step['seconds']:.1f} s")


def _progress(step: dict[str, Any]) -> str:
    """What is going on now, on one line."""
    if step["short"]:
        return f"{step['job']} waits for {shown(step['short'])} of GPU memory"
    doing = {"leaving": "is going out", "entering": "is coming back"}.get(step["place"], "waits")
    return f"{step['job']} {doing}: {shown(step['bytes'])}, {step['seconds']:.0f} s"
