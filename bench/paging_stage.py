"""What the sections of `bench/paging.py` share: clients that may be paged out, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.memory_stage import FIRST, GIB, Bench, Program
from rota.emulation.device import CONTEXT_BYTES
from rota.gatekeeper.messages import ClientSpec, Node, PagingSettings, Settings
from rota.memory.limits import Claim, Pool
from rota.memory.sizes import CONTEXT
from rota.memory.terms import GpuTerms
from rota.scheduling.terms import Rules, Share

IDLE = 1.5
"""Seconds after which a client counts as idle here."""

GRANTED = PagingSettings(enabled=True, idle_after=IDLE, host_part=0.8)


def context(bench: Bench) -> int:
    """What a context takes, in bytes."""
    return CONTEXT_BYTES if bench.emulated else CONTEXT


def pool(bench: Bench, replicas: int, oversubscribe: float) -> Pool:
    """The GPU, cut into replicas."""
    total = bench.door.memory(bench.gpu).total
    reserve = 2 * context(bench)
    return Pool(bench.gpu, total, replicas, reserve, 0, oversubscribe, context=context(bench))


def node(
    bench: Bench,
    programs: Mapping[str, Program],
    *,
    replicas: int = 4,
    oversubscribe: float = 1.0,
    paging: PagingSettings = GRANTED,
    never: tuple[str, ...] = (),
    starting: tuple[str, ...] = (),
    own: Mapping[str, int] | None = None,
) -> Node:
    """These programs as clients that may be paged out, but for those in `never`."""
    clients = tuple(
        ClientSpec(
            name, {bench.gpu: Share()}, frozenset({program.identity}),
            frozenset({program.identity}) if name in starting else frozenset(),
            pageable=name not in never,
        )
        for name, program in programs.items()
    )  # fmt: skip
    cut = pool(bench, replicas, oversubscribe)
    claims = tuple(Claim(name, own=(own or {}).get(name)) for name in programs)
    terms = GpuTerms(cut, claims, auto=False)
    settings = Settings(handing="disjoint", rules=Rules(quantum=FIRST, burst=0.0))
    return Node(settings, clients, (terms,), paging)


def off(why: str, bench: Bench) -> PagingSettings:
    """Paging that a GPU's driver does not allow."""
    return replace(GRANTED, off={bench.gpu: why})


async def place(bench: Bench, client: str) -> dict[str, Any]:
    """Where a client is; empty while it is simply on the GPU."""
    found: dict[str, Any] = (await bench.supervisor.state())["paging"].get(client, {})
    return found


async def until_place(bench: Bench, client: str, *places: str) -> dict[str, Any]:
    """Wait until it is there."""

    async def there() -> dict[str, Any] | None:
        known = await place(bench, client) or {"place": "resident"}
        return known if known["place"] in places else None

    found: dict[str, Any] = await bench.until(there, f"{client} {' or '.join(places)}")
    return found


async def filled(bench: Bench, size: int, kind: str = "notebook") -> Program:
    """A program that has filled so much memory."""
    program = bench.start(kind)
    await program.line()
    program.tell(bytes=size)
    await program.line()
    return program


async def join(
    bench: Bench, programs: dict[str, Program], name: str, kind: str, **terms: Any
) -> Program:
    """A program begins beside others, is seen before its context is made, and gets its turn."""
    programs[name] = program = bench.start(kind, "late")
    await program.line()
    bench.supervisor.tell(node(bench, programs, starting=(name,), **terms))

    async def is_let_in() -> bool:
        gpus = (await bench.supervisor.state())["gpus"]
        return bool(gpus.get(bench.gpu, {}).get("holder") == name)

    await bench.until(is_let_in, f"{name} may start")
    program.tell()
    await program.line()
    bench.supervisor.tell(node(bench, programs, **terms))
    return program


def some(bench: Bench, most: int = 4) -> int:
    """Some GiB, less on a small GPU, in bytes."""
    return min(most * GIB, bench.door.memory(bench.gpu).total // 5 // GIB * GIB)


async def is_known(bench: Bench, client: str) -> bool:
    """The gatekeeper has a gate of it."""
    return bool((await bench.supervisor.state())["clients"].get(client, {}).get("pids"))
