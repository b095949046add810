"""What agent and gatekeeper say to each other: one JSON object a line.

The agent tells the whole node each time, never a difference, so a message that is lost or said
twice does no harm. Every request gets one answer: an object, with `error` where it was refused.

| op | with | answer |
| --- | --- | --- |
| node | settings, clients, memory, paging | {} |
| beat | | {} |
| state | | who has which GPU, and how every client fares |
| page | client, out | {}; what comes of it is in the state |
| turns | since | first, next, turns |
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from rota.errors import RotaError
from rota.gatekeeper.journal import Process
from rota.memory.terms import GpuTerms, from_wire, to_wire
from rota.scheduling.log import Turn
from rota.scheduling.terms import Priority, Rules, Share, Why

Mode = Literal["exclusive", "driver"]
Handing = Literal["overlapped", "disjoint"]

PAGE = 256
"""Turns that one answer holds at most, so that a reader does not delay a turn."""


class MessageError(RotaError):
    """A message that does not follow the protocol."""


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """A client as the agent tells it.

    Attributes:
        id: as in `rota.model.Client`.
        shares: GPU UUID → what it is due there.
        processes: its processes on the GPU, as far as they are known.
        starting: those among them that have no context yet.
        ending: it is being ended: its gates are opened and stay open.
        ungated: why it must not be gated; empty if it may.
        pageable: it may be paged out while it is idle.
    """

    id: str
    shares: dict[str, Share]
    processes: frozenset[Process] = frozenset()
    starting: frozenset[Process] = frozenset()
    ending: bool = False
    ungated: str = ""
    pageable: bool = True


@dataclass(frozen=True, slots=True)
class PagingSettings:
    """Who may be paged out, and when.

    Attributes:
        enabled: idle clients are, when somebody needs their memory; else only by hand.
        idle_after: seconds without demand after which a client is idle.
        host_bytes: of the host's memory that copies may take; None: `host_part` of it.
        host_part: 0 to 1.
        off: GPU → why nobody on it can be paged out; those that are not named can.
    """

    enabled: bool = False
    idle_after: float = 60.0
    host_bytes: int | None = None
    host_part: float = 0.5
    off: dict[str, str] = field(default_factory=dict)

    def bound(self, total: int) -> int:
        """What copies may take of a host with so many bytes of memory."""
        return int(total * self.host_part) if self.host_bytes is None else self.host_bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """How turns are run.

    Attributes:
        mode: `exclusive`, or `driver`: no gate is ever closed.
        handing: `overlapped` (open, then close) or `disjoint` (close, then open).
        rules: quantum and the like.
        deadline: the longest that closing a client's gates may take, in seconds.
        attempts: how often it may fail in a row before the client runs ungated.
    """

    mode: Mode = "exclusive"
    handing: Handing = "overlapped"
    rules: Rules = field(default_factory=Rules)
    deadline: float = 1.0
    attempts: int = 3


@dataclass(frozen=True, slots=True)
class Node:
    """All that the gatekeeper has to know.

    Attributes:
        settings: how turns are run.
        clients: who is on the GPUs.
        memory: how the memory of each GPU is shared that is to be looked after.
        paging: who may be paged out, and when.
    """

    settings: Settings = field(default_factory=Settings)
    clients: tuple[ClientSpec, ...] = ()
    memory: tuple[GpuTerms, ...] = ()
    paging: PagingSettings = field(default_factory=PagingSettings)

    @property
    def wanted(self) -> bool:
        """There is something to do: clients that take turns, or limits to be held."""
        return bool(self.clients) or any(each.hard and each.limited for each in self.memory)

    @property
    def contended(self) -> bool:
        """Some GPU has more than one client. Where none has, no gate is closed."""
        seen: set[str] = set()
        for client in self.clients:
            if not seen.isdisjoint(client.shares):
                return True
            seen.update(client.shares)
        return False


def encode(message: dict[str, Any]) -> bytes:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message in one line.

    Raises:
        MessageError: it is no JSON object.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise MessageError(f"not an object: {line[:80]!r}")
    return message


def node_message(node: Node) -> dict[str, Any]:
    """The request that tells the node."""
    clients = [
        {
            "id": client.id,
            "shares": {gpu: dataclasses.asdict(share) for gpu, share in client.shares.items()},
            "processes": sorted(client.processes),
            "starting": sorted(client.starting),
            "ending": client.ending,
            "ungated": client.ungated,
            "pageable": client.pageable,
        }
        for client in node.clients
    ]
    return {
        "op": "node",
        "settings": dataclasses.asdict(node.settings),
        "clients": clients,
        "memory": [to_wire(terms) for terms in node.memory],
        "paging": dataclasses.asdict(node.paging),
    }


def parse_node(message: dict[str, Any]) -> Node:
    """Read that request.

    Raises:
        MessageError: something is missing, of the wrong type, or out of range.
    """
    try:
        raw = dict(message["settings"])
        settings = Settings(**{**raw, "rules": Rules(**raw["rules"])})
        clients = tuple(_client(each) for each in message["clients"])
        memory = tuple(from_wire(each) for each in message["memory"])
        node = Node(settings, clients, memory, _paging(message.get("paging", {})))
        _check(node)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise MessageError(f"not a node: {error!r}") from error
    return node


def _client(raw: dict[str, Any]) -> ClientSpec:
    return ClientSpec(
        id=str(raw["id"]),
        shares={str(gpu): _share(share) for gpu, share in raw["shares"].items()},
        processes=_processes(raw["processes"]),
        starting=_processes(raw.get("starting", ())),
        ending=bool(raw.get("ending", False)),
        ungated=str(raw.get("ungated", "")),
        pageable=bool(raw.get("pageable", True)),
    )


def _paging(raw: dict[str, Any]) -> PagingSettings:
    settings = PagingSettings(**raw)
    off = {str(gpu): str(why) for gpu, why in settings.off.items()}
    if not (0 < settings.idle_after < math.inf and 0 <= settings.host_part <= 1):
        raise ValueError(f"paging: {raw}")
    return dataclasses.replace(settings, off=off)


def _share(raw: dict[str, Any]) -> Share:
    share = Share(int(raw["replicas"]), float(raw["weight"]), Priority(raw["priority"]))
    if not 1e-9 < share.size < 1e9:
        raise ValueError(f"a share of size {share.size}")
    return share


def _processes(raw: Any) -> frozenset[Process]:
    return frozenset(Process(int(pid), int(started)) for pid, started in raw)


def _check(node: Node) -> None:
    """Settings under which turns would never end, or never begin, are refused."""
    settings, rules = node.settings, node.settings.rules
    lengths = (rules.quantum, rules.minimum, rules.start_limit, rules.patience, settings.deadline)
    if settings.mode not in ("exclusive", "driver"):
        raise MessageError(f"no such mode: {settings.mode!r}")
    if settings.handing not in ("overlapped", "disjoint"):
        raise MessageError(f"no such way to hand over: {settings.handing!r}")
    if not all(0 < length <= 3600 for length in lengths) or settings.attempts < 1:
        raise MessageError("lengths are in seconds, above 0 and at most 3600")
    if len({client.id for client in node.clients}) < len(node.clients):
        raise MessageError("the same client twice")
    if not all(client.shares for client in node.clients):
        raise MessageError("a client without a GPU")


def turn_message(turn: Turn) -> dict[str, Any]:
    """A turn for the wire."""
    return dataclasses.asdict(turn)


def parse_turn(raw: dict[str, Any]) -> Turn:
    """A turn from the wire."""
    return Turn(**{**raw, "why": Why(raw["why"])})
