"""Short calls to a kubelet's unix socket, and what their failures mean in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from rota.errors import KubeletError
from rota.kubelet.sockets import identity

LARGEST_MESSAGE = 16 * 1024 * 1024
"""What the kubelet's own clients take."""

_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    # A channel of its own each time: the shared pool would make a socket that was down a moment
    # ago wait out gRPC's own back-off.
    ("grpc.use_local_subchannel_pool", 1),
]


@asynccontextmanager
async def calling(path: Path, what: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the kubelet for one call.

    Args:
        path: the kubelet's socket.
        what: the call in words, for the error: `register nvidia.com/gpu`.

    Raises:
        KubeletError: the socket is not there, or the call failed.
    """
    if identity(path) is None:
        hint = "is the kubelet running here?"
        raise KubeletError(f"cannot {what}: no such socket", where=str(path), hint=hint)
    async with grpc.aio.insecure_channel(f"unix:{path}", options=_OPTIONS) as channel:
        try:
            yield channel
        except grpc.aio.AioRpcError as error:
            code = error.code().name.lower().replace("_", " ")
            raise KubeletError(
                f"cannot {what}: {code}: {error.details()}", where=str(path)
            ) from None
