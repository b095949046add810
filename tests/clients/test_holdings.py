"""What containers hold, through answers of the kubelet that know only half."""

from __future__ import annotations

from rota.clients.holdings import Holdings
from rota.clients.logs import ContainerName
from rota.kubelet.pod_resources import PodAllocation

ONE = PodAllocation("ml", "one", "main", "nvidia.com/gpu", ("G::0", "G::1"))
TWO = PodAllocation("ml", "two", "main", "nvidia.com/gpu", ("G::2",))
ALIVE = {ContainerName("ml", "one", "main"), ContainerName("ml", "two", "main")}


def test_what_the_kubelet_lists_is_held_whether_anything_runs_or_not() -> None:
    holdings = Holdings()
    holdings.listed([ONE, TWO])
    assert holdings.now(()) == (ONE, TWO)


def test_a_kubelet_that_has_just_started_takes_nothing_from_those_that_run() -> None:
    holdings = Holdings()
    holdings.listed([ONE, TWO])
    holdings.listed([])
    holdings.listed([])
    assert holdings.now(ALIVE) == (ONE, TWO)
    holdings.listed([TWO, ONE])
    assert holdings.now(ALIVE) == (TWO, ONE)


def test_what_is_listed_no_more_is_free_when_its_processes_have_ended() -> None:
    holdings = Holdings()
    holdings.listed([ONE, TWO])
    holdings.listed([])
    assert holdings.now(ALIVE - {ContainerName("ml", "one", "main")}) == (TWO,)
    assert holdings.now(ALIVE) == (TWO,)


def test_what_somebody_else_was_given_is_no_longer_held() -> None:
    holdings = Holdings()
    holdings.listed([ONE])
    next_one = PodAllocation("ml", "next", "main", "nvidia.com/gpu", ("G::1",))
    holdings.listed([next_one])
    assert holdings.now(ALIVE) == (next_one,)


def test_the_kubelets_last_word_about_a_container_counts() -> None:
    holdings = Holdings()
    holdings.listed([ONE])
    fewer = PodAllocation("ml", "one", "main", "nvidia.com/gpu", ("G::3",))
    holdings.listed([fewer])
    assert holdings.now(ALIVE) == (fewer,)
