"""What the emulated GPU answers to each request. No sockets: the engine brings and sends them.

| request | answer |
| --- | --- |
| hello | the caller's pid as the engine sees it |
| context, allocate, release, memory, page-out, page-in | for programs; `launch` has no answer, its work is noted when done |
| hold, let-go | for who holds memory without a context |
| processes, accounts, utilization, recovery | for tools, what NVML would tell |
| watch | from now on, the errors that are injected are sent as they come |
| inject | an Xid, or a recovery action |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rota.emulation.device import CONTEXT_SECONDS, EmulatedDevice, NoMemory
from rota.emulation.fence import SLOTS
from rota.emulation.peers import Peer
from rota.emulation.timeline import Done
from rota.emulation.wire import Message
from rota.errors import GpuError
from rota.model import Device, Inventory

WINDOW = 1.0
"""Seconds over which utilization is taken."""


LONGEST = 1e8
"""Seconds that a kernel may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the asker, `after` some seconds, and what goes to all who watch."""

    message: Message = field(default_factory=dict)
    after: float = 0.0
    broadcast: Message | None = None


class Service:
    """All devices of the emulated node."""

    def __init__(self, inventory: Inventory, now: float) -> None:
        self._inventory = inventory
        self._devices: dict[str, EmulatedDevice] = {}
        for gpu in inventory.gpus:
            parts = [Device(gpu, mig) for mig in gpu.mig_devices] or [Device(gpu)]
            self._devices |= {part.uuid: EmulatedDevice(part, now) for part in parts}
        self._recovery: dict[str, str] = {}
        self._finished: dict[tuple[int, str], int] = {}
        self._handlers: dict[str, Callable[[Peer, Message, float], Answer | None]] = {
            "hello": self._hello,
            "context": self._context,
            "allocate": self._allocate,
            "release": self._release,
            "hold": self._hold,
            "let-go": self._let_go,
            "page-out": self._page_out,
            "page-in": self._page_in,
            "launch": self._launch,
            "memory": self._memory,
            "processes": self._processes,
            "accounts": self._read_accounts,
            "utilization": self._utilization,
            "recovery": self._read_recovery,
            "watch": self._watch,
            "inject": self._inject,
        }

    def handle(self, peer: Peer, message: Message, now: float) -> Answer | None:
        """The answer to a request; None where there is none."""
        op = str(message.get("op"))
        try:
            if op not in self._handlers:
                raise GpuError(f"no such request: {op!r}")
            return self._handlers[op](peer, message, now)
        except NoMemory as error:
            return Answer({"error": str(error), "kind": "memory"})
        except (GpuError, KeyError, TypeError, ValueError) as error:
            if op == "launch":
                # Nobody waits for an answer to it; who launches nonsense is no program of ours.
                peer.lost = True
                return None
            what = str(error) if isinstance(error, GpuError) else f"{message}: {error!r}"
            return Answer({"error": what, "kind": "request"})

    def leave(self, peer: Peer, now: float) -> None:
        """The peer is gone, and with it all that it held."""
        for uuid, device in self._devices.items():
            self._note(uuid, device.end(peer.key, now))

    def next_end(self) -> float | None:
        """When the next kernel of any device ends."""
        ends = [device.timeline.next_end() for device in self._devices.values()]
        return min((end for end in ends if end is not None), default=None)

    def finished(self, now: float) -> Iterator[tuple[int, str, int]]:
        """(peer's key, device, number) of the work that ended since the last call, once each."""
        for uuid, device in self._devices.items():
            self._note(uuid, device.timeline.advance(now))
        done, self._finished = self._finished, {}
        for (key, uuid), ticket in done.items():
            yield key, uuid, ticket

    def _note(self, uuid: str, done: list[Done]) -> None:
        for each in done:
            self._finished[each.owner, uuid] = each.ticket

    def _device(self, message: Message) -> EmulatedDevice:
        uuid = str(message["device"])
        if uuid not in self._devices:
            raise GpuError(f"no emulated device {uuid}")
        return self._devices[uuid]

    def _parts(self, message: Message) -> list[EmulatedDevice]:
        """The device, or all parts of a GPU that is cut into MIG instances."""
        uuid = str(message["device"])
        for gpu in self._inventory.gpus:
            if gpu.uuid == uuid and gpu.mig_devices:
                return [self._devices[mig.uuid] for mig in gpu.mig_devices]
        return [self._device(message)]

    def _hello(self, peer: Peer, message: Message, now: float) -> Answer:
        return Answer({"pid": peer.pid})

    def _context(self, peer: Peer, message: Message, now: float) -> Answer:
        device = self._device(message)
        if peer.fences is None or len(peer.slots) >= SLOTS:
            raise GpuError("a program has to bring the page in which its finished work is noted")
        device.make_context(peer.key, peer.pid)
        slot = peer.slot(device.device.uuid)
        return Answer({"slot": slot}, after=CONTEXT_SECONDS)

    def _allocate(self, peer: Peer, message: Message, now: float) -> Answer:
        handle = self._device(message).allocate(peer.key, peer.pid, int(message["bytes"]))
        return Answer({"handle": handle})

    def _release(self, peer: Peer, message: Message, now: float) -> Answer:
        self._device(message).release(peer.key, int(message["handle"]))
        return Answer()

    def _hold(self, peer: Peer, message: Message, now: float) -> Answer:
        sizes = [int(size) for size in message["sizes"]]
        return Answer({"handles": self._device(message).hold(peer.key, peer.pid, sizes)})

    def _let_go(self, peer: Peer, message: Message, now: float) -> Answer:
        handles = [int(handle) for handle in message["handles"]]
        return Answer(after=self._device(message).let_go(peer.key, handles))

    def _page_out(self, peer: Peer, message: Message, now: float) -> Answer:
        return Answer(after=self._device(message).page_out(peer.key))

    def _page_in(self, peer: Peer, message: Message, now: float) -> Answer:
        return Answer(after=self._device(message).page_in(peer.key))

    def _launch(self, peer: Peer, message: Message, now: float) -> None:
        device = self._device(message)
        ticket, seconds = int(message["ticket"]), float(message["seconds"])
        if not 0 <= seconds <= LONGEST:
            raise GpuError(f"not a length of time: {seconds}")
        self._note(device.device.uuid, device.timeline.submit(peer.key, ticket, seconds, now))

    def _memory(self, peer: Peer, message: Message, now: float) -> Answer:
        parts = self._parts(message)
        total, used = sum(part.total for part in parts), sum(part.used for part in parts)
        return Answer({"total": total, "used": used, "free": total - used})

    def _processes(self, peer: Peer, message: Message, now: float) -> Answer:
        found: Counter[int] = Counter()
        for part in self._parts(message):
            found.update(part.listed())
        return Answer({"processes": sorted(found.items())})

    def _read_accounts(self, peer: Peer, message: Message, now: float) -> Answer:
        found: dict[int, float] = {}
        for part in self._parts(message):
            self._note(part.device.uuid, part.timeline.advance(now))
            for pid, seconds in part.accounts().items():
                found[pid] = found.get(pid, 0.0) + seconds
        return Answer({"accounts": sorted(found.items())})

    def _utilization(self, peer: Peer, message: Message, now: float) -> Answer:
        parts = self._parts(message)
        for part in parts:
            self._note(part.device.uuid, part.timeline.advance(now))
        busy = [part.timeline.busy(WINDOW) for part in parts]
        return Answer({"utilization": sum(busy) / len(busy)})

    def _read_recovery(self, peer: Peer, message: Message, now: float) -> Answer:
        return Answer({"action": self._recovery.get(self._gpu(message), "")})

    def _watch(self, peer: Peer, message: Message, now: float) -> Answer:
        peer.watching = True
        return Answer()

    def _inject(self, peer: Peer, message: Message, now: float) -> Answer:
        gpu = self._gpu(message)
        if message.get("action") is not None:
            self._recovery[gpu] = str(message["action"])
        if message.get("xid") is None:
            return Answer()
        event = {"gpu": gpu, "xid": int(message["xid"]), "detail": str(message.get("detail", ""))}
        return Answer(broadcast=event)

    def _gpu(self, message: Message) -> str:
        gpu = self._inventory.gpu(str(message["device"]))
        if gpu is None:
            raise GpuError(f"no emulated GPU {message['device']}")
        return gpu.uuid
