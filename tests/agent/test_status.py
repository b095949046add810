"""What the agent says over HTTP, asked over a real socket."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from rota.agent.status import StatusServer, parse_address
from rota.errors import UsageError

state: dict[str, Any] = {"ready": False, "resources": []}


@pytest.fixture
def server() -> Iterator[StatusServer]:
    server = StatusServer("127.0.0.1:0", lambda: state)
    yield server
    server.close()


def get(server: StatusServer, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_lives_before_it_is_ready(server: StatusServer) -> None:
    state["ready"] = False
    assert get(server, "/healthz") == (200, "ok\n")
    assert get(server, "/readyz")[0] == 503
    state["ready"] = True
    assert get(server, "/readyz") == (200, "ready\n")


def test_the_whole_state_is_json(server: StatusServer) -> None:
    code, text = get(server, "/api/v1/status?pretty")
    assert code == 200
    assert json.loads(text) == state


def test_an_unknown_path_is_told_the_known_ones(server: StatusServer) -> None:
    code, text = get(server, "/metric")
    assert code == 404
    assert "/api/v1/status" in text


def test_a_silent_client_holds_nobody_up(server: StatusServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("text", "address"),
    [(":9400", ("", 9400)), ("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "9400", "localhost", "a:b", "h:70000", ":", ":٣"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9400"):
        parse_address(text)


def test_a_port_that_is_taken_is_named(server: StatusServer) -> None:
    with pytest.raises(UsageError, match=str(server.port)):
        StatusServer(f"127.0.0.1:{server.port}", lambda: state)
