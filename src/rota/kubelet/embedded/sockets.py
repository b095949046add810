"""Unix sockets that gRPC serves on and dials: one place for their limits and their leftovers."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import grpc

from rota.errors import KubeletError

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux, without the closing NUL."""

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
)
"""A channel of one's own (else a plugin that comes back meets the back-off of its predecessor),
and the authority that kubelets send."""


def check_length(path: Path) -> None:
    """Refuse a path that no socket can have.

    Raises:
        KubeletError: with the length and what to do.
    """
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise KubeletError(
            f"a socket's path has at most {LONGEST_PATH} bytes, this one has {length}",
            where=str(path),
            hint="choose a folder with a shorter path",
        )


def new_server() -> grpc.aio.Server:
    """A server that is not started yet; services are added before it gets its socket."""
    return grpc.aio.server(options=(("grpc.so_reuseport", 0),))


async def serve(server: grpc.aio.Server, path: Path) -> None:
    """Listen on a socket that is made anew.

    Raises:
        KubeletError: the path is too long, or nothing can be bound there.
    """
    check_length(path)
    try:
        remove(path)
        server.add_insecure_port(f"unix:{path}")
    except (RuntimeError, OSError) as error:
        raise KubeletError(f"cannot listen there: {error}", where=str(path)) from None
    await server.start()


def dial(path: Path) -> grpc.aio.Channel:
    """A channel to a socket; it connects on first use.

    Raises:
        KubeletError: the path is too long.
    """
    check_length(path)
    return grpc.aio.insecure_channel(f"unix:{path}", options=OPTIONS)


def remove(path: Path) -> None:
    """Remove a file or a socket; nothing there is well too."""
    path.unlink(missing_ok=True)


def clean(folder: Path, keep: Path) -> tuple[Path, ...]:
    """Remove every file and socket in a folder but one, as a kubelet does when it starts.

    Plugins take the loss of their socket for the sign to register again. Folders stay.
    """
    removed = []
    for path in sorted(folder.iterdir()):
        if path == keep or stat.S_ISDIR(path.lstat().st_mode):
            continue
        remove(path)
        removed.append(path)
    return tuple(removed)
