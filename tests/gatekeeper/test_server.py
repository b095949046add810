"""The control socket, over real sockets."""

from __future__ import annotations

import asyncio
import os
import selectors
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.errors import RotaError
from rota.gatekeeper import server as module
from rota.gatekeeper.client import Control, NoGatekeeper, ask
from rota.gatekeeper.lock import only_gatekeeper
from rota.gatekeeper.messages import MessageError, encode
from rota.gatekeeper.server import LONGEST, Peer, Server, socket_path


class Host:
    """A server in a loop of its own."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.left: list[Peer] = []
        self.selector = selectors.DefaultSelector()
        self.server = Server(runtime, self.selector, self.answer, self.left.append)
        self._end = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def answer(self, peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("op") == "refuse":
            raise RotaError("not that")
        return {"said": message, "padding": "x" * int(message.get("long", 0))}

    def end(self) -> None:
        if self._end:
            return
        self._end = True
        self._thread.join()
        self.server.close()
        self.selector.close()

    def _run(self) -> None:
        while not self._end:
            for key, mask in self.selector.select(0.01):
                key.data(mask)


@pytest.fixture
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="rota"))
    made = Host(folder)
    yield made
    made.end()
    shutil.rmtree(folder)


def test_a_request_is_answered_and_a_refusal_is_an_error(host: Host) -> None:
    assert ask(host.runtime, {"op": "hello"}, 30.0)["said"] == {"op": "hello"}
    with pytest.raises(MessageError, match="not that"):
        ask(host.runtime, {"op": "refuse"}, 30.0)


def test_what_is_no_json_is_answered_with_an_error_and_the_line_stays_open(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as link, link.makefile("rb") as lines:
        link.settimeout(30)
        link.connect(str(socket_path(host.runtime)))
        link.sendall(b"{nonsense\n")
        assert b"error" in lines.readline()
        link.sendall(encode({"op": "hello"}))
        assert b"hello" in lines.readline()


def test_a_line_in_pieces_and_several_in_one(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as link, link.makefile("rb") as lines:
        link.settimeout(30)
        link.connect(str(socket_path(host.runtime)))
        for byte in encode({"op": "slow"}):
            link.sendall(bytes([byte]))
        assert b"slow" in lines.readline()
        link.sendall(encode({"op": "one"}) + encode({"op": "two"}))
        assert b"one" in lines.readline()
        assert b"two" in lines.readline()


def test_an_answer_longer_than_the_sockets_buffer_arrives_whole(host: Host) -> None:
    answer = ask(host.runtime, {"op": "hello", "long": LONGEST // 2}, 30.0)
    assert len(answer["padding"]) == LONGEST // 2


def test_who_says_too_much_is_let_go(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(30)
        link.connect(str(socket_path(host.runtime)))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            link.sendall(b"x" * (16 * LONGEST))


def test_another_user_is_not_heard(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_of", lambda link: (1, os.geteuid() + 1))
    with socket.socket(socket.AF_UNIX) as link, link.makefile("rb") as lines:
        link.settimeout(30)
        link.connect(str(socket_path(host.runtime)))
        assert b"only root" in lines.readline()
        assert lines.readline() == b"", "and that was all"


async def test_whoever_stops_waiting_for_an_answer_leaves_the_next_one_right(host: Host) -> None:
    control = await Control.connect(host.runtime)
    waiting = asyncio.create_task(control.ask({"op": "first"}))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await control.ask({"op": "second"}))["said"] == {"op": "second"}
    control.close()
    control.close()


async def test_the_gatekeepers_end_is_told_at_once_though_nobody_asks(host: Host) -> None:
    lost = asyncio.Event()
    control = await Control.connect(host.runtime, lost.set)
    assert (await control.ask({"op": "hello"}))["said"] == {"op": "hello"}
    await asyncio.to_thread(host.end)
    async with asyncio.timeout(30):
        await lost.wait()
    with pytest.raises(NoGatekeeper):
        await control.ask({"op": "hello"})
    control.close()


async def test_questions_side_by_side_get_each_its_own_answer(host: Host) -> None:
    control = await Control.connect(host.runtime)
    answers = await asyncio.gather(*(control.ask({"op": str(n)}) for n in range(50)))
    assert [answer["said"]["op"] for answer in answers] == [str(n) for n in range(50)]
    control.close()


async def test_without_a_gatekeeper_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoGatekeeper, match="rota gatekeeper"):
        ask(tmp_path, {"op": "hello"})
    with pytest.raises(NoGatekeeper, match="no gatekeeper answers"):
        await Control.connect(tmp_path)


def test_there_is_one_gatekeeper_a_folder(tmp_path: Path) -> None:
    held = only_gatekeeper(tmp_path)
    with held, pytest.raises(RotaError, match="already"), only_gatekeeper(tmp_path):
        pass
    with only_gatekeeper(tmp_path):
        pass
