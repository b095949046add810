"""Whose memory is whose on a node: from replicas, wishes and the config to what the gatekeeper is told."""

from __future__ import annotations

import pytest

from rota.agent.memory import Cut, Ledger, admit, cut_of
from rota.agent.order import Order, with_memory
from rota.clients.picture import ClientOnGpu, Picture, ProcessKey, Unmanaged, Why
from rota.config.schema import Memory
from rota.gatekeeper.messages import Node
from rota.memory.limits import Claim, MemoryRefused
from rota.model import Device, Gpu, Inventory, Replica, Resource

GIB = 2**30
CARD = Gpu("GPU-1", 0, 0, "T4", 16 * GIB, (7, 5))
WHOLE = Gpu("GPU-2", 1, 1, "T4", 16 * GIB, (7, 5))
IDS = tuple(Replica("GPU-1", n) for n in range(4))
RESOURCES = (
    Resource("nvidia.com/gpu", (Device(CARD),), IDS, "time-slicing"),
    Resource("nvidia.com/whole", (Device(WHOLE),), (Replica("GPU-2"),)),
)


def cut(gated: tuple[str, ...] = ("GPU-1", "GPU-2"), **settings: object) -> Cut:
    memory = Memory(**settings)  # type: ignore[arg-type]
    return cut_of(memory, Inventory((CARD, WHOLE)), RESOURCES, gated, GIB // 4)


def holder(name: str, *ordinals: int) -> ClientOnGpu:
    return ClientOnGpu(name, "GPU-1", tuple(IDS[n] for n in ordinals), (), ())


def test_only_a_gpu_that_is_shared_has_its_memory_cut() -> None:
    assert dict(cut().totals) == {"GPU-1": 16 * GIB}
    assert cut().pool("GPU-1").replicas == 4


def test_limits_are_held_where_programs_take_turns_and_watched_elsewhere() -> None:
    for gated, enforce, hard in (
        (("GPU-1",), "hard", True),
        ((), "hard", False),
        (("GPU-1",), "report", False),
    ):
        (terms,) = Ledger().terms(cut(gated, enforce=enforce), Picture(), lambda _: None)
        assert terms.hard is hard


def test_who_came_first_is_first_whatever_its_name() -> None:
    ledger = Ledger()
    ledger.terms(cut(), Picture((holder("z", 0),)), lambda _: None)
    both = Picture((holder("a", 1, 2), holder("z", 0)))
    (terms,) = ledger.terms(cut(), both, {"a": GIB}.get)
    assert terms.claims == (Claim("z", 1), Claim("a", 2, GIB))


def test_only_processes_that_are_surely_unmanaged_are_strangers() -> None:
    surely = Unmanaged("GPU-1", ProcessKey(7, 1), Why.NOBODY, False, ())
    perhaps = Unmanaged("GPU-1", ProcessKey(8, 1), Why.STRANGER, True, ())
    (terms,) = Ledger().terms(cut(), Picture((), (surely, perhaps)), lambda _: None)
    assert terms.strangers == {7}


def test_an_edit_that_leaves_fewer_replicas_than_are_held_starves_nobody() -> None:
    picture = Picture((holder("a", 0), holder("b", 1), holder("c", 2), holder("d", 3)))
    fewer = Cut(totals={"GPU-1": 16 * GIB}, replicas={"GPU-1": 2})
    (terms,) = Ledger().terms(fewer, picture, lambda _: None)
    assert terms.pool.replicas == 4


def test_turns_are_disjoint_where_somebodys_limit_is_held_and_only_there() -> None:
    picture = Picture((holder("a", 0),))
    (held,) = Ledger().terms(cut(), picture, lambda _: None)
    assert with_memory(Node(), (held,)).settings.handing == "disjoint"
    (free,) = Ledger().terms(cut(limit="none"), picture, lambda _: None)
    assert with_memory(Node(), (free,)).settings.handing == Node().settings.handing
    assert Order().settings.mode == "exclusive"


def test_a_newcomer_may_have_what_is_unclaimed_and_no_more() -> None:
    there = [("job/a", IDS[:1], 10 * GIB)]
    admit(cut(), there, ("job/b", IDS[1:2], 5 * GIB))
    with pytest.raises(MemoryRefused, match=r"5\.8 GiB is unclaimed"):
        admit(cut(), there, ("job/b", IDS[1:2], 6 * GIB))


def test_a_limit_on_a_gpu_that_is_not_shared_is_refused() -> None:
    with pytest.raises(MemoryRefused, match="is not shared"):
        admit(cut(), [], ("job/a", (Replica("GPU-2"),), GIB))
    admit(cut(), [], ("job/a", (Replica("GPU-2"),), None))
