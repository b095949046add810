"""Which agent `rota run`, `rota ps` and `rota stop` ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rota.agent.settings import default_run_dir
from rota.errors import RotaError
from rota.jobs import client
from rota.jobs.client import Link, NoAgent
from rota.jobs.folder import LASTING

F = TypeVar("F", bound=Callable[..., Any])

SYSTEM_DIR = Path("/run/rota")

PATIENCE = 20.0
"""Seconds that an agent which is just starting, or restarting, is waited for."""

LOOK = 0.05


def run_dir_option(function: F) -> F:
    """Add `--run-dir`: another agent than the machine's or one's own."""
    return click.option(
        "--run-dir",
        type=click.Path(path_type=Path),
        envvar="ROTA_RUN_DIR",
        help="The agent's folder.  [default: /run/rota, else $XDG_RUNTIME_DIR/rota]",
    )(function)


def folders(given: Path | None) -> tuple[Path, ...]:
    """Where an agent may be, in the order in which it is looked for; the last is one's own."""
    if given is not None:
        return (given.absolute(),)
    return tuple(dict.fromkeys((SYSTEM_DIR, default_run_dir())))


def agent_of(given: Path | None) -> Link:
    """A connection to the agent that is there.

    Raises:
        NoAgent: there is none.
        RotaError: it may not be asked.
    """
    return client.find(folders(given))


def some_agent(given: Path | None, emulate: str, unused: float) -> Link:
    """A connection to the agent that is there, or to one that is started for this user.

    Raises:
        RotaError: there is none, and none can be started.
    """
    places = (default_run_dir(),) if emulate and given is None else folders(given)
    try:
        return client.find(places)
    except NoAgent:
        lasting = next((place for place in places if (place / LASTING).exists()), None)
        if lasting is not None:
            hint = (
                f"start it again (systemctl start rota); if it is gone for good, remove {lasting}"
            )
            return _soon(places, "the agent that serves here does not run", hint)
    from rota.jobs.starting import start_agent

    start_agent(places[-1], emulate, unused)
    return _soon(places, "no agent came up", f"look into {places[-1] / 'agent.log'}")


def _soon(places: tuple[Path, ...], what: str, hint: str) -> Link:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return client.find(places)
        except NoAgent:
            if time.monotonic() > end:
                raise RotaError(what, where=str(places[0]), hint=hint) from None
        time.sleep(LOOK)
