"""Whose a process is. Pure.

A process belongs to the job that it is the root of; else to the one that its environment names, if
it runs as the job's user; else to its parent's job; else to the one that it was seen in before. So a
child that empties its environment stays in, one that leaves its parents stays in, and only one that
does both before anybody looked is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rota.jobs.job import Process
from rota.jobs.processes import Seen


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of one job.

    Attributes:
        job: its id.
        uid: whose it is.
        root: its first process; None once that has become another job's, or has ended.
        known: its processes as they were last seen.
    """

    job: str
    uid: int
    root: Process | None
    known: frozenset[Process] = frozenset()


def assign(seen: Iterable[Seen], claims: Iterable[Claim]) -> Mapping[str, frozenset[Process]]:
    """Job → its living processes; each process is of one job at most."""
    claims = tuple(claims)
    world = _World({one.process.pid: one for one in seen}, claims)
    found: dict[str, set[Process]] = {claim.job: set() for claim in claims}
    for pid, one in world.by_pid.items():
        if job := world.job_of(pid):
            found[job].add(one.process)
    return {job: frozenset(processes) for job, processes in found.items()}


class _World:
    def __init__(self, by_pid: Mapping[int, Seen], claims: tuple[Claim, ...]) -> None:
        self.by_pid = by_pid
        self._claims = {claim.job: claim for claim in claims}
        self._roots = {claim.root: claim.job for claim in claims if claim.root}
        self._known = {process: claim.job for claim in claims for process in claim.known}
        self._answers: dict[int, str] = {}

    def job_of(self, pid: int) -> str:
        """The job of a process; empty for none. Parents are asked before their children."""
        line: list[int] = []
        while pid in self.by_pid and pid not in self._answers:
            self._answers[pid] = ""  # also ends a circle, which a changing /proc can show
            line.append(pid)
            pid = self.by_pid[pid].parent
        above = self._answers.get(pid, "")
        for each in reversed(line):
            one = self.by_pid[each]
            above = self._own(one) or above or self._known.get(one.process, "")
            self._answers[each] = above
        return self._answers[line[0]] if line else above

    def _own(self, one: Seen) -> str:
        """By what the process itself shows."""
        if one.process in self._roots:
            return self._roots[one.process]
        claim = self._claims.get(one.mark)
        return claim.job if claim and claim.uid == one.uid else ""
