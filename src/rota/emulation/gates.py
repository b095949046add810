"""The emulated side of the gate door: speaks to the control thread of each process."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from rota.emulation import control, layout, wire
from rota.gpu.doors import (
    GateBusy,
    GateError,
    GateForbidden,
    GateGone,
    GateIllegal,
    GateNoContext,
    GateState,
    GateUnsupported,
)
from rota.gpu.processes import started as start_time

_ERRORS: dict[str, tuple[type[GateError], str]] = {
    control.NOT_READY: (GateBusy, "did not drain in time"),
    control.ILLEGAL_STATE: (GateIllegal, "its gate is not in the state for this"),
    control.NOT_INITIALIZED: (GateNoContext, "has no context"),
    control.NOT_PERMITTED: (GateForbidden, "belongs to another user"),
    control.NOT_SUPPORTED: (GateUnsupported, "uses what cannot be checkpointed"),
    control.OUT_OF_MEMORY: (GateError, "was lost: its restore met too little memory"),
}
_STATES = {
    control.State.RUNNING: GateState.OPEN,
    control.State.LOCKED: GateState.CLOSED,
    control.State.CHECKPOINTED: GateState.PAGED_OUT,
    control.State.FAILED: GateState.FAILED,
}


class EmulatedGates:
    """Gates of the processes that use the emulated GPU of that folder. Safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._idle: dict[tuple[int, int], list[socket.socket]] = {}

    def open(self, pid: int, started: int) -> None:
        """Open the gate, whoever closed it."""
        self._call(pid, started, {"op": "open"})

    def close(self, pid: int, started: int, timeout: float) -> None:
        """Close the gate after what was submitted has drained.

        Raises:
            GateBusy: it did not drain within `timeout` seconds; the gate is open as before.
        """
        self._call(pid, started, {"op": "close", "timeout": timeout})

    def state(self, pid: int, started: int) -> GateState:
        """The state now. Waits while somebody closes the gate, or pages the process."""
        return _STATES[self._call(pid, started, {"op": "state"})["state"]]

    def page_out(self, pid: int, started: int) -> None:
        """Bring all GPU memory of a process whose gate is closed to host memory."""
        self._call(pid, started, {"op": "page-out"})

    def page_in(self, pid: int, started: int) -> None:
        """Bring it back; the gate is closed then. Without room for it the process is lost."""
        self._call(pid, started, {"op": "page-in"})

    def forget(self) -> None:
        """Give all connections back. The gates stay as they are."""
        with self._lock:
            links = [link for several in self._idle.values() for link in several]
            self._idle.clear()
        for link in links:
            link.close()

    def _call(self, pid: int, started: int, request: wire.Message) -> dict[str, Any]:
        if start_time(pid) != started:
            self._drop(pid, started)
            raise GateGone(f"process {pid} is no more")
        link = self._take(pid, started)
        try:
            wire.send(link, request)
            answer = wire.receive(link)
        except OSError:
            answer = None
        if answer is None:
            link.close()
            raise self._silent(pid, started)
        result = answer["result"]
        if result == control.OK:
            self._keep(pid, started, link)
            return answer
        link.close()
        kind, why = _ERRORS[result]
        raise kind(f"process {pid} {why}")

    def _take(self, pid: int, started: int) -> socket.socket:
        with self._lock:
            idle = self._idle.get((pid, started))
            if idle:
                return idle.pop()
        try:
            return wire.connect(layout.gate_path(self._folder, pid))
        except PermissionError as error:
            raise GateForbidden(f"process {pid} belongs to another user") from error
        except OSError as error:
            raise self._silent(pid, started) from error

    def _keep(self, pid: int, started: int, link: socket.socket) -> None:
        with self._lock:
            self._idle.setdefault((pid, started), []).append(link)

    def _drop(self, pid: int, started: int) -> None:
        with self._lock:
            links = self._idle.pop((pid, started), [])
        for link in links:
            link.close()

    def _silent(self, pid: int, started: int) -> GateError:
        self._drop(pid, started)
        if start_time(pid) != started:
            return GateGone(f"process {pid} is no more")
        return GateNoContext(f"process {pid} does not use the emulated GPU")
