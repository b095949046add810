"""Pauses grow, are never in step, and end with a success."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rota.kubelet.backoff import Backoff


@given(st.integers(0, 2000), st.integers())
def test_a_pause_is_between_half_and_the_whole_of_its_delay(failures: int, seed: int) -> None:
    backoff = Backoff(first=0.05, most=10.0, failures=failures, jitter=Random(seed))
    delay = min(10.0, 0.05 * 2 ** min(failures, 20))
    assert delay / 2 <= backoff.fail() <= delay


def test_a_success_starts_again_with_the_shortest() -> None:
    backoff = Backoff(first=1.0, most=100.0)
    for _ in range(5):
        backoff.fail()
    backoff.succeed()
    assert backoff.fail() <= 1.0
