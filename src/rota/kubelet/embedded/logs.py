"""The kubelet's log folders, laid out as on a node, so that what joins pods by them can be tested.

`pods/<ns>_<pod>_<uid>/<container>/<attempt>.log` holds the text, and a symlink to it named
`containers/<pod>_<ns>_<container>-<id>.log` tells the container id. A node's runtime puts a time
before each line; here the text is what the process wrote.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from rota.kubelet.embedded.spec import PodSpec

LONGEST_NAME = 251
"""A symlink's name without `.log`; the kubelet cuts longer ones."""


class Logs:
    """The log files of all pods below one folder."""

    def __init__(self, folder: Path) -> None:
        self._pods = folder / "pods"
        self._containers = folder / "containers"

    def prepare(self) -> None:
        """Make the folders."""
        self._pods.mkdir(parents=True, exist_ok=True)
        self._containers.mkdir(parents=True, exist_ok=True)

    def open(
        self, pod: PodSpec, uid: str, container: str, attempt: int, container_id: str
    ) -> BinaryIO:
        """A new log for one start of a container; the link of its last start goes.

        Raises:
            OSError: the file system refused.
        """
        path = self._folder(pod, uid) / container / f"{attempt}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
        self._unlink(pod, container)
        name = f"{pod.name}_{pod.namespace}_{container}-{container_id}"[:LONGEST_NAME]
        (self._containers / f"{name}.log").symlink_to(path)
        return file

    def read(self, pod: PodSpec, uid: str, container: str, attempt: int) -> str:
        """What was written so far; empty where nothing was."""
        path = self._folder(pod, uid) / container / f"{attempt}.log"
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def remove(self, pod: PodSpec, uid: str) -> None:
        """The pod is gone, and so are its logs."""
        for container in pod.every_container:
            self._unlink(pod, container.name)
        shutil.rmtree(self._folder(pod, uid), ignore_errors=True)

    def _folder(self, pod: PodSpec, uid: str) -> Path:
        return self._pods / f"{pod.namespace}_{pod.name}_{uid}"

    def _unlink(self, pod: PodSpec, container: str) -> None:
        for link in self._containers.glob(f"{pod.name}_{pod.namespace}_{container}-*.log"):
            if link.is_symlink() and link.readlink().parent.name == container:
                link.unlink(missing_ok=True)
