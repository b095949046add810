"""The protocol: what is said arrives, and what makes no sense is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.errors import RotaError
from rota.gatekeeper.journal import Process
from rota.gatekeeper.messages import (
    ClientSpec,
    MessageError,
    Node,
    Settings,
    decode,
    encode,
    node_message,
    parse_node,
    parse_turn,
    turn_message,
)
from rota.scheduling.log import Turn
from rota.scheduling.terms import Priority, Rules, Share, Why

NODE = Node(
    Settings("exclusive", "disjoint", Rules(quantum=0.05, minimum=0.01), 0.7, 5),
    (
        ClientSpec(
            "team/pod/main",
            {"GPU-1": Share(2, 1.5, Priority.INTERACTIVE), "GPU-2": Share()},
            frozenset({Process(7, 70), Process(8, 80)}),
            frozenset({Process(8, 80)}),
            ending=True,
            ungated="unmanaged",
        ),
        ClientSpec("job/x", {"GPU-1": Share(priority=Priority.BATCH)}),
    ),
)


def test_a_node_arrives_as_it_was_told() -> None:
    assert parse_node(decode(encode(node_message(NODE)))) == NODE


@pytest.mark.parametrize(
    ("gpus", "contended"),
    [([], False), ([["A", "B"]], False), ([["A"], ["B"]], False), ([["A"], ["B", "A"]], True)],
)
def test_a_node_is_contended_where_two_clients_have_one_gpu(
    gpus: list[list[str]], contended: bool
) -> None:
    clients = [ClientSpec(str(n), dict.fromkeys(of, Share())) for n, of in enumerate(gpus)]
    assert Node(clients=tuple(clients)).contended is contended


def test_a_turn_arrives_as_it_was() -> None:
    turn = Turn("a", "GPU-1", 1.0, 2.0, Why.PREEMPTED, 0.1, 0.2, 0.9)
    assert parse_turn(decode(encode(turn_message(turn)))) == turn


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "sometimes"),
        ("handing", "somehow"),
        ("deadline", 0),
        ("attempts", 0),
        ("rules", {"quantum": -1}),
        ("rules", {"quantum": 1e9}),
        ("rules", {"quantum": "long"}),
        ("rules", {"unheard": 1}),
        ("attempts", "often"),
        ("unheard", 1),
    ],
)
def test_settings_without_sense_are_refused(key: str, value: Any) -> None:
    message = node_message(NODE)
    message["settings"][key] = value
    with pytest.raises(MessageError):
        parse_node(message)


@pytest.mark.parametrize("weight", [0, -1, 1e-300, float("inf"), float("nan"), "heavy"])
def test_shares_without_sense_are_refused(weight: Any) -> None:
    message = node_message(NODE)
    message["clients"][0]["shares"]["GPU-1"]["weight"] = weight
    with pytest.raises(MessageError):
        parse_node(message)


@pytest.mark.parametrize("pid", [float("inf"), float("nan"), "x", None])
def test_processes_without_sense_are_refused(pid: Any) -> None:
    message = node_message(NODE)
    message["clients"][0]["processes"] = [[pid, 1]]
    with pytest.raises(MessageError):
        parse_node(message)


def test_the_same_client_twice_and_one_without_a_gpu_are_refused() -> None:
    message = node_message(NODE)
    with pytest.raises(MessageError, match="twice"):
        parse_node({**message, "clients": message["clients"][:1] * 2})
    message["clients"][1]["shares"] = {}
    with pytest.raises(MessageError, match="without a GPU"):
        parse_node(message)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, database=None, max_examples=100)
@given(st.sampled_from(["settings", "clients"]), anything)
def test_whatever_is_said_is_taken_or_refused_and_nothing_else(key: str, value: Any) -> None:
    message = {**node_message(NODE), key: value}
    try:
        parse_node(decode(json.dumps(message).encode()))
    except RotaError:
        return


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b"7", b"[" * 100_000])
def test_a_line_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        decode(line)
