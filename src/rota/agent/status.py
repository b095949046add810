"""What the agent tells over HTTP: whether it lives, whether it serves, and what it serves.

`/healthz` answers 200 while the agent's loop runs, `/readyz` 200 once every resource is registered,
`/api/v1/status` the whole state as JSON. Read-only; standard library; requests are answered in
threads of their own from a snapshot that the loop replaces, so that a reader never waits for the
loop nor the loop for a reader.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rota.errors import UsageError

Snapshot = Mapping[str, Any]


def parse_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9400`, `:9400` (every address) or `[::1]:9400` as host and port.

    Raises:
        UsageError: it is none of them.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(
            f"'{text}' is no address to listen on",
            where="--listen",
            hint="HOST:PORT, such as 127.0.0.1:9400, or :9400 for every address",
        )
    return host.strip("[]"), int(port)


class StatusServer:
    """Serves the latest snapshot until closed."""

    def __init__(self, address: str, snapshot: Callable[[], Snapshot]) -> None:
        """Listen on `address`; `snapshot` is called for each request, from any thread.

        Raises:
            UsageError: the address is malformed or cannot be listened on.
        """
        host, port = parse_address(address)
        try:
            self._server = _server(host)((host, port), _handler(snapshot))
        except OSError as error:
            raise UsageError(
                f"cannot listen on {address}: {error.strerror or error}", where="--listen"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="status")
        self._thread.daemon = True
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it really listens on (they differ where port 0 was asked for)."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering. Twice is once."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server(host: str) -> type[ThreadingHTTPServer]:
    import socket

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up before its answer is no news, unlike a fault of ours."""
            if not isinstance(sys.exception(), OSError):
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    return Server


def _handler(snapshot: Callable[[], Snapshot]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            state = snapshot()
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(HTTPStatus.OK, "text/plain", "ok\n")
                case "/readyz" if state["ready"]:
                    self._answer(HTTPStatus.OK, "text/plain", "ready\n")
                case "/readyz":
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", "not yet\n")
                case "/api/v1/status":
                    self._answer(HTTPStatus.OK, "application/json", json.dumps(state) + "\n")
                case _:
                    self._answer(
                        HTTPStatus.NOT_FOUND, "text/plain", "/healthz /readyz /api/v1/status\n"
                    )

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes come every few seconds; the agent's log is for what happens."""

    return Handler
