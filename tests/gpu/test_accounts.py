"""GPU time by process, summed from NVML's samples."""

from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.gpu.accounts import Ledger, Sample

CALM = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""No clock judges a property, and each run looks at the same examples."""

START = 1_700_000_000_000_000
MS = 1000


class Nvml:
    """Samples that come one after the other."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def __call__(self, since: int) -> Iterable[Sample]:
        return [sample for sample in self.samples if sample.at > since]


def ledger(nvml: Nvml, *dead: int) -> Ledger:
    made = Ledger(nvml, lives=lambda pid: pid not in dead)
    made.look(START + 250 * MS)
    return made


def test_a_process_that_has_half_of_the_gpu_for_a_second_had_half_a_second() -> None:
    nvml = Nvml()
    accounts = ledger(nvml)
    for step in range(1, 6):
        nvml.samples.append(Sample(1, START + step * 200 * MS, 50))
        seconds = accounts.look(START + step * 200 * MS + 20 * MS)
    assert abs(seconds[1] - 0.5) < 1e-9


def test_the_parts_of_those_that_took_turns_are_of_the_whole_time_between_two_looks() -> None:
    nvml = Nvml()
    accounts = ledger(nvml)
    nvml.samples = [Sample(1, START + 400 * MS, 40), Sample(2, START + 1000 * MS, 60)]
    seconds = accounts.look(START + 1020 * MS)
    assert seconds == {1: 0.4, 2: 0.6}


def test_what_happened_before_the_first_look_is_not_known() -> None:
    nvml = Nvml()
    nvml.samples = [Sample(1, START - 5, 100)]
    assert ledger(nvml).look(START + 300 * MS) == {}


def test_a_sample_is_counted_once() -> None:
    nvml = Nvml()
    accounts = ledger(nvml)
    nvml.samples = [Sample(1, START + 200 * MS, 100)]
    first = accounts.look(START + 220 * MS)
    assert accounts.look(START + 221 * MS) == first == {1: 0.2}


def test_idle_time_before_a_sample_is_not_the_newcomers() -> None:
    nvml = Nvml()
    accounts = ledger(nvml)
    accounts.look(START + 60_000 * MS)
    nvml.samples = [Sample(1, START + 60_000 * MS, 100)]
    assert accounts.look(START + 60_020 * MS)[1] <= 0.25


def test_junk_is_not_counted() -> None:
    nvml = Nvml()
    accounts = ledger(nvml)
    nvml.samples = [Sample(1, START + 200 * MS, 2**32 - 1), Sample(2, START + 200 * MS, 101)]
    assert accounts.look(START + 220 * MS) == {}


def test_a_process_that_ended_is_forgotten() -> None:
    nvml = Nvml()
    accounts = ledger(nvml, 1)
    nvml.samples = [Sample(1, START + 200 * MS, 100), Sample(2, START + 200 * MS, 100)]
    assert list(accounts.look(START + 220 * MS)) == [2]


@CALM
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3000), st.integers(0, 100))))
def test_time_only_grows_and_is_never_more_than_passed(
    steps: list[tuple[int, int, int]],
) -> None:
    nvml, now = Nvml(), START + 250 * MS
    accounts, before = ledger(nvml), dict[int, float]()
    for pid, passed, percent in steps:
        now += passed * MS
        nvml.samples.append(Sample(pid, now, percent))
        after = accounts.look(now)
        assert all(after[pid] >= seconds for pid, seconds in before.items())
        before = dict(after)
    assert all(seconds <= (now - START) / 1e6 + 1e-9 for seconds in before.values())
