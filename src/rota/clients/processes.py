"""What /proc knows of a process on a GPU: since when it runs, under whom, and in which container.

Only the pids that are asked for and their ancestors are looked at. What was read of a pid counts
only if the process that had it before still has it afterwards. A process that ends meanwhile, or
that this user may not look into, has fewer facts and never makes an error.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rota.clients import cgroup
from rota.clients.cgroup import ContainerRef
from rota.clients.picture import ProcessKey
from rota.kubelet.marks import CONTAINER_MARK, POD_MARK

JOB_MARK = "ROTA_JOB"
"""In the environment of every process of a local job: the job's name."""

_MARKS = tuple(name.encode() + b"=" for name in (POD_MARK, CONTAINER_MARK, JOB_MARK))
_SHIM = b"/kubelet/embedded/shim.py"
_SHUT = frozenset({errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM})
_PART = 1 << 16
_MOST = 1 << 22
_DEEPEST = 256
_LINKS = 256
_FIELDS = 50
_IMAGE = (25, 45, 47)
"""Of `stat` after the name: start of the stack, of the arguments, of the environment."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process as it is now.

    Attributes:
        key: pid and start time.
        parent: the parent's pid; changes when the parent ends.
        session: the session's id, which is the pid of the process that opened it.
        state: the kernel's letter: R, S, D, T (stopped), t (traced), …
        owner: effective uid; 0 for one that may not be dumped.
    """

    key: ProcessKey
    parent: int
    session: int
    state: str
    owner: int

    @property
    def stopped(self) -> bool:
        """It was stopped by a signal or a debugger: it runs no code, and drains nothing."""
        return self.state in "Tt"


@dataclass(frozen=True, slots=True)
class Trail:
    """Everything by which a process can be traced to a client.

    Attributes:
        facts: of the process itself.
        ancestors: nearest first.
        refs: what its cgroup can mean, best first.
        mark: the embedded kubelet's container, as the environment tells it.
        job: the local job, as the environment tells it; empty if none.
    """

    facts: ProcessFacts
    ancestors: tuple[ProcessKey, ...] = ()
    refs: tuple[ContainerRef, ...] = ()
    mark: ContainerRef | None = None
    job: str = ""


class Processes:
    """Reads one /proc."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        """Nothing is read yet."""
        self._root = root

    def facts(self, pid: int) -> ProcessFacts | None:
        """The process now; None if it has ended (a zombie has) or cannot be seen.

        Raises:
            OSError: /proc could not be read for a reason that is not the process's, such as too
                many open files.
        """
        text, owner = self._read(pid, "stat")
        return _facts(pid, text, owner)

    def hidden(self, pid: int) -> bool:
        """There is such a process, though /proc does not show it (hidepid)."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        return not self._read(pid, "stat")[0]

    def trail(self, facts: ProcessFacts) -> Trail:
        """Where that process comes from. Errors as `facts`."""
        line = tuple(self._ancestors(facts))
        refs = cgroup.candidates(self._text(facts.key, "cgroup").decode(errors="replace"))
        marks = self._marks((facts.key, *line))
        mark = ContainerRef(marks.get(POD_MARK, ""), marks.get(CONTAINER_MARK, ""))
        known = mark if mark.pod_uid or mark.container_id else None
        return Trail(facts, line, refs, known, marks.get(JOB_MARK, ""))

    def pids(self) -> set[int]:
        """Of all processes that can be seen. Errors as `facts`."""
        names = os.listdir(self._root)  # noqa: PTH208 - names are wanted
        return set(map(int, filter(str.isdecimal, names)))

    def last_pid(self) -> str:
        """The pid given out last, also to a thread; empty where nobody tells. Errors as `facts`."""
        try:
            file = os.open(f"{self._root}/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return _nothing(error, "")
        try:
            return os.read(file, 128).decode().split()[-1]
        finally:
            os.close(file)

    def open_files(self, pid: int) -> int:
        """How many files it has open; 0 where the kernel (before 6.2) or the process hides it."""
        try:
            return os.stat(f"{self._root}/{pid}/fd").st_size  # noqa: PTH116 - ten times faster
        except OSError as error:
            return _nothing(error, 0)

    def links(self, pid: int) -> set[str]:
        """What its open files are, by path: of the first 256. Empty where it is shut or gone.

        Errors as `facts`.
        """
        found: set[str] = set()
        try:
            with os.scandir(f"{self._root}/{pid}/fd") as files:
                names = [file.path for file in islice(files, _LINKS)]
        except OSError as error:
            return _nothing(error, found)
        for name in names:
            try:
                found.add(os.readlink(name))  # noqa: PTH115 - ten times faster
            except OSError as error:
                _nothing(error, None)
        return found

    def parent_of_copy(self, pid: int) -> int | None:
        """The parent of a process that was forked and has executed nothing since; else None.

        Both have the same stack and environment at the same addresses, which no two programs have.
        """
        text, _ = self._read(pid, "stat")
        fields = text.rpartition(b")")[2].split()
        if len(fields) < _FIELDS or fields[25] == b"0":
            return None
        above, _ = self._read(int(fields[1]), "stat")
        others = above.rpartition(b")")[2].split()
        same = len(others) >= _FIELDS and all(fields[i] == others[i] for i in _IMAGE)
        return int(fields[1]) if same else None

    def children(self) -> Mapping[int, tuple[ProcessKey, ...]]:
        """Pid → its children, of all processes that can be seen. Reads all of /proc."""
        found: dict[int, list[ProcessKey]] = {}
        for name in os.listdir(self._root):  # noqa: PTH208 - names are wanted
            if name.isdecimal() and (facts := self.facts(int(name))):
                found.setdefault(facts.parent, []).append(facts.key)
        return {pid: tuple(sorted(children)) for pid, children in found.items()}

    def _ancestors(self, facts: ProcessFacts) -> Iterator[ProcessKey]:
        for _ in range(_DEEPEST):
            above = self.facts(facts.parent) if facts.parent > 0 else None
            if above is None:
                return
            yield above.key
            facts = above

    def _marks(self, line: tuple[ProcessKey, ...]) -> Mapping[str, str]:
        """The marks of the nearest process of a line that has any.

        A process of an embedded pod that emptied its environment and left its parents hangs below
        the pod's shim, which has no marks, beside processes that have them.
        """
        for key in line:
            if found := self._marks_of(key):
                return found
        shim = next((key.pid for key in line if self._is_shim(key)), None)
        if shim is None:
            return {}
        return next(filter(None, map(self._marks_of, self.children().get(shim, ()))), {})

    def _marks_of(self, key: ProcessKey) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in self._text(key, "environ").split(b"\0"):
            if entry.startswith(_MARKS):
                name, _, value = entry.decode(errors="replace").partition("=")
                found.setdefault(name, value)
        return found

    def _is_shim(self, key: ProcessKey) -> bool:
        words = self._text(key, "cmdline").split(b"\0")
        return any(word.endswith(_SHIM) for word in words)

    def _text(self, key: ProcessKey, name: str) -> bytes:
        """A file of that process; empty where it is shut, or the pid is another's by now."""
        text, _ = self._read(key.pid, name)
        now = self.facts(key.pid) if text else None
        return text if now and now.key == key else b""

    def _read(self, pid: int, name: str) -> tuple[bytes, int]:
        """A file and its owner; empty where the process is gone or shut."""
        file = -1
        try:
            file = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            text = os.read(file, _PART)
            while text and len(text) < _MOST and (part := os.read(file, _PART)):
                text += part
            return text, os.fstat(file).st_uid
        except OSError as error:
            if error.errno not in _SHUT:
                raise
            return b"", 0
        finally:
            if file >= 0:
                os.close(file)


def _nothing(error: OSError, value: _T) -> _T:
    """That value where a process is gone or shut; any other error is raised."""
    if error.errno not in _SHUT:
        raise error
    return value


def _facts(pid: int, stat: bytes, owner: int) -> ProcessFacts | None:
    fields = stat.rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X", b"x"):
        return None
    return ProcessFacts(
        ProcessKey(pid, int(fields[19])),
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0].decode(),
        owner=owner,
    )
