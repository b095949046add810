"""Host memory as a copy of GPU memory needs it: what is free of the host and of each cgroup.

A copy lands in the memory of the process whose it is, so it is charged to that one's cgroup and to
every one above. A limit that cannot be seen is taken to be used up: a pod that is paged out past its
limit is killed, and one that stays on the GPU only keeps others waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

HOST = "host"
"""The level of the host itself."""

UNSEEN = "a cgroup that cannot be seen"
"""The level of a process whose cgroup is out of our sight: nothing is free there."""

Parts: TypeAlias = tuple[str, ...]

UNLIMITED = 1 << 60
"""Bytes from which on a limit is none (version 1 writes the largest number of pages)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where memory cgroups are.

    Attributes:
        place: the folder.
        root: which cgroup it shows.
        version: 1 or 2.
    """

    place: Path
    root: str
    version: int


class Host:
    """Reads one machine. Every method may block for milliseconds.

    Args:
        proc: its /proc.
        top: before the folders that /proc names.
    """

    def __init__(self, proc: Path = Path("/proc"), top: Path = Path("/")) -> None:
        self._proc, self._top = proc, top
        self._owns: dict[Mount, Parts | None] = {}

    def total(self) -> int:
        """Memory of the host in bytes; 0 where /proc does not tell."""
        return self._meminfo().get("MemTotal", 0)

    def levels(self, pids: Iterable[int]) -> tuple[str, ...]:
        """What copies of these processes are charged to: the host, and each of their cgroups."""
        mounts = self._mounts()
        found = {HOST: None}
        for pid in pids:
            found |= dict.fromkeys(self._of(pid, mounts))
        return tuple(found)

    def free(self, levels: Iterable[str]) -> dict[str, int]:
        """Level → bytes free, of those that have a limit."""
        found: dict[str, int] = {}
        for level in levels:
            room = self._meminfo().get("MemAvailable", 0) if level == HOST else _room(level)
            if room is not None:
                found[level] = room
        return found

    def _meminfo(self) -> Mapping[str, int]:
        lines = _text(self._proc / "meminfo").splitlines()
        pairs = (line.split(":", 1) for line in lines if line.endswith("kB"))
        return {name: int(value.split()[0]) * 1024 for name, value in pairs}

    def _mounts(self) -> list[Mount]:
        """Those with memory, the widest view first: version 1 has a hierarchy of its own for it."""
        found = []
        for line in _text(self._proc / "self" / "mountinfo").splitlines():
            left, _, right = line.partition(" - ")
            words, kind = left.split(), right.split()
            if len(words) < 5 or len(kind) < 3:
                continue
            place = self._top / words[4].lstrip("/")
            if kind[0] == "cgroup2":
                found.append(Mount(place, words[3], 2))
            elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
                found.append(Mount(place, words[3], 1))
        return sorted(found, key=lambda mount: -mount.root.count(".."))

    def _of(self, pid: int, mounts: Iterable[Mount]) -> list[str]:
        """The cgroups of a process that have a limit, its own first."""
        paths = _paths(_text(self._proc / str(pid) / "cgroup"))
        found: list[str] = []
        for version in {mount.version for mount in mounts} & paths.keys():
            shown = (self._chain(m, paths[version]) for m in mounts if m.version == version)
            found += next((chain for chain in shown if chain), [UNSEEN])
        return found if paths else [UNSEEN]

    def _chain(self, mount: Mount, path: str) -> list[str]:
        """The folders of a cgroup and of all above it that the mount shows; none where it cannot."""
        names = self._below(mount, PurePosixPath(path).parts[1:])
        if names is None or not mount.place.joinpath(*names).is_dir():
            return []
        return [str(mount.place.joinpath(*names[:depth])) for depth in range(len(names), -1, -1)]

    def _below(self, mount: Mount, path: Parts) -> Parts | None:
        """Where a cgroup is below the mount."""
        root = PurePosixPath(mount.root).parts[1:]
        if path[: len(root)] == root and ".." not in path[len(root) :]:
            return path[len(root) :]
        if not root or set(root) != {".."}:
            return None
        own = self._own(mount, len(root))
        up = next((n for n, name in enumerate(path) if name != ".."), len(path))
        return (*own[: len(own) - up], *path[up:]) if own and up <= len(own) else None

    def _own(self, mount: Mount, depth: int) -> Parts | None:
        """The names of our own cgroup namespace's root, so deep below the mount.

        In a container `/proc` tells cgroups from there, `/../../pods/x`, and does not name what is
        above. But we are in it, and the kernel tells who is in a cgroup.
        """
        if mount not in self._owns:
            inside = _paths(_text(self._proc / "self" / "cgroup")).get(mount.version, "/")
            me = str(os.getpid())
            self._owns[mount] = next(
                (
                    folder.relative_to(mount.place).parts
                    for folder in mount.place.glob("/".join(["*"] * depth))
                    if me in _text(folder / inside.lstrip("/") / "cgroup.procs").split()
                ),
                None,
            )
        return self._owns[mount]


def _paths(text: str) -> dict[int, str]:
    """Version → the path of a process's memory cgroup."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            found[2] = path
        elif "memory" in controllers.split(","):
            found[1] = path
    return found


def _room(level: str) -> int | None:
    """What is free of a cgroup's limit, its idle file cache included; None without a limit."""
    if level == UNSEEN:
        return 0
    folder = Path(level)
    limit = _limit(folder)
    if limit is None:
        return None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    return max(0, limit - max(0, used - _cache(folder)))


def _limit(folder: Path) -> int | None:
    """The lowest that is written there: `memory.high` makes a program crawl before `max` ends it."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    said = [limit for name in names if (limit := _number(folder / name)) is not None]
    return min((limit for limit in said if limit < UNLIMITED), default=None)


def _cache(folder: Path) -> int:
    """Pages of files that the kernel can give up at once; version 1 says `total_` for all below."""
    pairs = (line.partition(" ") for line in _text(folder / "memory.stat").splitlines())
    said = {name: int(value) for name, _, value in pairs if value.isdecimal()}
    return said.get("total_inactive_file", said.get("inactive_file", 0))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
