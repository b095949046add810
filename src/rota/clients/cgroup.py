"""The container of a process, read from the text of `/proc/<pid>/cgroup`. Pure.

Every runtime, cgroup driver and cgroup version writes its own path, and nesting puts prefixes before
it. Common to all: a part that ends in `pod<uid>`, and after it a part that holds the container's id
of 64 hex digits. A reader in a cgroup namespace of its own sees the path from there
(`/../../pod<uid>/<id>`), so what comes before those two parts counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
_POD = re.compile(rf"(?:.*-)?pod({_UID})(?:\.slice)?")
_CONTAINER = re.compile(r"(?:(?:cri-containerd|crio|docker|libpod)-)?([0-9a-f]{64})(?:\.scope)?")
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class ContainerRef:
    """A container as its cgroup names it; one of the two may be empty, never both.

    Attributes:
        pod_uid: the pod's uid with dashes; 32 hex digits for a static pod, whose uid is a hash.
            Empty outside Kubernetes, or where a cgroup namespace hides it.
        container_id: 64 hex digits; empty for a process in the pod's own cgroup.
    """

    pod_uid: str
    container_id: str


def candidates(text: str) -> tuple[ContainerRef, ...]:
    """All containers that the text can mean, best first, each once.

    Those of a pod come before those of none, and the outer before the inner: a container may make
    cgroups below its own and name them as it likes, but none above.
    """
    found = [ref for line in text.splitlines() for ref in _of_path(_path(line))]
    return tuple(dict.fromkeys(sorted(found, key=_rank)))


def parse(text: str) -> ContainerRef | None:
    """The container that the text means; None for a process in no container."""
    return next(iter(candidates(text)), None)


def _path(line: str) -> str:
    """The path of `hierarchy:controllers:path`, which may hold colons itself."""
    return line.split(":", 2)[-1].removesuffix(_DELETED)


def _of_path(path: str) -> Iterator[ContainerRef]:
    """Outer before inner. A pod's container is the first one below the pod."""
    pod = ""
    for part in re.split("[/:]", path):
        if above := _POD.fullmatch(part):
            if pod:
                yield ContainerRef(pod, "")
            pod = above[1].replace("_", "-")
        elif container := _CONTAINER.fullmatch(part):
            yield ContainerRef(pod, container[1])
            pod = ""
    if pod:
        yield ContainerRef(pod, "")


def _rank(ref: ContainerRef) -> int:
    return 0 if ref.pod_uid and ref.container_id else 1 if ref.pod_uid else 2
