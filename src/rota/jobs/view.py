"""What of a job is shown to whom. Pure.

A job's own user and root see everything; others see that it is there: its name, its user, and what
it holds, since that is what they wait for. Never its command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rota.jobs.job import Job, Waiting
from rota.jobs.line import Standing

LONGEST_LIST = 8
"""Jobs that a waiting message names at most."""


def may_see(caller: int, owner: int) -> bool:
    """That user may see, and end, that user's jobs."""
    return caller in (0, owner)


def listed(
    jobs: Iterable[Job],
    waiting: Iterable[Waiting],
    caller: int,
    places: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Every job as that caller may see it: those that run, then those in line.

    `places` says of jobs whose memory is not simply on the GPU where it is.
    """
    known = places or {}
    shown = [_job(job, may_see(caller, job.uid)) | _place(job, known.get(job.id)) for job in jobs]
    for place, each in enumerate(waiting, 1):
        shown.append(_waiting(each, place, may_see(caller, each.uid)))
    return shown


def standing(place: Standing) -> dict[str, Any]:
    """How it stands for one in line."""
    return {
        "position": len(place.ahead) + 1,
        "why": place.why,
        "ahead": [_named(each) for each in place.ahead[-LONGEST_LIST:]],
        "holders": [
            _named(job) | {"replicas": len(job.replicas)} for job in place.holders[:LONGEST_LIST]
        ],
        "more": max(0, len(place.holders) - LONGEST_LIST),
    }


def _named(job: Job | Waiting) -> dict[str, Any]:
    return {"id": job.id, "user": job.user}


def _job(job: Job, whole: bool) -> dict[str, Any]:
    document = _named(job) | {
        "name": job.name,
        "uid": job.uid,
        "state": job.state,
        "replicas": [replica.id for replica in job.replicas],
        "mine": whole,
    }
    if whole:
        pids = sorted(process.pid for process in job.processes)
        document |= _terms(job) | {"pid": job.root.pid, "pids": pids}
    return document


def _place(job: Job, where: Mapping[str, Any] | None) -> dict[str, Any]:
    """What paging makes of a job's state; nothing while it is on the GPU, or is being ended."""
    if where is None or job.state != "running" or where["place"] == "resident":
        return {}
    out = "paused" if where["paused"] else "paged out"
    moving = {"leaving": "paging out", "entering": "paging in", "lost": "lost"}
    return {"state": moving.get(where["place"], out), "paged_bytes": where["bytes"]}


def _waiting(each: Waiting, place: int, whole: bool) -> dict[str, Any]:
    document = _named(each) | {
        "name": each.wish.name,
        "uid": each.uid,
        "state": "waiting",
        "replicas": [],
        "wanted": each.wish.replicas,
        "position": place,
        "mine": whole,
    }
    if whole:
        document |= _terms(each) | {"pid": each.root.pid, "pids": [each.root.pid]}
    return document


def _terms(job: Job | Waiting) -> dict[str, Any]:
    wish = job.wish
    return {
        "since": job.since,
        "weight": wish.weight,
        "class": wish.job_class,
        "memory_bytes": wish.memory_bytes,
        "command": list(wish.command),
    }
