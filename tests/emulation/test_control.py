"""Who may close a gate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.emulation import layout, wire
from rota.emulation.gates import EmulatedGates
from rota.gpu.doors import GateState

if TYPE_CHECKING:
    from tests.emulation.conftest import Puppet, Room


LAUNCH = b'{"op":"launch","device":"GPU","ticket":1,"seconds":Infinity}'


@pytest.fixture
def room(shared_room: Room) -> Room:
    return shared_room


@pytest.fixture
def puppet(room: Room) -> Puppet:
    program = room.puppet()
    program.do("context = cuda.init().context(0)")
    return program


def test_the_same_user_and_root_are_trusted_and_nobody_else() -> None:
    assert wire.trusted(0)
    assert wire.trusted(os.geteuid())
    assert not wire.trusted(54321)


def test_the_caller_is_known_from_the_kernel(room: Room, puppet: Puppet) -> None:
    with wire.connect(layout.gate_path(room.folder, puppet.pid)) as link:
        assert wire.peer(link)[0] == puppet.pid


@pytest.mark.parametrize("packet", [b"nonsense", b"[1]", b'{"op":"explode"}', b'{"op":"close"}'])
def test_nonsense_ends_the_connection_and_harms_nothing(
    room: Room, puppet: Puppet, packet: bytes
) -> None:
    with wire.connect(layout.gate_path(room.folder, puppet.pid), 30.0) as link:
        link.send(packet)
        assert wire.receive(link) is None
    gates = EmulatedGates(room.folder)
    assert gates.state(puppet.pid, puppet.started) is GateState.OPEN
    gates.forget()


def test_the_engine_survives_nonsense_too(room: Room, puppet: Puppet) -> None:
    for packet in (
        b"nonsense",
        b"[1]",
        b"{}",
        b'{"op":"context","device":7}',
        b'{"op":"launch"}',
        LAUNCH,
    ):
        with wire.connect(layout.socket_path(room.folder), 30.0) as link:
            link.send(packet)
            answer = wire.receive(link)
            assert answer is None or "error" in answer
    assert puppet.do("context.memory()[1]") == 15 * 2**30
    assert Path(f"/proc/{room.emulation.pid}").exists()
