"""`rota ps`: the local jobs, one's own in full."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rota.cli.jobs_agent import agent_of, run_dir_option
from rota.config.quantities import format_duration, format_size
from rota.jobs.client import NoAgent

Row = Mapping[str, Any]

UNKNOWN = "-"


@click.command()
@click.option("--output", "-o", type=click.Choice(["table", "wide", "json"]), default="table",
              show_default=True, help="How to show them.")  # fmt: skip
@run_dir_option
def command(output: str, run_dir: Path | None) -> None:
    """List the local jobs: what they hold, and who waits.

    Of other users' jobs only the name, the user and what they hold are shown; root sees all.
    """
    try:
        with agent_of(run_dir) as link:
            link.ask("jobs")
            answer = link.answer()
    except NoAgent:
        click.echo("rota: no agent runs here, so there are no jobs", err=True)
        answer = {"jobs": [], "agent": {"devices": [], "emulate": ""}}
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    if answer["agent"]["emulate"]:
        click.echo(f"rota: the GPUs are emulated ({answer['agent']['emulate']})", err=True)
    click.echo(table(answer["jobs"], answer["agent"]["devices"], time.time(), output == "wide"))


def table(jobs: Sequence[Row], devices: Sequence[Row], now: float, wide: bool) -> str:
    """The jobs in columns; `now` is in seconds since the epoch."""
    indexes = {device["uuid"]: str(device["index"]) for device in devices}
    columns: dict[str, Callable[[Row], str]] = {
        "JOB": lambda job: str(job["id"]),
        "USER": lambda job: str(job["user"]),
        "STATE": _state,
        "REPLICAS": lambda job: str(len(job["replicas"]) or job.get("wanted", UNKNOWN)),
        "GPU": lambda job: _gpus(job, indexes),
        "AGE": lambda job: _age(job, now),
    }
    if wide:
        columns |= {
            "WEIGHT": lambda job: f"{job['weight']:g}" if job["mine"] else UNKNOWN,
            "CLASS": lambda job: job.get("class", UNKNOWN),
            "MEMORY": lambda job: _memory(job),
            "PIDS": lambda job: ",".join(map(str, job.get("pids", ()))) or UNKNOWN,
        }
    columns["COMMAND"] = _command
    rows = [list(columns), *([show(job) for show in columns.values()] for job in jobs)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    lines = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _state(job: Row) -> str:
    return f"waiting ({job['position']})" if job["state"] == "waiting" else str(job["state"])


def _gpus(job: Row, indexes: Mapping[str, str]) -> str:
    devices = dict.fromkeys(id_.partition("::")[0] for id_ in job["replicas"])
    return ",".join(indexes.get(device, device) for device in devices) or UNKNOWN


def _age(job: Row, now: float) -> str:
    if "since" not in job:
        return UNKNOWN
    seconds = max(0, round(now - job["since"]))
    return format_duration(seconds - seconds % 60 if seconds >= 3600 else seconds)


def _memory(job: Row) -> str:
    size = job.get("memory_bytes")
    return UNKNOWN if size is None else format_size(size)


def _command(job: Row) -> str:
    """On one line whatever is in it: a command may hold anything, an escape sequence too."""
    text = shlex.join(job["command"]) if "command" in job else UNKNOWN
    return "".join(sign if sign.isprintable() else "?" for sign in text)
