"""The real side of the door: HTTP to the API server that the environment names.

lightkube tells who we are and how the server is reached: the pod's service account (its token
rotates), else `$KUBECONFIG`, else ~/.kube/config; with TLS and every way to log in that it knows.
The requests are written here: its client has neither bookmarks nor metadata-only answers, which
between them make a watch on a node's pods cheap enough for thousands of nodes.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import httpx2
from lightkube.config.client_adapter import AsyncClient, ConnectionParams, verify_cluster
from lightkube.core.exceptions import ConfigError

from rota import __version__
from rota.cluster.door import (
    EVICTIONS,
    PODS,
    Away,
    Change,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Kind,
    Listing,
    NotFound,
    Object,
    View,
)
from rota.cluster.kubeconfig import BROKEN, chosen, refused

CONNECT = 10.0
"""Seconds in which the server must take a connection."""

ANSWER = 30.0
"""Seconds in which an answer must begin, and go on."""

LATE = 30.0
"""Seconds that a watch may last beyond the time that it was asked for."""

PAGE = 500
"""Objects that one answer of a fresh list may have; kubectl's number."""

LONGEST_LINE = 8 << 20
"""Bytes that one change may have: eight times what an object can."""

_META = ";g=meta.k8s.io;v=v1"
_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""A server that is gone without a word is noticed within a minute, also by a watch."""


class KubeApi:
    """The API over HTTP. `connect` makes one; nothing is asked before the first method is called."""

    def __init__(self, client: httpx2.AsyncClient, where: str) -> None:
        self._client = client
        self._where = where

    @classmethod
    def connect(cls, file: str = "", context: str = "", answer: float | None = None) -> KubeApi:
        """For the server that the environment names, or a kubeconfig and its context.

        Args:
            file: a kubeconfig; empty for the environment's.
            context: one of its contexts; empty for its current one.
            answer: seconds in which an answer must begin, and go on.

        Raises:
            ClusterError: there is none, or the credentials cannot be read.
        """
        config = chosen(file, context)
        timeout = httpx2.Timeout(answer or ANSWER, connect=min(CONNECT, answer or CONNECT))
        try:
            assert config.user is not None
            verify = verify_cluster(config.cluster, config.user, config.abs_file)
            transport = httpx2.AsyncHTTPTransport(verify=verify, socket_options=_ALIVE)
            params = ConnectionParams(timeout=timeout, transport=transport)  # type: ignore[arg-type]
            client = AsyncClient(config, params)
        except BROKEN as error:
            raise refused(error, file) from None
        client.headers["User-Agent"] = f"rota/{__version__}"
        return cls(client, config.cluster.server)

    async def list(self, view: View, *, fresh: bool = False) -> Listing:
        """All objects of a view. Errors as the door's."""
        params = _selector(view) | ({"limit": str(PAGE)} if fresh else {"resourceVersion": "0"})
        accept = _accept("PartialObjectMetadataList", view)
        items: list[Object] = []
        while True:
            answer = await self._ask("GET", _path(view), params=params, headers=accept)
            meta = answer.get("metadata") or {}
            items += answer.get("items") or ()
            if not meta.get("continue"):
                return Listing(tuple(items), str(meta.get("resourceVersion", "")))
            params["continue"] = str(meta["continue"])

    async def watch(self, view: View, version: str, seconds: float) -> AsyncGenerator[Change, None]:
        """Changes after that version. Errors as the door's, also in the middle."""
        params = _selector(view) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        asked: Mapping[str, Any] = {
            "params": params,
            "headers": _accept("PartialObjectMetadata", view),
            "timeout": httpx2.Timeout(ANSWER, connect=CONNECT, read=seconds + LATE),
        }
        with self._away():
            async with self._client.stream("GET", _path(view), **asked) as response:
                if response.status_code >= 400:
                    await response.aread()
                    _refuse(response, _path(view))
                yield Change("BOOKMARK", {})
                async for line in lines(response.aiter_bytes()):
                    yield _change(line, _path(view))

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        """One object."""
        return await self._ask("GET", kind.path(namespace, name))

    async def create(self, kind: Kind, body: Object, namespace: str = "") -> Object:
        """Make an object."""
        return await self._ask("POST", kind.path(namespace), body=body)

    async def replace(self, kind: Kind, body: Object, name: str, namespace: str = "") -> Object:
        """Put an object in its place."""
        return await self._ask("PUT", kind.path(namespace, name), body=body)

    async def merge(self, kind: Kind, body: Object, name: str, namespace: str = "") -> Object:
        """Change some fields."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return await self._ask("PATCH", kind.path(namespace, name), body=body, headers=headers)

    async def apply(
        self,
        kind: Kind,
        body: Object,
        name: str,
        manager: str,
        namespace: str = "",
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Own exactly these fields."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        params = {"fieldManager": manager, "force": "true" if force else "false"}
        params |= {"dryRun": "All"} if dry_run else {}
        path = kind.path(namespace, name)
        return await self._ask("PATCH", path, body=body, headers=headers, params=params)

    async def delete(
        self, kind: Kind, name: str, namespace: str = "", uid: str = "", propagation: str = ""
    ) -> None:
        """Delete an object."""
        body = ({"preconditions": {"uid": uid}} if uid else {}) | (
            {"propagationPolicy": propagation} if propagation else {}
        )
        await self._ask("DELETE", kind.path(namespace, name), body=body or None)

    async def fetch(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """What lies at a path, as it is."""
        return (await self._send("GET", path, params=params, headers={"Accept": "*/*"})).content

    async def evict(self, name: str, namespace: str, uid: str = "") -> None:
        """Have a pod ended with its grace. Errors as the door's."""
        body: dict[str, Any] = {
            "apiVersion": "policy/v1",
            "kind": EVICTIONS.kind,
            "metadata": {"name": name, "namespace": namespace},
        }
        if uid:
            body["deleteOptions"] = {"preconditions": {"uid": uid}}
        await self._ask("POST", f"{PODS.path(namespace, name)}/eviction", body=body)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json"}
        response = await self._send(
            method, path, content=content, headers=sent | dict(headers or {}), params=params
        )
        return _object(response.content, path)

    async def _send(self, method: str, path: str, **asked: Any) -> httpx2.Response:
        with self._away():
            response = await self._client.request(method, path, **asked)
        if response.status_code >= 400:
            _refuse(response, path)
        return response

    @contextmanager
    def _away(self) -> Iterator[None]:
        """What the HTTP client raises, as an error of ours."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise Away("no answer in time", where=f"{self._where}") from error
        except (httpx2.HTTPError, httpx2.StreamError, OSError, ConfigError) as error:
            what = str(error) or type(error).__name__
            raise Away(f"the API server cannot be reached: {what}", where=self._where) from error


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream. Only a line feed ends one: others may be within a JSON string.

    Raises:
        Away: a line without an end.
    """
    rest: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for part in whole:
            yield b"".join((*rest, part))
            rest, size = [], 0
        rest, size = [*rest, last] if last else rest, size + len(last)
        if size > LONGEST_LINE:
            raise Away("a change of unreasonable size")


def _selector(view: View) -> dict[str, str]:
    given = {"fieldSelector": view.fields, "labelSelector": view.labels}
    return {name: value for name, value in given.items() if value}


def _path(view: View) -> str:
    return view.kind.path(view.namespace)


def _accept(shape: str, view: View) -> dict[str, str]:
    kind = f"application/json;as={shape}{_META}," if view.metadata_only else ""
    return {"Accept": f"{kind}application/json"}


def _change(line: bytes, path: str) -> Change:
    raw = _object(line, path)
    if raw.get("type") == "ERROR":
        status = cast("Mapping[str, Any]", raw.get("object") or {})
        _raise(int(status.get("code") or 500), status, path)
    return Change(raw["type"], raw.get("object") or {})


def _object(data: bytes, path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        raise Away("an answer that is no JSON", where=path) from None
    if not isinstance(found, dict):
        raise Away("an answer that is no object", where=path)
    return found


def _refuse(response: httpx2.Response, path: str) -> NoReturn:
    try:
        status = response.json()
    except ValueError:  # what stands behind a proxy says it in its own way
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        status = {"message": response.text[:300].strip()} if plain else {}
    raw = response.headers.get("Retry-After", "")
    after = float(raw) if raw.isascii() and raw.isdecimal() else None
    _raise(response.status_code, status if isinstance(status, dict) else {}, path, after)


def _raise(code: int, status: Mapping[str, Any], path: str, after: float | None = None) -> NoReturn:
    what = str(status.get("message") or f"the API server answers {code}")
    if code in (401, 408, 429) or code >= 500:
        raise Away(what, where=path, after=after)
    if code == 409:
        causes = (status.get("details") or {}).get("causes") or ()
        raise Conflict(what, where=path, fields=[str(c.get("field", "")) for c in causes])
    kind = {403: Forbidden, 404: NotFound, 410: Gone}.get(code, ClusterError)
    raise kind(what, where=path)
