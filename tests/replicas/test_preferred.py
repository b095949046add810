"""Which replicas a container gets: NVIDIA's two policies, and spread."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.config.schema import AllocationPolicy
from rota.errors import RotaError
from rota.model import Device, Gpu, Replica, Resource
from rota.replicas.preferred import Spread, preferred


def resource(*counts: int) -> Resource:
    """GPUs A, B, … with so many replicas each; 0 is a GPU that is not shared."""
    gpus = [
        Gpu(f"GPU-{chr(65 + n)}", n, n, "NVIDIA H200", 1 << 37, (9, 0)) for n in range(len(counts))
    ]
    replicas = [
        Replica(gpu.uuid, ordinal)
        for gpu, count in zip(gpus, counts, strict=True)
        for ordinal in (range(count) if count else [None])
    ]
    sharing = "time-slicing" if any(counts) else "none"
    return Resource("nvidia.com/gpu", tuple(map(Device, gpus)), tuple(replicas), sharing)


def ids(text: str) -> list[str]:
    """`A0 B1` → the ids of those replicas."""
    return [f"GPU-{word[0]}::{word[1:]}" for word in text.split()]


def devices(chosen: tuple[str, ...]) -> Counter[str]:
    return Counter(Replica.parse(id_).device for id_ in chosen)


def test_distributed_takes_from_the_gpu_with_the_fewest_taken() -> None:
    available = ids("A2 A3 B1 B2 B3")
    chosen = preferred(available, (), 1, resource(4, 4), "distributed")
    assert chosen == tuple(ids("B1"))


def test_packed_takes_from_the_gpu_with_the_most_taken() -> None:
    available = ids("A2 A3 B1 B2 B3")
    assert preferred(available, (), 2, resource(4, 4), "packed") == tuple(ids("A2 A3"))


def test_distributed_alternates_between_equal_gpus() -> None:
    available = [replica.id for replica in resource(4, 4).replicas]
    assert preferred(available, (), 4, resource(4, 4)) == tuple(ids("A0 B0 A1 B1"))


def test_distributed_alone_may_give_two_of_one_gpu_where_spread_may_not() -> None:
    available = ids("A0 A1 A2 A3 B3")
    shared = resource(4, 4)
    assert preferred(available, (), 2, shared, "distributed") == tuple(ids("A0 A1"))
    spread = preferred(available, (), 2, shared, "distributed", "required")
    assert spread == tuple(ids("A0 B3"))


def test_packed_and_spread_take_the_fullest_gpus_one_replica_each() -> None:
    available = ids("A1 A2 B2 C0 C1 C2")
    chosen = preferred(available, (), 2, resource(3, 3, 3), "packed", "required")
    assert chosen == tuple(ids("B2 A1"))


def test_spread_counts_what_must_be_there() -> None:
    available = ids("A0 A1 A2 B2")
    chosen = preferred(available, ids("A1"), 2, resource(3, 3), "distributed", "required")
    assert chosen == tuple(ids("A1 B2"))


def test_whole_gpus_come_by_lowest_index() -> None:
    assert preferred(["GPU-C", "GPU-A", "GPU-B"], (), 2, resource(0, 0, 0), "packed") == (
        "GPU-A",
        "GPU-B",
    )


def test_more_than_there_is_is_refused_with_both_numbers() -> None:
    with pytest.raises(RotaError, match=r"3 replicas of nvidia\.com/gpu asked for, 2 available"):
        preferred(ids("A0 A1"), (), 3, resource(2))


def test_ids_that_the_resource_does_not_have_come_last() -> None:
    chosen = preferred(["GPU-Z::0", *ids("A1")], (), 2, resource(2))
    assert chosen == ("GPU-A::1", "GPU-Z::0")


Asked = tuple[Resource, list[str], list[str], int]
"""A resource, what is available of it, what must be there, and how many."""


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    shared = resource(*draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)))
    available = draw(st.lists(st.sampled_from([r.id for r in shared.replicas]), unique=True))
    must = draw(st.lists(st.sampled_from(available), unique=True)) if available else []
    return shared, available, must, draw(st.integers(len(must), len(available)))


policies: st.SearchStrategy[AllocationPolicy] = st.sampled_from(("distributed", "packed"))
spreads: st.SearchStrategy[Spread] = st.sampled_from(("preferred", "required"))


@given(requests(), policies, spreads)
def test_the_answer_has_the_right_size_keeps_the_musts_and_is_available(
    asked: Asked, policy: AllocationPolicy, spread: Spread
) -> None:
    shared, available, must, size = asked
    chosen = preferred(available, must, size, shared, policy, spread)
    assert len(chosen) == len(set(chosen)) == size
    assert set(must) <= set(chosen) <= set(available)


@given(requests(), policies, spreads, st.randoms())
def test_the_order_of_the_request_changes_nothing(
    asked: Asked, policy: AllocationPolicy, spread: Spread, random: Random
) -> None:
    shared, available, must, size = asked
    chosen = preferred(available, must, size, shared, policy, spread)
    random.shuffle(available)
    random.shuffle(must)
    assert preferred(available, must, size, shared, policy, spread) == chosen


@given(requests(), policies)
def test_with_spread_no_gpu_gives_a_second_one_while_another_has_room(
    asked: Asked, policy: AllocationPolicy
) -> None:
    shared, available, must, size = asked
    chosen = preferred(available, must, size, shared, policy, "required")
    given_, room = devices(chosen), devices(tuple(set(available) - set(chosen)))
    by_choice = devices(chosen[len(must) :])
    for gpu, count in given_.items():
        if by_choice[gpu]:
            assert all(given_[other] >= count - 1 for other in room)


@given(requests())
def test_distributed_leaves_no_gpu_two_fuller_than_one_that_could_have_given(asked: Asked) -> None:
    shared, available, must, size = asked
    chosen = preferred(available, must, size, shared, "distributed")
    left = devices(tuple(set(available) - set(chosen)))
    taken = {d.uuid: shared.replicas_of(d.uuid) - left[d.uuid] for d in shared.devices}
    for gpu in devices(chosen[len(must) :]):
        assert all(taken[other] >= taken[gpu] - 1 for other in left)


def test_a_thousand_replicas_are_no_burden() -> None:
    shared = resource(*[128] * 8)
    everything = [replica.id for replica in shared.replicas]
    assert len(preferred(everything, (), 1024, shared, "packed", "required")) == 1024
