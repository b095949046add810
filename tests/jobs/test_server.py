"""The control socket: what it answers, and that nobody can hold up or overhear anybody else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from rota.errors import RotaError
from rota.jobs import client, protocol, requests, server, view
from rota.jobs.job import Job, Process, Waiting
from rota.jobs.line import Standing
from rota.jobs.peer import Access
from rota.jobs.server import ControlServer
from rota.jobs.view import listed, standing
from rota.model import Replica
from tests.jobs.conftest import PATIENCE, Office, one_gpu, until, wish

ABOUT = {"emulate": "t4", "run_dir": "/run/rota", "devices": [], "config": ""}


@dataclass
class Desk:
    """A server, and connections of this process to it."""

    office: Office
    server: ControlServer
    path: Path
    open: list[asyncio.StreamWriter]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        self.open.append(writer)
        return reader, writer

    async def send(self, data: bytes) -> asyncio.StreamReader:
        reader, writer = await self.connect()
        writer.write(data)
        return reader

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        return await answer(await self.send(protocol.request(op, **fields)))

    async def run(self, name: str = "job", **more: Any) -> dict[str, Any]:
        return await self.ask("run", **protocol.wish_fields(wish(name, **more)))


async def answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await asyncio.wait_for(reader.readline(), PATIENCE)
    return json.loads(line)  # type: ignore[no-any-return]


@pytest.fixture
async def desk(office: Office) -> AsyncIterator[Desk]:
    log = structlog.wrap_logger(structlog.PrintLogger(office.log))
    made = ControlServer(office.keeper, lambda: dict(ABOUT), log)
    path = office.folder / "rota.sock"
    await made.start(path, Access())
    desk = Desk(office, made, path, [])
    yield desk
    for writer in desk.open:
        writer.close()
    await made.close()


async def test_who_asks_is_known_from_the_kernel(desk: Desk) -> None:
    granted = (await desk.run())["granted"]
    (job,) = desk.office.keeper.jobs
    assert (job.id, job.root.pid, job.uid) == (granted["job"], os.getpid(), os.geteuid())
    assert granted["env"]["ROTA_REPLICAS"] == "GPU-0::0"


async def test_who_waits_is_told_for_whom_and_each_time_it_changes(desk: Desk) -> None:
    holder = desk.office.programs.start("sleep", "600")
    ahead = desk.office.programs.start("sleep", "600")
    desk.office.keeper.enter(wish("holder"), holder)
    before = desk.office.keeper.enter(wish("ahead"), ahead)
    reader = await desk.send(protocol.request("run", **protocol.wish_fields(wish())))
    first = (await answer(reader))["waiting"]
    assert (first["position"], first["why"]) == (2, "room")
    assert [each["user"] for each in first["holders"] + first["ahead"]] == ["me", "me"]
    desk.office.keeper.leave(before)
    assert (await answer(reader))["waiting"]["position"] == 1
    desk.office.programs.kill(holder)
    assert "granted" in await answer(reader)


async def test_who_hangs_up_leaves_the_line(desk: Desk) -> None:
    desk.office.keeper.enter(wish(), desk.office.programs.start("sleep", "600"))
    reader, writer = await desk.connect()
    writer.write(protocol.request("run", **protocol.wish_fields(wish())))
    await answer(reader)
    writer.close()
    await until(lambda: not desk.office.keeper.waiting)


async def test_no_wait_says_who_is_in_the_way_and_leaves(desk: Desk) -> None:
    desk.office.keeper.enter(wish("holder"), desk.office.programs.start("sleep", "600"))
    full = (await desk.run(wait=False))["full"]
    assert full["holders"][0]["id"].startswith("holder-")
    assert desk.office.keeper.waiting == ()


async def test_paging_is_refused_where_nobody_can_or_there_is_nothing_on_a_gpu(desk: Desk) -> None:
    desk.office.keeper.enter(wish("runs"), desk.office.programs.start("sleep", "600"))
    desk.office.keeper.enter(wish("waits"), desk.office.programs.start("sleep", "600"))
    for job, words in (("runs", "pages nobody"), ("waits", "in line"), ("no", "no such job")):
        assert words in (await desk.ask("pause", job=job))["error"]["what"]
    assert "cannot be" in (await desk.ask("resume", job=""))["error"]["what"]


def test_where_a_jobs_memory_is_shows_in_its_state() -> None:
    job = job_of(0)
    places = {
        "paged out": {"place": "out", "paused": False},
        "paused": {"place": "held", "paused": True},
        "paging out": {"place": "leaving", "paused": True},
        "paging in": {"place": "entering", "paused": False},
        "lost": {"place": "lost", "paused": False},
        "running": {"place": "resident", "paused": False},
    }
    for state, where in places.items():
        (shown,) = listed([job], [], 0, {job.id: where | {"bytes": 7}})
        assert shown["state"] == state
    ending = replace(job, state="ending")
    assert (
        listed([ending], [], 0, {job.id: places["paused"] | {"bytes": 7}})[0]["state"] == "ending"
    )


async def test_another_emulation_is_refused(desk: Desk) -> None:
    reply = await desk.ask("run", emulate="h200", **protocol.wish_fields(wish()))
    assert "emulates t4" in reply["error"]["what"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello\n", "no JSON"),
        (b"[" * 50000 + b"\n", "no JSON"),
        (b"[1]\n", "no JSON object"),
        (b"\xff\xfe\n", "no JSON"),
        (b"{}\n", "None asked for"),
        (b'{"v": 2, "op": "jobs"}\n', "this agent speaks 1"),
        (b'{"v": 1}\n', "without `op`"),
        (b'{"v": 1, "op": "dance"}\n', "does not know"),
        (b'{"v": 1, "op": "stop", "job": "x", "grace": 1}\n', "no such job"),
        (b'{"v": 1, "op": "stop", "job": "x", "grace": -1}\n', "cannot be"),
        (b'{"v": 1, "op": "run"}\n', "cannot be"),
        (b"x" * (protocol.LONGEST + 10) + b"\n", "more than"),
    ],
)
async def test_what_does_not_follow_the_rules_is_refused_with_a_sentence(
    desk: Desk, data: bytes, words: str
) -> None:
    reader = await desk.send(data)
    assert words in (await answer(reader))["error"]["what"]
    assert "jobs" in await desk.ask("jobs")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "-x"), ("name", "a b"), ("name", 7), ("name", "x" * 41),
        ("command", []), ("command", "sh"), ("command", ["x" * 10000]), ("command", [1]),
        ("replicas", 0), ("replicas", True), ("replicas", 10**9), ("replicas", 1.5),
        ("weight", 0), ("weight", 1e-300), ("weight", float("nan")), ("weight", float("inf")), ("weight", "1"),
        ("class", "urgent"), ("class", []), ("gpu", "x" * 200), ("gpu", None),
        ("memory", -1), ("memory", 1 << 63), ("wait", 1),
    ],
)  # fmt: skip
async def test_a_wish_out_of_bounds_is_wrong_usage(desk: Desk, key: str, value: Any) -> None:
    fields = protocol.wish_fields(wish()) | {key: value}
    reply = await desk.ask("run", **fields)
    assert (reply["error"]["where"], reply["error"]["code"]) == (f"--{key}", 2)
    assert not desk.office.keeper.jobs


async def test_a_silent_one_is_let_go_and_delays_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FIRST", 0.2)
    silent, half = await desk.connect(), await desk.connect()
    half[1].write(b'{"v": 1,')
    assert "granted" in await desk.run()
    for reader, _ in (silent, half):
        assert "no request" in (await answer(reader))["error"]["what"]
        assert await reader.read() == b""


async def test_one_that_does_not_read_is_dropped_and_leaves_the_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BACKLOG", 1 << 12)
    monkeypatch.setattr(view, "LONGEST_LIST", 200)  # so that little news is much to read
    keeper, programs = desk.office.keeper, desk.office.programs
    keeper.enter(wish("holder"), programs.start("sleep", "600"))
    other = programs.start("sleep", "600")
    ahead = [keeper.enter(wish("a" * 40), other) for _ in range(120)]
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(desk.path))
        deaf.send(protocol.request("run", **protocol.wish_fields(wish("deaf"))))
        await until(lambda: keeper.waiting[-1].wish.name == "deaf")
        for ticket in ahead:
            keeper.leave(ticket)
            for _ in range(5):
                await asyncio.sleep(0)
        await until(lambda: not keeper.waiting)
    assert [job.name for job in keeper.jobs] == ["holder"]


async def test_a_user_may_have_only_so_many_connections(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_OF_A_USER", 2)
    for _ in range(2):
        await desk.connect()
    await until(lambda: desk.server.connections == 2)
    with await asyncio.to_thread(client.connect, desk.path) as link:  # as commands ask
        await asyncio.to_thread(link.ask, "jobs")
        with pytest.raises(RotaError, match="too many"):
            await asyncio.to_thread(link.answer)
    assert "too many" in (await desk.ask("jobs"))["error"]["what"]
    desk.open.pop(0).close()
    await until(lambda: desk.server.connections < 2)
    assert "jobs" in await desk.ask("jobs")


async def test_stop_takes_an_id_or_a_name_that_is_clear(desk: Desk) -> None:
    desk.office.keeper.refit(one_gpu(3))
    first, *_ = (
        desk.office.keeper.enter(wish(name), desk.office.programs.start("sleep", "600"))
        for name in ("train", "train", "other")
    )
    assert "several jobs" in (await desk.ask("stop", job="train", grace=20))["error"]["what"]
    assert first.job
    assert (await desk.ask("stop", job=first.job.id, grace=20))["stopped"]["job"] == first.job.id
    assert (await desk.ask("stop", job="other", grace=20))["stopped"]["killed"] is False


async def test_stop_sends_one_that_waits_home(desk: Desk) -> None:
    holder, waits = (desk.office.programs.start("sleep", "600") for _ in range(2))
    desk.office.keeper.enter(wish("holder"), holder)
    desk.office.keeper.enter(wish("waits"), waits)
    assert (await desk.ask("stop", job="waits", grace=1))["stopped"]["waited"] is True
    process = desk.office.programs.started[-1]
    assert await asyncio.to_thread(process.wait, PATIENCE) == -15


async def test_the_socket_is_the_owners_alone_unless_said_otherwise(desk: Desk) -> None:
    assert desk.path.stat().st_mode & 0o777 == 0o600
    await desk.server.close()
    await desk.server.start(desk.path, Access(0o660, os.getgid()))
    assert desk.path.stat().st_mode & 0o777 == 0o660


def job_of(uid: int) -> Job:
    asked = wish("name", memory_bytes=5)
    return Job("name-x", asked, uid, "anna", Process(1, 2), (Replica("GPU-0", 1),), 3.0)


def test_others_see_that_a_job_is_there_and_nothing_of_its_command() -> None:
    job = job_of(7)
    waiting = Waiting("name-y", job.wish, 7, "anna", job.root, 3.0)
    for caller in (7, 0):
        mine = listed([job], [waiting], caller)
        assert [each["command"] for each in mine] == [["name", "secret"]] * 2
    theirs = listed([job], [waiting], 8)
    assert "secret" not in json.dumps(theirs)
    for each in theirs:
        assert each["user"] == "anna"
        assert not {"command", "pid", "pids", "weight", "since"} & set(each)


def test_a_long_list_of_holders_is_cut() -> None:
    shown = standing(Standing("room", (), (job_of(7),) * 20))
    assert (len(shown["holders"]), shown["more"]) == (8, 12)


def test_a_long_command_is_cut_and_bytes_that_are_no_text_do_no_harm() -> None:
    long = replace(wish(), command=("sh", "x" * 5000))
    assert protocol.wish_fields(long)["command"] == ["sh", "…"]
    many = replace(wish(), command=("sh", *["y"] * 200))
    odd = replace(wish(), command=("sh", "\udcff"))
    for each in (long, many, odd):
        line = protocol.request("run", **protocol.wish_fields(each))
        assert protocol.read_wish(protocol.read_request(line)[1]).command[0] == "sh"
