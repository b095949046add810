"""Who holds what and who is next: the rules as examples, and as properties of any history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.config.schema import Allocation
from rota.jobs.ledger import Ask, Holding, Ledger, Pool, Refused
from rota.model import Device, Gpu, Replica, Resource


def gpu(index: int) -> Device:
    return Device(Gpu(f"GPU-{index}", index, index, "NVIDIA H200", 141 << 30, (9, 0)))


def pool(*replicas: int, single: bool = False, **more: object) -> Pool:
    """As many GPUs as numbers, each with that many replicas."""
    devices = tuple(map(gpu, range(len(replicas))))
    made = tuple(
        Replica(device.uuid, n if count > 1 else None)
        for device, count in zip(devices, replicas, strict=True)
        for n in range(count)
    )
    resource = Resource("nvidia.com/gpu", devices, made, "time-slicing", single)
    return Pool((resource,), **more)  # type: ignore[arg-type]


def ids(held: Sequence[Holding]) -> dict[str, list[str]]:
    return {holding.job: [replica.id for replica in holding.replicas] for holding in held}


def test_replicas_come_from_the_gpu_with_the_fewest_given_out() -> None:
    ledger = Ledger(pool(2, 2))
    for job in "abc":
        ledger.ask(Ask(job, 1))
    assert ids(ledger.settle()) == {"a": ["GPU-0::0"], "b": ["GPU-1::0"], "c": ["GPU-0::1"]}


def test_packed_fills_a_gpu_first() -> None:
    ledger = Ledger(pool(2, 2, allocation=Allocation(policy="packed")))
    for job in "abc":
        ledger.ask(Ask(job, 1))
    assert [r[0].partition("::")[0] for r in ids(ledger.settle()).values()] == [
        *("GPU-0", "GPU-0", "GPU-1")
    ]


def test_two_replicas_of_one_gpu_are_a_double_share_of_it() -> None:
    ledger = Ledger(pool(4, 4))
    ledger.ask(Ask("a", 1, 2, "GPU-1"))
    assert ids(ledger.settle()) == {"a": ["GPU-1::0", "GPU-1::1"]}


def test_required_spread_touches_each_gpu_before_one_twice() -> None:
    ledger = Ledger(pool(4, 4, allocation=Allocation(policy="packed", spread="required")))
    ledger.ask(Ask("first", 1))
    ledger.ask(Ask("two", 1, 2))
    two = ids(ledger.settle())["two"]
    assert {id_.partition("::")[0] for id_ in two} == {"GPU-0", "GPU-1"}


def test_first_come_first_served() -> None:
    ledger = Ledger(pool(1))
    for job in "abc":
        ledger.ask(Ask(job, 1))
    assert list(ids(ledger.settle())) == ["a"]
    ledger.free("a")
    assert list(ids(ledger.settle())) == ["b"]


def test_a_small_job_does_not_overtake_a_large_one() -> None:
    ledger = Ledger(pool(4))
    ledger.ask(Ask("holds", 1, 3))
    ledger.ask(Ask("large", 1, 4))
    ledger.ask(Ask("small", 1, 1))
    assert list(ids(ledger.settle())) == ["holds"]
    assert ledger.blocked() == {"large": "room", "small": "room"}


def test_who_waits_for_one_gpu_keeps_no_other() -> None:
    ledger = Ledger(pool(1, 1))
    ledger.ask(Ask("holds", 1, 1, "GPU-0"))
    ledger.ask(Ask("waits", 1, 1, "GPU-0"))
    ledger.ask(Ask("any", 1))
    assert list(ids(ledger.settle())) == ["holds", "any"]


def test_who_waits_for_the_own_quota_holds_up_only_the_own_jobs() -> None:
    ledger = Ledger(pool(4, quota=2))
    for ask in (Ask("a", 1), Ask("a2", 1, 2), Ask("a3", 1), Ask("b", 2)):
        ledger.ask(ask)
    assert list(ids(ledger.settle())) == ["a", "b"]
    assert ledger.blocked() == {"a2": "quota", "a3": "quota"}
    ledger.free("a")
    assert list(ids(ledger.settle())) == ["a2"]


def test_a_quota_of_a_user_counts_before_the_common_one() -> None:
    ledger = Ledger(pool(4, quota=1, quotas={7: None, 8: 0}))
    ledger.ask(Ask("a", 7, 4))
    with pytest.raises(Refused, match="quota of this user is 0"):
        ledger.ask(Ask("b", 8))
    with pytest.raises(Refused, match="quota of this user is 1"):
        ledger.ask(Ask("c", 9, 2))
    assert list(ids(ledger.settle())) == ["a"]


def test_what_no_wait_could_bring_is_refused() -> None:
    ledger = Ledger(pool(2, 2))
    with pytest.raises(Refused, match="5 replicas asked for, and this machine has 4"):
        ledger.ask(Ask("a", 1, 5))
    with pytest.raises(Refused, match="3 replicas asked for, and this GPU has 2"):
        ledger.ask(Ask("a", 1, 3, "GPU-0"))
    assert ledger.line == ()


def test_where_two_at_once_are_forbidden_one_is_given() -> None:
    ledger = Ledger(pool(4, single=True))
    with pytest.raises(Refused, match="failRequestsGreaterThanOne"):
        ledger.ask(Ask("a", 1, 2))
    ledger.ask(Ask("a", 1))
    assert list(ids(ledger.settle())) == ["a"]


def test_a_gpu_is_found_by_index_uuid_or_the_beginning_of_it() -> None:
    two = pool(1, 1)
    assert [two.find(text) for text in ("", "1", "GPU-1")] == ["", "GPU-1", "GPU-1"]
    for text in ("2", "GPU-", "G", "GPU-12"):
        with pytest.raises(Refused, match="no GPU") as caught:
            two.find(text)
        assert "0 (GPU-0)" in caught.value.hint


def test_a_sick_gpu_is_not_given_out_and_holds_up_only_who_needs_it() -> None:
    ledger = Ledger(pool(1, 1))
    ledger.shut({"GPU-0"})
    ledger.ask(Ask("both", 1, 2))
    ledger.ask(Ask("one", 1))
    assert ids(ledger.settle()) == {"one": ["GPU-1"]}
    assert ledger.blocked() == {"both": "health"}
    ledger.free("one")
    ledger.shut(())
    assert list(ids(ledger.settle())) == ["both"]


def test_after_a_smaller_config_a_gpu_is_not_given_out_twice() -> None:
    ledger = Ledger(pool(4))
    ledger.restore(Holding("old", 1, (Replica("GPU-0", 3), Replica("GPU-0", 2))))
    assert ledger.refit(pool(2)) == {}
    ledger.ask(Ask("new", 1))
    assert ledger.settle() == ()
    ledger.free("old")
    assert ids(ledger.settle()) == {"new": ["GPU-0::0"]}


def test_who_waits_in_vain_after_a_smaller_config_is_named() -> None:
    ledger = Ledger(pool(4))
    ledger.ask(Ask("holds", 1, 4))
    ledger.settle()
    ledger.ask(Ask("large", 1, 4))
    ledger.ask(Ask("small", 1, 1))
    assert list(ledger.refit(pool(2))) == ["large"]
    assert [ask.job for ask in ledger.line] == ["small"]


def test_what_is_held_is_not_restored_to_another() -> None:
    ledger = Ledger(pool(4))
    assert ledger.restore(Holding("a", 1, (Replica("GPU-0", 1),)))
    assert not ledger.restore(Holding("b", 1, (Replica("GPU-0", 1), Replica("GPU-0", 2))))
    assert list(ledger.holdings) == ["a"]


counts = st.lists(st.integers(1, 4), min_size=1, max_size=3)
wishes = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.sampled_from(["", "GPU-0", "GPU-1"])),
    max_size=12,
)
steps = st.lists(st.integers(0, 20), max_size=30)


def history(ledger: Ledger, wishes: list[tuple[int, int, str]], steps: list[int]) -> None:
    """Jobs come; now and then one of those that hold something ends, chosen by a number."""
    for number, (uid, count, device) in enumerate(wishes):
        try:
            ledger.ask(Ask(str(number), uid, count, device))
        except Refused:
            continue
        ledger.settle()
        if number < len(steps) and steps[number] % 3 == 0 and ledger.holdings:
            ledger.free(list(ledger.holdings)[steps[number] % len(ledger.holdings)])
            ledger.settle()


@given(counts, wishes, steps, st.sampled_from([None, 1, 3]))
@settings(deadline=None)
def test_nothing_is_held_twice_and_no_quota_is_passed(
    counts: list[int], wishes: list[tuple[int, int, str]], steps: list[int], quota: int | None
) -> None:
    ledger = Ledger(replace(pool(*counts), quota=quota))
    history(ledger, wishes, steps)
    held = [replica for holding in ledger.holdings.values() for replica in holding.replicas]
    assert len(held) == len(set(held))
    assert set(held) <= set(ledger.pool.replicas)
    of_user: Counter[int] = Counter()
    for holding in ledger.holdings.values():
        of_user[holding.uid] += len(holding.replicas)
    assert quota is None or all(count <= quota for count in of_user.values())


@given(counts, wishes, steps, st.sampled_from([None, 1, 3]))
@settings(deadline=None)
def test_everybody_in_line_is_served_once_those_before_have_ended(
    counts: list[int], wishes: list[tuple[int, int, str]], steps: list[int], quota: int | None
) -> None:
    ledger = Ledger(replace(pool(*counts), quota=quota))
    history(ledger, wishes, steps)
    while ledger.line:
        before = ledger.line
        assert ledger.holdings, "somebody waits although everything is free"
        ledger.free(next(iter(ledger.holdings)))
        ledger.settle()
        assert [ask for ask in before if ask in ledger.line] == list(ledger.line)


@given(counts, wishes, st.integers(1, 4))
@settings(deadline=None)
def test_later_comers_never_delay_one_who_waits_for_room(
    counts: list[int], wishes: list[tuple[int, int, str]], size: int
) -> None:
    """Served after the same ends, whoever came behind."""

    def ends_until_served(behind: list[tuple[int, int, str]]) -> int:
        ledger = Ledger(pool(*counts))
        for number, replica in enumerate(ledger.pool.replicas):
            ledger.restore(Holding(f"held{number}", 0, (replica,)))
        ledger.ask(Ask("one", 0, min(size, len(ledger.pool.replicas))))
        history(ledger, behind, [])
        ends = 0
        while "one" not in ledger.holdings:
            ledger.free(f"held{ends}")
            ledger.settle()
            ends += 1
        return ends

    assert ends_until_served(wishes) == ends_until_served([])
