"""GPU seconds: what the driver says, or else what the turns say; nothing counts twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rota.figures.seconds import Fare, GpuSeconds
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why

GPU = "GPU-1"
A, B = ("a", GPU), ("b", GPU)


def turn(client: str, start: float, end: float, used: float | None = None) -> Turn:
    return Turn(
        client, GPU, start, end, Why.EXPIRED, 0.0, 0.0, end - start if used is None else used
    )


def test_what_the_driver_says_counts() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4, 8: 9.0}})
    seconds.look(2.0, {}, {A: [7]}, {GPU: {7: 1.1, 8: 9.9}})
    assert seconds.total(A) == 1.1


def test_where_the_driver_does_not_say_turns_count() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(1.0, {A: Fare(0.8, 0.2)}, {A: [7]}, {})
    assert seconds.total(A) == seconds.turns(A) == 0.7


def test_a_process_that_the_driver_does_not_list_is_counted_by_its_turns() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.5)])
    seconds.look(1.0, {}, {A: [7]}, {GPU: {}})
    assert seconds.total(A) == 0.5


def test_the_last_account_of_a_process_that_ended_still_counts() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4}})
    seconds.look(2.0, {}, {}, {GPU: {7: 0.9}})
    assert seconds.total(A) == 0.9


def test_a_pid_that_another_process_has_later_is_not_the_clients() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 0.4}})
    for at in range(2, 9):
        seconds.look(float(at), {}, {A: []}, {GPU: {}})
    seconds.look(9.0, {}, {A: [], B: [7]}, {GPU: {7: 5.0}})
    assert (seconds.total(A), seconds.total(B)) == (0.4, 5.0)


def test_a_counter_never_goes_back() -> None:
    seconds = GpuSeconds()
    seconds.look(1.0, {}, {A: [7]}, {GPU: {7: 3.0}})
    seconds.look(2.0, {}, {A: [7]}, {GPU: {7: 1.0}})
    seconds.look(3.0, {}, {A: [7]}, {})
    assert seconds.total(A) == 3.0


def test_a_drain_beside_the_next_turn_counts_for_the_drained_client_only() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("a", 0.0, 0.12), turn("b", 0.1, 0.2)])
    seconds.look(1.0, {}, {A: [], B: []}, {})
    assert seconds.turns(A) == 0.12
    assert round(seconds.turns(B), 9) == 0.08


def test_a_guest_counts_for_itself_and_not_for_its_host() -> None:
    seconds = GpuSeconds()
    seconds.ended([turn("b", 0.04, 0.05), turn("a", 0.0, 0.1)])
    seconds.look(1.0, {}, {A: [], B: []}, {})
    assert round(seconds.turns(A), 9) == 0.09
    assert round(seconds.turns(B), 9) == 0.01


def test_the_part_of_the_last_second_is_told() -> None:
    seconds = GpuSeconds()
    for at, served in ((0.0, 0.0), (0.5, 0.5), (1.0, 0.5), (1.5, 0.75), (2.0, 1.0)):
        seconds.look(at, {}, {A: [7]}, {GPU: {7: served}})
    assert seconds.recent(A) == 0.5
    assert seconds.recent(B) == 0.0


stretches = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 1000),
        st.integers(1, 100),
        st.floats(0, 1),
    ),
    max_size=40,
)


@given(stretches)
def test_turn_seconds_of_all_are_never_more_than_the_time_in_which_somebody_had_a_turn(
    drawn: list[tuple[str, int, int, float]],
) -> None:
    turns = [
        turn(client, start / 100, (start + length) / 100, part * length / 100)
        for client, start, length, part in drawn
    ]
    seconds = GpuSeconds()
    seconds.ended(sorted(turns, key=lambda each: each.end))
    clients = [(name, GPU) for name in "abc"]
    seconds.look(99.0, {}, {key: [] for key in clients}, {})
    covered = {moment for each in drawn for moment in range(each[1], each[1] + each[2])}
    assert sum(seconds.turns(key) for key in clients) <= len(covered) / 100 + 1e-6
