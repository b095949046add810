"""Unix sockets in the kubelet's folder: names, who listens, and taking a name over.

gRPC removes a socket's path when the server that bound it goes, even if another one has taken its
place by then. So a server binds a name of its own, which is then linked to the public one: that is
one step, it fails where somebody else holds the name, and what goes later removes nothing.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path
from typing import TypeAlias

from rota.errors import KubeletError

LONGEST_PATH = 107
"""Bytes in a unix socket's path (sun_path less its final zero)."""

HIDDEN = ".rota-"

Identity: TypeAlias = tuple[int, int, int]
"""Device, inode and change time (ns): a socket made anew has another one, even on the same inode."""


def socket_name(resource: str) -> str:
    """`nvidia-<name>.sock`, NVIDIA's form; a foreign domain stays in the name to keep it unique."""
    domain, _, name = resource.rpartition("/")
    full = name if domain in ("", "nvidia.com") else f"{name}.{domain}"
    return f"nvidia-{re.sub(r'[^A-Za-z0-9._-]', '-', full)}.sock"


def identity(path: Path) -> Identity | None:
    """Which file this is now; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def is_live(path: Path) -> bool:
    """Somebody listens on this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def hidden_name(folder: Path) -> Path:
    """A fresh name to bind in this folder.

    Raises:
        KubeletError: there is no such folder, or its path is too long for a socket in it.
    """
    if not folder.is_dir():
        hint = "is the kubelet running here? Its folder can be named with --kubelet-dir"
        raise KubeletError(
            "the kubelet's device plugin folder is not there", where=str(folder), hint=hint
        )
    return folder / f"{HIDDEN}{os.urandom(4).hex()}"


def sweep(folder: Path) -> None:
    """Remove what an agent left that was killed between binding a socket and publishing it."""
    for path in folder.glob(f"{HIDDEN}*"):
        if not is_live(path):
            path.unlink(missing_ok=True)


def checked_length(path: Path) -> Path:
    """The path, if a socket can have it.

    Raises:
        KubeletError: it is longer than the kernel takes.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        what = f"a socket's path has at most {LONGEST_PATH} bytes"
        raise KubeletError(what, where=str(path), hint="choose a shorter --kubelet-dir")
    return path


def why_not_bound(path: Path) -> str:
    """What the kernel says to a socket there, which gRPC keeps to itself; empty if it says nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(str(path))
            path.unlink(missing_ok=True)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def publish(hidden: Path, public: Path) -> Identity:
    """Give a bound socket its public name; a stale one (of a killed agent) makes way.

    Returns:
        The identity of the socket under its public name.

    Raises:
        KubeletError: somebody listens there, or the folder does not take it.
    """
    try:
        _link(hidden, public)
        hidden.unlink(missing_ok=True)
    except OSError as error:
        what = f"cannot put the socket there: {error.strerror}"
        raise KubeletError(what, where=str(public)) from None
    found = identity(public)
    if found is None:
        raise KubeletError("the socket went as soon as it was made", where=str(public))
    return found


def withdraw(public: Path, ours: Identity) -> None:
    """Remove a socket, if it still is the one that we published."""
    if identity(public) == ours:
        public.unlink(missing_ok=True)


def _link(hidden: Path, public: Path) -> None:
    try:
        public.hardlink_to(hidden)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        if is_live(public):
            what = "another device plugin serves on this socket"
            hint = "one agent a node: stop the other agent, or NVIDIA's device plugin"
            raise KubeletError(what, where=str(public), hint=hint) from None
        public.unlink()
        public.hardlink_to(hidden)
