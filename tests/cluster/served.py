"""The fake cluster in a thread of its own, for tests of commands that make their own event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from rota.cli.cluster_client import Access
from tests.cluster.fake import FakeCluster

PATIENCE = 20.0


class Served:
    """A fake cluster that answers while the test's own thread does something else.

    Attributes:
        fake: the cluster; its store may be changed from here while nobody asks, or with `do`.
        kubeconfig: a file that leads there.
        access: the same for a command.
    """

    def __init__(self, folder: Path) -> None:
        self.fake = FakeCluster()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._up = True
        self._tasks: list[Future[Any]] = []
        self.do(self.fake.start())
        self.kubeconfig = self.fake.kubeconfig(folder / "kubeconfig")
        self.access = Access(str(self.kubeconfig))

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the cluster's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    def begin(self, what: Coroutine[Any, Any, Any]) -> None:
        """Do something in the cluster's loop until the end."""
        self._tasks.append(asyncio.run_coroutine_threadsafe(what, self._loop))

    def until(self, true: Callable[[], Any]) -> Any:
        """Wait for something true."""
        end = time.monotonic() + PATIENCE
        while not (found := true()):
            assert time.monotonic() < end
            time.sleep(0.02)
        return found

    def stop(self) -> None:
        """Be away."""
        if self._up:
            self._up = False
            self.do(self.fake.stop())

    def close(self) -> None:
        """End the thread."""
        for task in self._tasks:
            task.cancel()
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
