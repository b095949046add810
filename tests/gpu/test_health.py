"""When a GPU is unhealthy, and when it is well again."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.gpu.health import APPLICATION_XIDS, Change, HealthTracker, XidFilter
from rota.model import HealthEvent

CALM = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""No clock judges a property, and each run looks at the same examples."""

A, B = "GPU-a", "GPU-b"
WELL = {A: "", B: ""}


def xids(disable: str = "", enable: str = "") -> XidFilter:
    return XidFilter.from_env(
        {"DP_DISABLE_HEALTHCHECKS": disable, "DP_ENABLE_HEALTHCHECKS": enable}
    )


def test_a_critical_xid_marks_its_gpu_and_no_other() -> None:
    tracker = HealthTracker([A, B])
    assert tracker.event(HealthEvent(A, 79), now=5.0) == (
        Change(A, False, "Xid 79: GPU has fallen off the bus"),
    )
    assert not tracker.healthy(A)
    assert tracker.healthy(B)


@pytest.mark.parametrize("xid", sorted(APPLICATION_XIDS))
def test_an_xid_that_a_program_caused_is_skipped(xid: int) -> None:
    assert HealthTracker([A]).event(HealthEvent(A, xid), now=0.0) == ()


def test_an_event_of_no_known_gpu_marks_all() -> None:
    changes = HealthTracker([A, B]).event(HealthEvent(None, 79), now=0.0)
    assert [change.uuid for change in changes] == [A, B]


def test_an_event_of_a_gpu_that_is_not_watched_marks_none() -> None:
    assert HealthTracker([A]).event(HealthEvent("GPU-x", 79), now=0.0) == ()


def test_an_error_that_is_no_xid_marks_the_gpu_with_its_own_words() -> None:
    (change,) = HealthTracker([A]).event(HealthEvent(A, 0, "double-bit ECC"), now=0.0)
    assert change.reason == "double-bit ECC"


def test_a_second_error_is_no_second_change() -> None:
    tracker = HealthTracker([A])
    tracker.event(HealthEvent(A, 79), now=0.0)
    assert tracker.event(HealthEvent(A, 95), now=1.0) == ()
    assert tracker.unhealthy[A].reason == "Xid 95: uncontained memory error"


def test_a_gpu_is_well_again_after_60_quiet_seconds_and_says_how_long_it_was_out() -> None:
    tracker = HealthTracker([A, B])
    tracker.event(HealthEvent(A, 95), now=100.0)
    assert tracker.tick(159.9, WELL) == ()
    (change,) = tracker.tick(160.0, WELL)
    assert (change.uuid, change.healthy, change.seconds_out) == (A, True, 60.0)
    assert "Xid 95" in change.reason
    assert tracker.healthy(A)


def test_each_error_starts_the_quiet_time_anew() -> None:
    tracker = HealthTracker([A])
    tracker.event(HealthEvent(A, 95), now=0.0)
    tracker.event(HealthEvent(A, 95), now=50.0)
    assert tracker.tick(109.0, WELL) == ()
    assert tracker.tick(110.0, WELL)[0].seconds_out == 110.0


def test_a_gpu_stays_out_while_the_driver_asks_for_recovery() -> None:
    tracker = HealthTracker([A])
    tracker.event(HealthEvent(A, 95), now=0.0)
    assert tracker.tick(1000.0, {A: "reset"}) == ()
    assert tracker.tick(1001.0, {A: ""})[0].healthy


def test_a_recovery_action_marks_a_gpu_without_any_event() -> None:
    tracker = HealthTracker([A, B])
    (change,) = tracker.tick(7.0, {A: "reset", B: ""})
    assert (change.uuid, change.healthy) == (A, False)
    assert "reset" in change.reason
    assert tracker.tick(8.0, {A: "reset", B: ""}) == ()


def test_a_gpu_that_cannot_be_asked_stays_as_it_is() -> None:
    tracker = HealthTracker([A, B])
    tracker.event(HealthEvent(A, 79), now=0.0)
    assert tracker.tick(1000.0, {B: ""}) == ()
    assert not tracker.healthy(A)


def test_gpus_that_stay_keep_their_health_when_others_come_or_go() -> None:
    tracker = HealthTracker([A])
    tracker.event(HealthEvent(A, 79), now=0.0)
    tracker.watch([A, B])
    assert not tracker.healthy(A)
    tracker.watch([B])
    assert tracker.unhealthy == {}


@pytest.mark.parametrize("word", ["all", "xids", "ALL", " xids ", "13,all"])
def test_disabling_all_skips_every_error_and_every_recovery_action(word: str) -> None:
    tracker = HealthTracker([A], xids(disable=word))
    assert tracker.event(HealthEvent(A, 79), now=0.0) == ()
    assert tracker.event(HealthEvent(A, 0, "ECC"), now=0.0) == ()
    assert tracker.tick(0.0, {A: "reset"}) == ()


def test_a_list_of_xids_is_skipped_beside_those_of_applications() -> None:
    chosen = xids(disable="79, 48")
    assert [chosen.skips(xid) for xid in (79, 48, 31, 95)] == [True, True, True, False]


def test_enabling_wins_over_disabling_and_over_nvidias_list() -> None:
    chosen = xids(disable="all", enable="31")
    assert not chosen.skips(31)
    assert chosen.skips(79)
    assert not xids(enable="all").skips(13)


def test_what_is_no_xid_in_the_variables_is_kept_for_the_log() -> None:
    chosen = xids(disable="79,seventy,0,-1", enable="³")
    assert chosen.malformed == ("seventy", "0", "-1", "³")
    assert chosen.skips(79)


@CALM
@given(
    st.lists(
        st.tuples(
            st.floats(0, 30),
            st.one_of(st.integers(1, 150), st.sampled_from(["", "reset"]), st.none()),
        )
    )
)
def test_changes_alternate_and_time_out_is_what_passed(
    steps: list[tuple[float, int | str | None]],
) -> None:
    tracker, now, out_since = HealthTracker([A]), 0.0, None
    for passed, sign in steps:
        now += passed
        if isinstance(sign, int):
            changes = tracker.event(HealthEvent(A, sign), now)
        else:
            changes = tracker.tick(now, {} if sign is None else {A: sign})
        for change in changes:
            assert change.healthy == (out_since is not None)
            assert change.seconds_out == (now - out_since if out_since is not None else 0.0)
            out_since = None if change.healthy else now
        assert tracker.healthy(A) == (out_since is None)


def test_every_xid_is_counted_also_one_that_leaves_the_gpu_well() -> None:
    tracker = HealthTracker(["GPU-0", "GPU-1"])
    for gpu, xid in (("GPU-0", 79), ("GPU-0", 31), ("GPU-0", 31), (None, 48), ("GPU-1", 0)):
        tracker.event(HealthEvent(gpu, xid), 1.0)
    assert tracker.xids == {"GPU-0": {79: 1, 31: 2, 48: 1}, "GPU-1": {48: 1}}
    assert tracker.last_xids == {"GPU-0": 48, "GPU-1": 48}
