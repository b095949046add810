"""One resource's device plugin: a server on its own socket, kept served and known to the kubelet.

A task of its own tends it. Whatever goes wrong here (the socket is swept away, the kubelet is
another one or refuses, a stream breaks) is put right here, with growing pauses, and nobody else
hears of it but the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import structlog

from rota.errors import KubeletError, RotaError
from rota.kubelet import sockets
from rota.kubelet.api.deviceplugin_pb2_grpc import add_DevicePluginServicer_to_server
from rota.kubelet.backoff import Backoff
from rota.kubelet.board import Board
from rota.kubelet.holders import Holders
from rota.kubelet.listing import Listing
from rota.kubelet.registration import KUBELET_SOCKET, register
from rota.kubelet.rules import Rules
from rota.kubelet.servicer import Servicer

FAREWELL = 0.5
"""Seconds that requests in progress get when a server ends."""

LONELY = 5.0
"""Seconds without any watcher, after there was one, until we register again unasked."""

OPTIONS = (
    ("grpc.so_reuseport", 0),
    # gRPC throws away what waits beyond 1,000 requests, at random: everybody gets an answer instead.
    ("grpc.server.max_pending_requests", 1 << 15),
    ("grpc.server.max_pending_requests_hard_limit", 1 << 15),
)
"""How every server is set up."""

CALM = 60.0
"""Seconds without a fault after which the next one is repaired at once again."""


@dataclass(slots=True)
class Counters:
    """What happened since the resource was first served."""

    allocations: int = 0
    refusals: int = 0
    registrations: int = 0
    failed_registrations: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class _Serving:
    """A server that listens under the public name."""

    server: grpc.aio.Server
    servicer: Servicer
    public: Path
    identity: sockets.Identity

    async def end(self) -> None:
        """Streams end first and in order; then the name goes, then the server."""
        self.servicer.close()
        sockets.withdraw(self.public, self.identity)
        await self.server.stop(FAREWELL)


class ResourcePlugin:
    """Serves one resource to the kubelet.

    Args:
        folder: the kubelet's device plugin folder.
        listing: what to show first.
        rules: how to answer.
        holders: is told of every allocation.
        log: bound with the resource's name here.

    Attributes:
        board: what is shown now.
        rules: how requests are answered now.
        counters: what happened so far.
        registered: set while the kubelet that is there knows the resource.
    """

    def __init__(
        self,
        folder: Path,
        listing: Listing,
        rules: Rules,
        holders: Holders,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.name = listing.resource.name
        self.board = Board(listing)
        self.rules = rules
        self.counters = Counters()
        self.registered = asyncio.Event()
        self.public = folder / sockets.socket_name(self.name)
        self._kubelet = folder / KUBELET_SOCKET
        self._holders = holders
        self._log = log.bind(resource=self.name)
        self._serving: _Serving | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._changing = asyncio.Lock()
        self._backoff = Backoff()
        self._repairs = Backoff()
        self._fault: Exception | None = None
        self._fault_at = 0.0
        self._known_to: sockets.Identity | None = None
        self._tried: sockets.Identity | None = None

    @property
    def streams(self) -> int:
        """How many clients watch the listing."""
        return self._serving.servicer.streams if self._serving else 0

    async def start(self) -> None:
        """Serve now; register, and stay served and registered, in a task of its own.

        Raises:
            KubeletError: the socket cannot be had now. The task goes on trying.
        """
        try:
            await self._serve()
        finally:
            self._task = asyncio.create_task(self._tend(), name=f"tend {self.name}")

    async def stop(self) -> None:
        """End streams, remove the socket, end the server. Twice is once."""
        async with self._changing:  # gRPC takes it badly when a server's start is cancelled
            if self._task:
                self._task.cancel()
                await asyncio.wait([self._task])
                self._task = None
            await self._retire()

    def show(self, listing: Listing, rules: Rules | None = None) -> None:
        """Show another listing, and answer by other rules, from now on."""
        self.rules = rules or self.rules
        if self.board.hang(listing):
            sick = sum(map(bool, listing.states.values()))
            well = len(listing.states) - sick
            draining = len(listing.draining)
            self._log.info("replicas changed", healthy=well, unhealthy=sick, draining=draining)

    def look(self) -> None:
        """Something may have changed in the kubelet's folder; the task wakes if it concerns us."""
        if not self._settled():
            self._wake.set()

    def _settled(self) -> bool:
        """We are served, and the kubelet that is there, if there is one, knows us."""
        serving = self._serving
        return (
            serving is not None
            and self._fault is None
            and sockets.identity(self.public) == serving.identity
            and sockets.identity(self._kubelet) == self._known_to
        )

    def allocated(self, ids: Iterable[str]) -> None:
        """Note an allocation (the servicer calls this)."""
        self.counters.allocations += 1
        self._holders.given(self.name, ids)

    def refused(self, error: Exception) -> None:
        """Note a refusal (the servicer calls this)."""
        self.counters.refusals += 1
        if isinstance(error, RotaError):
            self._log.warning("request refused", reason=str(error))
        else:
            self._log.error("fault while answering a request", exc_info=error)

    async def _serve(self) -> None:
        await self._retire()
        folder = self.public.parent
        hidden = sockets.checked_length(sockets.hidden_name(folder))
        sockets.checked_length(self.public)
        servicer = Servicer(self, self._broken, self._left)
        server = grpc.aio.server(options=OPTIONS)
        add_DevicePluginServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        try:
            server.add_insecure_port(f"unix:{hidden}")
            await server.start()
            identity = sockets.publish(hidden, self.public)
        except RuntimeError as error:
            why = sockets.why_not_bound(hidden) or str(error)
            raise KubeletError(f"cannot listen here: {why}", where=str(folder)) from None
        except BaseException:
            with suppress(Exception):
                await server.stop(None)
            hidden.unlink(missing_ok=True)
            raise
        self._serving = _Serving(server, servicer, self.public, identity)
        self._log.info("serving", socket=str(self.public))

    async def _retire(self) -> None:
        self.registered.clear()
        self._known_to = None
        serving, self._serving = self._serving, None
        if serving:
            await serving.end()

    async def _tend(self) -> None:
        while True:
            self._wake.clear()
            pause: float | None = None
            try:
                await self._repair()
                await self._introduce()
            except Exception as error:
                pause = self._failed(error)
            await self._rest(pause)

    async def _repair(self) -> None:
        """Serve anew where the server broke, or its socket was swept away."""
        if fault := self._fault:
            now = asyncio.get_running_loop().time()
            if now - self._fault_at > CALM:
                self._repairs.succeed()
            self._fault_at = now
            pause = self._repairs.fail()
            self._log.error("fault while serving; restarting", pause=pause, exc_info=fault)
            await asyncio.sleep(pause)
        serving = self._serving
        if fault or serving is None or sockets.identity(self.public) != serving.identity:
            async with self._changing:
                self._fault = None
                await self._serve()
            self.counters.restarts += 1

    async def _introduce(self) -> None:
        """Register, unless the kubelet that is there knows us."""
        kubelet = sockets.identity(self._kubelet)
        if kubelet != self._tried:
            self._backoff.succeed()
        self._tried = kubelet
        if kubelet is None or kubelet != self._known_to:
            self.registered.clear()
            self._known_to = None
        if kubelet is None or self._known_to:
            return
        try:
            await register(self._kubelet, self.name, self.public.name)
        except KubeletError:
            self.counters.failed_registrations += 1
            raise
        self._known_to = kubelet
        self._backoff.succeed()
        self.counters.registrations += 1
        self.registered.set()
        self._log.info("registered with the kubelet", replicas=len(self.board.listing.states))

    def _failed(self, error: Exception) -> float:
        pause = self._backoff.fail()
        if isinstance(error, RotaError):
            self._log.warning("not served; trying again", reason=str(error), pause=round(pause, 3))
        else:
            self._log.error("fault; trying again", pause=round(pause, 3), exc_info=error)
        return pause

    async def _rest(self, pause: float | None) -> None:
        """Until there may be something to do; only another kubelet ends a pause early."""
        loop = asyncio.get_running_loop()
        until = None if pause is None else loop.time() + pause
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._wake.wait()
                while until and sockets.identity(self._kubelet) == self._tried:
                    self._wake.clear()
                    await self._wake.wait()

    def _broken(self, error: Exception) -> None:
        """A stream ended by an error: the kubelet takes the resource for stopped."""
        self._fault = error
        self._wake.set()

    def _left(self) -> None:
        """A watcher went away. If no other one comes, the kubelet may have forgotten us."""
        asyncio.get_running_loop().call_later(LONELY, self._reconsider, self._known_to)

    def _reconsider(self, known_to: sockets.Identity | None) -> None:
        if self._task and self.streams == 0 and known_to and self._known_to == known_to:
            self._log.info("nobody watches any more; registering again")
            self._known_to = None
            self._wake.set()
