"""Whose a process is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rota.jobs.job import Process
from rota.jobs.members import Claim, assign
from rota.jobs.processes import Seen


def seen(pid: int, parent: int = 1, mark: str = "", uid: int = 7, started: int = 100) -> Seen:
    return Seen(Process(pid, started), parent, uid, mark)


def pids(found: frozenset[Process]) -> set[int]:
    return {process.pid for process in found}


ROOT = Process(10, 100)


def test_the_root_and_all_that_descends_from_it() -> None:
    world = [seen(10), seen(11, 10), seen(12, 11), seen(13, 1)]
    assert pids(assign(world, [Claim("a", 7, ROOT)])["a"]) == {10, 11, 12}


def test_an_orphan_is_known_by_its_mark() -> None:
    world = [seen(20, 1, "a"), seen(21, 20)]
    assert pids(assign(world, [Claim("a", 7, ROOT)])["a"]) == {20, 21}


def test_another_users_mark_says_nothing() -> None:
    assert not assign([seen(20, 1, "a", uid=8)], [Claim("a", 7, ROOT)])["a"]


def test_an_orphan_without_a_mark_is_known_if_it_was_seen_before() -> None:
    before = Claim("a", 7, None, frozenset((Process(20, 100),)))
    assert pids(assign([seen(20)], [before])["a"]) == {20}


def test_a_pid_that_another_process_has_now_is_not_the_same() -> None:
    before = Claim("a", 7, ROOT, frozenset((Process(20, 100),)))
    world = [seen(10, started=101), seen(20, started=101)]
    assert not assign(world, [before])["a"]


def test_a_job_within_a_job_is_its_own() -> None:
    world = [seen(10, mark="a"), seen(11, 10, "a"), seen(12, 11, "b"), seen(13, 12, "b")]
    found = assign(world, [Claim("a", 7, ROOT), Claim("b", 7, Process(12, 100))])
    assert (pids(found["a"]), pids(found["b"])) == ({10, 11}, {12, 13})


def test_a_process_that_becomes_another_job_leaves_the_first() -> None:
    claims = [Claim("a", 7, None, frozenset((ROOT,))), Claim("b", 7, ROOT)]
    found = assign([seen(10, mark="a")], claims)
    assert (pids(found["a"]), pids(found["b"])) == (set(), {10})


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12), st.sampled_from(["", "a", "b"]))))
def test_any_proc_even_one_in_circles_gives_each_process_to_one_job_at_most(
    raw: list[tuple[int, int, str]],
) -> None:
    world = [seen(*each) for each in raw]
    found = assign(world, [Claim("a", 7, ROOT), Claim("b", 7, Process(3, 100))])
    assert not found["a"] & found["b"]
    assert pids(found["a"]) | pids(found["b"]) <= {each[0] for each in raw}
