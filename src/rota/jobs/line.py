"""The line that jobs wait in: who asks, the ticket that they get, and how it stands for them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from rota.errors import RotaError
from rota.jobs.job import Job, Process, Waiting
from rota.jobs.ledger import Blocked

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the kernel vouches for it."""

    process: Process
    uid: int
    user: str


@dataclass(slots=True)
class Ticket:
    """A place in line.

    Attributes:
        waiting: whose.
        job: what it became; None as long as it waits.
        refused: why it will never be served; None if it may.
        changed: set when any of this, or the line, has changed; whoever waits clears it.
    """

    waiting: Waiting
    job: Job | None = None
    refused: RotaError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands for one in line.

    Attributes:
        why: what it waits for.
        ahead: those before it, the first first.
        holders: the jobs that hold what it waits for.
    """

    why: Blocked
    ahead: tuple[Waiting, ...]
    holders: tuple[Job, ...]


def new_id(name: str, taken: Collection[str]) -> str:
    """A job's id: its name, and five letters that nobody else has."""
    while (id_ := f"{name}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}") in taken:
        pass
    return id_
