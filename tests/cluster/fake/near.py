"""The fake cluster without a wire, for tests that ask it thousands of things.

Requests are what `KubeApi` makes of them, and answers what it reads; only sockets are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import httpx2

from rota.cluster.kube import KubeApi
from tests.cluster.fake.http import Request
from tests.cluster.fake.server import TOKEN, FakeCluster


def near(cluster: FakeCluster) -> KubeApi:
    """A door to it. It cannot watch."""
    return KubeApi(cast("httpx2.AsyncClient", _Client(cluster)), "near")


class _Client:
    """What `KubeApi` needs of an HTTP client."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        sent = {name.lower(): value for name, value in headers.items()}
        sent["authorization"] = f"Bearer {TOKEN}"
        asked = Request(method, path, dict(params or {}), sent, content or b"")
        cut = self._cluster.cut(asked)
        if cut == "before":
            raise httpx2.RemoteProtocolError("the connection broke")
        answer = await self._cluster.answer(asked)
        if cut == "after":
            raise httpx2.RemoteProtocolError("the connection broke")
        data = json.dumps(answer.body).encode() if answer.raw is None else answer.raw
        return httpx2.Response(answer.code, content=data, headers=answer.headers)

    async def aclose(self) -> None:
        """There is nothing to hang up."""
