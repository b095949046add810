"""Jobs are followed to the end of their last process, whatever happens to them or to the agent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rota.errors import RotaError
from rota.jobs import processes
from tests.jobs.conftest import Office, one_gpu, until, wish

SLEEP = ("sleep", "600")


async def test_a_job_holds_replicas_while_its_process_lives(office: Office) -> None:
    caller = office.programs.start(*SLEEP)
    ticket = office.keeper.enter(wish(), caller)
    assert ticket.job is not None
    assert [job.id for job in office.keeper.jobs] == [ticket.job.id]
    office.programs.kill(caller)
    await until(lambda: not office.keeper.jobs)


async def test_the_next_in_line_follows(office: Office) -> None:
    first, second = office.programs.start(*SLEEP), office.programs.start(*SLEEP)
    office.keeper.enter(wish("first"), first)
    waits = office.keeper.enter(wish("second"), second)
    assert waits.job is None
    standing = office.keeper.standing(waits)
    assert (standing.why, standing.ahead) == ("room", ())
    assert [job.name for job in standing.holders] == ["first"]
    office.programs.kill(first)
    await until(lambda: waits.job)


async def test_who_leaves_the_line_is_not_waited_for(office: Office) -> None:
    holder, *others = (office.programs.start(*SLEEP) for _ in range(3))
    office.keeper.enter(wish(), holder)
    leaves, stays = (office.keeper.enter(wish(), each) for each in others)
    office.keeper.leave(leaves)
    office.programs.kill(holder)
    await until(lambda: stays.job)
    assert leaves.job is None


async def test_a_background_child_keeps_the_replicas(office: Office) -> None:
    caller = office.programs.start(*SLEEP)
    ticket = office.keeper.enter(wish(), caller)
    assert ticket.job
    id_ = ticket.job.id
    child = office.programs.start(*SLEEP, ROTA_JOB=id_)
    office.programs.kill(caller)
    await until(lambda: office.keeper.jobs[0].processes == {child.process})
    office.programs.kill(child)
    await until(lambda: not office.keeper.jobs)


async def test_a_child_without_the_mark_that_was_seen_keeps_them_too(office: Office) -> None:
    shell = "env -i setsid sleep 600 & sleep 600"
    caller = office.programs.start("sh", "-c", shell)
    ticket = office.keeper.enter(wish(), caller)
    assert ticket.job
    id_ = ticket.job.id
    while len(await office.keeper.look(id_)) < 3:
        pass
    office.programs.kill(caller)
    assert len(await office.keeper.look(id_)) == 2
    await office.keeper.stop(id_, 10)


async def test_a_new_agent_finds_the_jobs_again(office: Office) -> None:
    lives, dies = office.programs.start(*SLEEP), office.programs.start(*SLEEP)
    office.keeper.refit(one_gpu(2))
    kept, lost = (office.keeper.enter(wish(), each) for each in (lives, dies))
    assert kept.job
    assert lost.job
    office.programs.kill(dies)
    keeper = await office.reopen()
    assert [job.id for job in keeper.jobs] == [kept.job.id]
    assert keeper.jobs[0].replicas == kept.job.replicas
    assert keeper.jobs[0].wish == kept.job.wish
    office.programs.kill(lives)
    await until(lambda: not keeper.jobs)


async def test_a_pid_that_is_another_process_now_is_no_job(office: Office) -> None:
    caller = office.programs.start(*SLEEP)
    office.keeper.enter(wish(), caller)
    path = office.folder / "jobs.json"
    await office.close()
    raw = json.loads(path.read_text())
    raw["jobs"][0]["root"][1] += 1
    raw["jobs"][0]["processes"] = [[caller.process.pid, caller.process.started + 1]]
    path.write_text(json.dumps(raw))
    keeper = await office.reopen()
    assert not keeper.jobs


async def test_a_damaged_list_of_jobs_is_said_and_left_alone(office: Office) -> None:
    (office.folder / "jobs.json").write_text('{"v": 1, "jobs": ')
    keeper = await office.reopen()
    assert not keeper.jobs
    assert "no earlier job is found again" in office.log.getvalue()


async def test_a_list_that_others_may_write_is_not_believed(office: Office) -> None:
    office.keeper.enter(wish(), office.programs.start(*SLEEP))
    (office.folder / "jobs.json").chmod(0o666)
    keeper = await office.reopen()
    assert not keeper.jobs


async def test_stop_ends_every_process_and_kills_what_does_not_listen(office: Office) -> None:
    stubborn = "trap '' TERM; echo; while :; do sleep 0.1; done"
    caller = office.programs.start("sh", "-c", f"{stubborn} & {stubborn}")
    ticket = office.keeper.enter(wish(), caller)
    assert ticket.job
    while len(await office.keeper.look(ticket.job.id)) < 4:  # both have their traps set
        pass
    assert await office.keeper.stop(ticket.job.id, 0.1) is True
    assert not office.keeper.jobs


async def test_a_stopped_program_hears_that_it_is_to_end(office: Office) -> None:
    caller = office.programs.start("sh", "-c", "kill -STOP $$; sleep 600")
    ticket = office.keeper.enter(wish(), caller)
    assert ticket.job
    await until(lambda: _state(caller.process.pid) == "T")
    assert await office.keeper.stop(ticket.job.id, 20) is False


async def test_stopping_what_is_not_there_is_an_error(office: Office) -> None:
    with pytest.raises(RotaError, match="no such job"):
        await office.keeper.stop("nothing", 1)


async def test_the_same_process_asking_again_gives_back_what_it_had(office: Office) -> None:
    caller = office.programs.start(*SLEEP)
    first = office.keeper.enter(wish("outer"), caller)
    again = office.keeper.enter(wish("inner"), caller)
    await until(lambda: again.job)
    assert first.job
    assert [job.name for job in office.keeper.jobs] == ["inner"]


async def test_one_that_ended_before_it_was_served_holds_nothing(office: Office) -> None:
    caller = office.programs.start(*SLEEP)
    office.programs.kill(caller)
    office.keeper.enter(wish(), caller)
    await until(lambda: not office.keeper.jobs)


async def test_a_smaller_config_tells_who_waits_in_vain(office: Office) -> None:
    office.keeper.refit(one_gpu(2))
    holder, large = office.programs.start(*SLEEP), office.programs.start(*SLEEP)
    office.keeper.enter(wish(), holder)
    waits = office.keeper.enter(wish(replicas=2), large)
    office.keeper.refit(one_gpu(1))
    assert waits.refused
    assert "this machine has 1" in waits.refused.what
    assert office.keeper.waiting == ()


async def test_the_environment_names_the_devices_and_the_job(office: Office) -> None:
    office.keeper.refit(one_gpu(4))
    ticket = office.keeper.enter(wish(replicas=2), office.programs.start(*SLEEP))
    assert ticket.job
    assert office.keeper.environment(ticket.job) == {
        "CUDA_VISIBLE_DEVICES": "GPU-0",
        "NVIDIA_VISIBLE_DEVICES": "GPU-0",
        "ROTA_JOB": ticket.job.id,
        "ROTA_REPLICAS": "GPU-0::0,GPU-0::1",
    }


def test_this_process_is_seen_with_its_parent_and_user() -> None:
    me = next(seen for seen in processes.look() if seen.process.pid == os.getpid())
    assert (me.parent, me.uid) == (os.getppid(), os.geteuid())
    assert processes.started(os.getpid()) == me.process.started


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
