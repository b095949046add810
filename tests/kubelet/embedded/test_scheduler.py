"""The scheduler's arithmetic."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.kubelet.embedded.scheduler import insufficient, sentence

COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


def test_what_others_asked_for_is_not_there() -> None:
    assert insufficient({"g": 2}, [{"g": 1}, {"g": 1}], {"g": 4}) == ()
    assert insufficient({"g": 3}, [{"g": 1}, {"g": 1}], {"g": 4}) == ("g",)


def test_the_message_names_each_resource_in_order() -> None:
    missing = insufficient({"z.y/b": 1, "x.y/a": 1}, [], {})
    assert (
        sentence(missing) == "0/1 nodes are available: 1 Insufficient x.y/a, 1 Insufficient z.y/b."
    )


@settings(max_examples=50)
@given(COUNTS, st.lists(COUNTS, max_size=4), COUNTS)
def test_a_pod_fits_exactly_when_the_sum_of_all_is_there(
    request: dict[str, int], bound: list[dict[str, int]], allocatable: dict[str, int]
) -> None:
    lacking = {
        name
        for name in request
        if request[name]
        and request[name] + sum(b.get(name, 0) for b in bound) > allocatable.get(name, 0)
    }
    assert set(insufficient(request, bound, allocatable)) == lacking
