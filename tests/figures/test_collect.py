"""The figures of a node, from what its agent, its gatekeeper and its driver say."""

from __future__ import annotations

import os

from rota.clients.picture import Picture
from rota.figures.collect import Collector
from rota.figures.model import ClientFigures, Kind, Snapshot, State
from rota.scheduling.log import Turn
from rota.scheduling.terms import Why
from tests.figures.stand_ins import GIB, UUID, StandIn, job, pod, stranger, told

A, B = "default/a/main", "default/b/main"


def turn(client: str, end: float, waited: float = 0.2) -> Turn:
    return Turn(client, UUID, end - 0.1, end, Why.EXPIRED, waited, 0.002, 0.1)


async def look(collector: Collector) -> Snapshot:
    await collector.fresh(0.0)
    return collector.snapshot()


def of(snapshot: Snapshot, client: str) -> ClientFigures:
    return next(one for one in snapshot.clients if one.client == client)


async def test_every_state_of_a_client_is_told() -> None:
    node = StandIn(
        Picture(
            (pod("turn", 1), pod("waits", 2), pod("idle", 3), pod("open", 4), pod("absent"),
             pod("starts", starting=5)),
            (stranger(6),),
        ),
        {
            "default/turn/main": told(since=99.9),
            "default/waits/main": told(open=False, waits=99.5),
            "default/idle/main": told(wants=False, open=False),
            "default/open/main": told(ungated="its gates hang"),
        },
    )  # fmt: skip
    snapshot = await look(Collector(node, node))
    states = {one.client: one.state for one in snapshot.clients}
    assert states == {
        "default/turn/main": State.TURN,
        "default/waits/main": State.WAITS,
        "default/idle/main": State.IDLE,
        "default/open/main": State.UNGATED,
        "default/absent/main": State.ABSENT,
        "default/starts/main": State.STARTING,
        f"unmanaged/{UUID}": State.UNGATED,
    }
    assert of(snapshot, "default/open/main").why == "its gates hang"
    assert of(snapshot, "default/waits/main").waiting == 0.5
    assert of(snapshot, "default/turn/main").turn_since == 1099.9


async def test_where_there_are_no_turns_everybody_is_ungated_and_told_why() -> None:
    node = StandIn(Picture((pod("a", 7),)), off={UUID: "mode: driver"})
    snapshot = await look(Collector(node, node))
    assert (of(snapshot, A).state, of(snapshot, A).why) == (State.UNGATED, "mode: driver")
    assert snapshot.gpus[0].turns_off == "mode: driver"


async def test_share_memory_and_wishes_are_the_clients_own() -> None:
    node = StandIn(
        Picture((pod("a", 7, 8, replicas=3), job("x", 9))),
        memory_table={UUID: {"ballast": 5, "clients": {A: {"limit": 9 * GIB}}}},
    )
    snapshot = await look(Collector(node, node))
    mine, other = of(snapshot, A), of(snapshot, "job/x")
    assert (mine.replicas, mine.share, mine.weight, mine.priority) == (3, 0.75, 2.0, "batch")
    assert (mine.memory_bytes, mine.memory_limit_bytes) == (2 * GIB, 9 * GIB)
    assert (other.kind, other.job, other.user) == (Kind.JOB, "x", "ada")
    assert other.memory_limit_bytes is None
    assert snapshot.gpus[0].ballast_bytes == 5


async def test_power_is_parted_by_gpu_time() -> None:
    node = StandIn(Picture((pod("a", 7), pod("b", 8))), served={7: 0.0, 8: 0.0})
    collector = Collector(node, node)
    await look(collector)
    node.served, node.at = {7: 0.3, 8: 0.1}, 100.5
    snapshot = await look(collector)
    watts = [round(one.power_watts or 0.0, 3) for one in snapshot.clients]
    assert watts == [225.0, 75.0]


async def test_turns_are_read_to_the_moment_of_the_state_and_kept_for_the_next() -> None:
    node = StandIn(Picture((pod("a", 7),)), {A: told()}, [turn(A, n + 1.0) for n in range(5)])
    collector = Collector(node, node)
    assert of(await look(collector), A).turns == {"expired": 5}
    node.log.append(turn(A, 6.0))
    await collector.fresh_turns()
    assert len(collector.turns(0).turns) == 6
    assert of(collector.snapshot(), A).turns == {"expired": 5}
    assert of(await look(collector), A).turns == {"expired": 6}
    assert collector.turns(0).turns[-1].end == 1006.0


async def test_a_new_gatekeeper_takes_nothing_back() -> None:
    node = StandIn(Picture((pod("a", 7),)), {A: told()}, [turn(A, 1.0), turn(A, 2.0)])
    collector = Collector(node, node)
    before = of(await look(collector), A)
    node.gatekeeper = False
    assert of(await look(collector), A).turns == before.turns
    node.gatekeeper, node.starts, node.log = True, 2, [turn(A, 3.0)]
    after = of(await look(collector), A)
    assert after.turns == {"expired": 3}
    assert after.wait_seconds_total == before.wait_seconds_total + 0.2
    assert [each.number for each in collector.turns(0).turns] == [0, 1, 2]


async def test_a_driver_that_does_not_answer_leaves_gaps_and_no_zeros() -> None:
    node = StandIn(Picture((pod("a", 7),)), {A: told(since=99.0, used=1.0)})
    collector = Collector(node, node)
    node.driver = False
    snapshot = await look(collector)
    gpu = snapshot.gpus[0]
    assert (gpu.memory_used_bytes, gpu.utilization, gpu.power_watts) == (None, None, None)
    assert of(snapshot, A).gpu_seconds_total == 1.0
    assert of(snapshot, A).power_watts is None


async def test_who_is_gone_is_told_once_more_with_all_it_had() -> None:
    node = StandIn(Picture((pod("a", 7), pod("b", 8))), served={7: 1.0, 8: 2.0})
    collector = Collector(node, node)
    await look(collector)
    assert collector.scrape()[1] == ()
    node.picture, node.served = Picture((pod("b", 8),)), {7: 3.0, 8: 2.0}
    await look(collector)
    snapshot, gone = collector.scrape()
    assert [one.client for one in snapshot.clients] == [B]
    (last,) = gone
    assert (last.client, last.gpu_seconds_total, last.memory_bytes) == (A, 3.0, 0)
    assert collector.scrape()[1] == ()


async def test_who_comes_back_before_it_was_told_is_not_gone() -> None:
    node = StandIn(Picture((pod("a", 7),)), served={7: 1.0})
    collector = Collector(node, node)
    await look(collector)
    node.picture = Picture()
    await look(collector)
    node.picture = Picture((pod("a", 9),))
    node.served = {9: 0.5}
    snapshot = await look(collector)
    assert of(snapshot, A).gpu_seconds_total == 1.5
    assert collector.scrape()[1] == ()


async def test_a_process_that_may_yet_be_somebodys_is_not_shown_as_nobodys() -> None:
    node = StandIn(Picture((), (stranger(7, pending=True),)))
    assert (await look(Collector(node, node))).clients == ()


async def test_command_lines_are_left_out_where_they_are_not_wanted() -> None:
    node = StandIn(Picture((pod("a", os.getpid()),)))
    collector = Collector(node, node)
    await collector.fresh(0.0)
    (shown,) = of(collector.snapshot(), A).processes
    (withheld,) = of(collector.snapshot(commands=False), A).processes
    assert "pytest" in shown.command or "python" in shown.command
    assert withheld.command == ""
