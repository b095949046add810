"""Pod uid and container id → names, from the log folders that the kubelet keeps on every node.

`pods/<namespace>_<pod>_<uid>/<container>/` is made before a container starts, and the link
`containers/<pod>_<namespace>_<container>-<id>.log` into it just after. Neither a namespace, a pod
nor a container can have a `_` in its name. Whatever else lies there is passed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from rota.clients.cgroup import ContainerRef

T = TypeVar("T")

ID_LENGTH = 64
"""Hex digits of a container's id. The kubelet cuts a link's name at 251 bytes, so the id of a pod
with a very long name comes shortened."""

RACY = 1_000_000_000
"""Nanoseconds for which a folder that was just changed is read again: a second change may bear the
same time as the first."""

FOLDERS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class ContainerName:
    """A container in Kubernetes' words; `container` is empty where only the pod is known."""

    namespace: str
    pod: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What one file under `containers/` tells. `uid` is empty where the link leads elsewhere."""

    id: str
    uid: str
    name: ContainerName


class LogFolders:
    """The kubelet's log folders below one folder, `/var/log` on a node."""

    def __init__(self, root: Path) -> None:
        """Nothing is read yet, and nothing need be there."""
        self._pods = Cached(root / "pods", read_pods)
        self._links = Cached(root / "containers", read_links)
        self._root = root / "pods"
        self._containers: dict[str, Cached[tuple[str, ...]]] = {}

    def find(self, ref: ContainerRef) -> ContainerName | None:
        """The names of that container, or of its pod alone; None for an unknown one.

        A container whose link is not there yet is known by its folder, if the pod has only one.
        """
        link = self._link(ref)
        if link:
            return link.name
        folder = self._pods.now({}).get(ref.pod_uid)
        if folder is None:
            return None
        namespace, pod, _ = folder.split("_")
        names = self._containers_of(folder)
        return ContainerName(namespace, pod, names[0] if len(names) == 1 else "")

    def _link(self, ref: ContainerRef) -> Link | None:
        links = self._links.now({})
        if not ref.container_id:
            return None
        if whole := links.get(ref.container_id):
            same = not (ref.pod_uid and whole.uid) or ref.pod_uid == whole.uid
            return whole if same else None
        for id_, link in links.items():
            cut = len(id_) < ID_LENGTH and link.uid and link.uid == ref.pod_uid
            if cut and ref.container_id.startswith(id_):
                return link
        return None

    def _containers_of(self, folder: str) -> tuple[str, ...]:
        if folder not in self._containers:
            if len(self._containers) >= FOLDERS_KEPT:
                self._containers.clear()
            self._containers[folder] = Cached(self._root / folder, read_containers)
        return self._containers[folder].now(())


@dataclass(slots=True)
class Cached(Generic[T]):
    """What was read from a folder, until the folder changes."""

    folder: Path
    read: Callable[[Path], T]
    _changed: int = -1
    _value: list[T] = field(default_factory=list)

    def now(self, empty: T) -> T:
        """What the folder says now; `empty` where it is not there or cannot be read."""
        now = time.time_ns()
        try:
            changed = self.folder.stat().st_mtime_ns
            if changed != self._changed or not self._value:
                self._value = [self.read(self.folder)]
                self._changed = changed if now - changed >= RACY else -1
        except OSError:
            return empty
        return self._value[0]


def read_pods(folder: Path) -> Mapping[str, str]:
    """Uid → the name of the pod's folder."""
    found = {}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are wanted
        parts = name.split("_")
        if len(parts) == 3 and all(parts):
            found[parts[2]] = name
    return found


def read_containers(folder: Path) -> tuple[str, ...]:
    """The containers of one pod's folder, by name."""
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir()))


def read_links(folder: Path) -> Mapping[str, Link]:
    """Container id → what its link tells."""
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
    return {link.id: link for name in names for link in _links(folder / name)}


def _links(path: Path) -> Iterator[Link]:
    """The link's own name has the id, the path that it leads to has the uid and is never cut."""
    pod, _, rest = path.name.removesuffix(".log").partition("_")
    namespace, _, rest = rest.partition("_")
    container, dash, id_ = rest.rpartition("-")
    if not (pod and namespace and container and dash and _is_id(id_)):
        return
    uid, name = "", ContainerName(namespace, pod, container)
    target = _target(path)
    if len(target) == 4:
        uid, name = target[2], ContainerName(target[0], target[1], target[3])
    yield Link(id_, uid, name)


def _target(path: Path) -> tuple[str, ...]:
    """Namespace, pod, uid and container of the log file that a link leads to; empty otherwise."""
    try:
        parts = path.readlink().parts[-3:]
    except OSError:
        return ()
    owner = parts[0].split("_") if len(parts) == 3 else []
    return (*owner, parts[1]) if len(owner) == 3 and all(owner) else ()


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_LENGTH and set(text) <= set("0123456789abcdef")
