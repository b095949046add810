"""The server: URLs, verbs, rights, watches, and faults on demand."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tests.cluster.fake import http
from tests.cluster.fake.discovery import discovered
from tests.cluster.fake.http import Request, Response
from tests.cluster.fake.store import Past, Problem, Store, Thing

TOKEN = "a-token-of-the-test"
BOOKMARK = 0.5
"""Seconds between bookmarks; a minute on a real one."""


@dataclass(frozen=True)
class Asked:
    """What a request wants, in RBAC's words."""

    verb: str
    group: str
    plural: str
    namespace: str
    name: str
    version: str = ""
    rest: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class FakeCluster:
    """An API server on a port of its own.

    Attributes:
        store: the objects.
        asked: every request, in order.
        delay: seconds that each answer waits.
        forbidden: (verb, plural) that are refused whatever the rules say.
        rules: RBAC rules with their namespace (None: everywhere); None allows everything.
        failing: a status code that every request is answered with; 0 for none.
        parts: what lies below objects, such as `pods/log` → called with namespace, name and the
            rest of the path; its bytes are the answer.
        cut: which requests break the connection, before they are done or after.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.asked: list[Asked] = []
        self.delay = 0.0
        self.failing = 0
        self.forbidden: set[tuple[str, str]] = set()
        self.rules: list[tuple[str | None, Thing]] | None = None
        self.parts: dict[str, Callable[[str, str, str], Awaitable[bytes]]] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.watching = 0
        self.cut: Callable[[Request], Literal["", "before", "after"]] = lambda _: ""

    async def start(self) -> None:
        """Listen; again on the same port after `stop`."""
        self._server = await asyncio.start_server(self._link, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away: every connection breaks, and none is taken."""
        if self._server:
            self._server.close()
        for link in tuple(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        self._server = None

    async def hang_up(self) -> None:
        """Break every connection, and go on listening."""
        for link in tuple(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [
                {
                    "name": "fake",
                    "cluster": {
                        "server": f"http://127.0.0.1:{self.port}",
                        "insecure-skip-tls-verify": True,
                    },
                }
            ],
            "users": [{"name": "fake", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
        path.write_text(json.dumps(document))
        return path

    def allow_only(self, manifests: Iterable[Thing]) -> None:
        """Enforce the rules of ClusterRoles and Roles."""
        self.rules = [
            (each["metadata"].get("namespace"), rule)
            for each in manifests
            for rule in each.get("rules", [])
        ]

    def count(self, verb: str, plural: str) -> int:
        """How often that was asked."""
        return Counter((one.verb, one.plural) for one in self.asked)[verb, plural]

    def events(self, reason: str = "") -> list[Thing]:
        """The Events that were written."""
        return [e for e in self.store.all("events") if reason in ("", e["reason"])]

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._links.add(task)
        try:
            while request := await http.read(reader):
                cut = self.cut(request)
                if cut == "before":
                    break
                answer = await self.answer(request)
                if cut == "after":
                    break
                await http.write(writer, answer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side hung up, or this one does
        finally:
            self._links.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def answer(self, request: Request) -> Response:
        """What a request is answered with, by whatever way it came."""
        try:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise Problem(401, "Unauthorized")
            if kinds := discovered(request.path):
                return Response(200, kinds)
            asked = parse(request)
            self.asked.append(asked)
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.failing:
                raise Problem(self.failing, "the server is out of order")
            self._judge(asked, request)
            if asked.verb == "get" and "/" in asked.plural:
                return await self._part(asked)
            return self._do(asked, request)
        except Problem as problem:
            return Response(problem.code, problem.status())

    def _judge(self, asked: Asked, request: Request) -> None:
        name = asked.name or fields_of(request).get("metadata.name", "")
        allowed = self.rules is None or any(
            space in (None, asked.namespace)
            and asked.group in rule["apiGroups"]
            and asked.plural in rule["resources"]
            and asked.verb in rule["verbs"]
            and name in rule.get("resourceNames", [name])
            for space, rule in self.rules
        )
        if not allowed or (asked.verb, asked.plural) in self.forbidden:
            who = 'User "system:serviceaccount:rota:rota"'
            what = f'cannot {asked.verb} resource "{asked.plural}" in API group "{asked.group}"'
            raise Problem(403, f"{asked.plural} is forbidden: {who} {what}")

    async def _part(self, asked: Asked) -> Response:
        self.store.get(asked.plural.partition("/")[0], asked.namespace, asked.name)
        part = self.parts.get(asked.plural)
        if part is None:
            raise Problem(404, "the server could not find the requested resource")
        return Response(200, raw=await part(asked.namespace, asked.name, asked.rest))

    def _do(self, asked: Asked, request: Request) -> Response:
        match asked.verb:
            case "list":
                return Response(200, self._list(asked, request))
            case "watch":
                return Response(200, stream=self._watch(asked, request))
            case "get":
                return Response(200, self.store.get(asked.plural, asked.namespace, asked.name))
            case "create" if asked.plural == "pods/eviction":
                return Response(201, self._evict(asked, request))
            case "create":
                return Response(201, self._create(asked, request))
            case "update":
                return Response(200, self._update(asked, request))
            case "patch":
                return Response(200, self._patch(asked, request))
            case "delete":
                uid = (request.json().get("preconditions") or {}).get("uid", "")
                gone = self.store.delete(asked.plural, asked.namespace, asked.name, uid)
                return Response(200, gone)
        raise Problem(501, f"{asked.verb} is not emulated")

    def _create(self, asked: Asked, request: Request) -> Thing:
        body = request.json()
        meta = body.get("metadata") or {}
        if meta.get("namespace", asked.namespace) != asked.namespace:
            raise Problem(400, "the namespace of the object does not match the request")
        body["metadata"] = meta | ({"namespace": asked.namespace} if asked.namespace else {})
        return self.store.create(asked.plural, body, manager_of(request))

    def _evict(self, asked: Asked, request: Request) -> Thing:
        """A pod that is evicted is marked as any that is deleted; budgets are not emulated."""
        pod = self.store.get("pods", asked.namespace, asked.name)
        options = request.json().get("deleteOptions") or {}
        if (
            options.get("preconditions", {}).get("uid", pod["metadata"]["uid"])
            != pod["metadata"]["uid"]
        ):
            raise Problem(409, "the UID in the precondition does not match")
        when = {"metadata": {"deletionTimestamp": "2026-11-25T12:00:00Z"}}
        return self.store.merge("pods", asked.namespace, asked.name, when, manager_of(request))

    def _update(self, asked: Asked, request: Request) -> Thing:
        key = (asked.plural, asked.namespace, asked.name)
        return self.store.replace(*key, request.json(), manager_of(request))

    def _patch(self, asked: Asked, request: Request) -> Thing:
        key = (asked.plural, asked.namespace, asked.name)
        manager = manager_of(request)
        match request.headers.get("content-type"):
            case "application/merge-patch+json":
                return self.store.merge(*key, request.json(), manager)
            case "application/apply-patch+yaml":
                if "fieldManager" not in request.query:
                    raise Problem(400, "fieldManager is required for apply patch")
                force = request.query.get("force") == "true"
                dry = request.query.get("dryRun") == "All"
                return self.store.apply(*key, request.json(), manager, force=force, dry=dry)
        raise Problem(415, "the body of the request was in an unknown format")

    def _list(self, asked: Asked, request: Request) -> Thing:
        items = [
            shown(one, asked, request)
            for one in self.store.all(asked.plural, asked.namespace)
            if fits(one, request)
        ]
        meta = {"resourceVersion": str(self.store.version)}
        limit = int(request.query.get("limit") or 0)
        if limit and "resourceVersion" not in request.query:
            start = int(request.query.get("continue") or 0)
            if start + limit < len(items):
                meta["continue"] = str(start + limit)
            items = items[start : start + limit]
        return {
            "kind": "List",
            "apiVersion": asked.api_version,
            "metadata": meta,
            "items": items,
        }

    async def _watch(self, asked: Asked, request: Request) -> AsyncIterator[bytes]:
        changes: asyncio.Queue[Past] = asyncio.Queue()
        self.watching += 1
        stop = self.store.listen(changes.put_nowait)
        seconds = float(request.query.get("timeoutSeconds", "1800"))
        try:
            lines = self._lines(asked, request, changes)
            async with aclosing(lines), asyncio.timeout(seconds):
                async for line in lines:
                    yield json.dumps(line).encode() + b"\n"
        except TimeoutError:
            return
        finally:
            stop()
            self.watching -= 1

    async def _lines(
        self, asked: Asked, request: Request, changes: asyncio.Queue[Past]
    ) -> AsyncGenerator[Thing, None]:
        version = int(request.query.get("resourceVersion") or 0)
        try:
            past = self.store.since(version)
        except Problem as problem:
            yield {"type": "ERROR", "object": problem.status()}
            return
        for one in past:
            version = one.version
            if line := told(one, asked, request):
                yield line
        while True:
            try:
                async with asyncio.timeout(BOOKMARK):
                    one = await changes.get()
            except TimeoutError:
                if request.query.get("allowWatchBookmarks"):
                    meta = {"resourceVersion": str(self.store.version)}
                    yield {"type": "BOOKMARK", "object": {"kind": "X", "metadata": meta}}
                continue
            if one.version > version and (line := told(one, asked, request)):
                yield line


VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def parse(request: Request) -> Asked:
    """What a request wants; 404 for a path that is none."""
    parts = request.path.strip("/").split("/")
    match parts:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise Problem(404, "the server could not find the requested resource")
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        _, namespace, *rest = rest
    if rest[:1] == ["pods"] and rest[2:] == ["eviction"]:
        return Asked(VERBS.get(request.method, "get"), group, "pods/eviction", namespace, rest[1])
    if len(rest) > 2 and rest[2] in ("log", "proxy"):
        plural, below = f"{rest[0]}/{rest[2]}", "/".join(rest[3:])
        return Asked("get", group, plural, namespace, rest[1], version, below)
    if not 1 <= len(rest) <= 2:
        raise Problem(404, "the server could not find the requested resource")
    name = rest[1] if len(rest) == 2 else ""
    asked = Asked(VERBS.get(request.method, "get"), group, rest[0], namespace, name, version)
    if request.method == "GET" and not name:
        return replace(asked, verb="watch" if request.query.get("watch") else "list")
    return asked


def manager_of(request: Request) -> str:
    """The field manager of a write."""
    agent = request.headers.get("user-agent", "unknown")
    return request.query.get("fieldManager") or agent.split("/")[0]


def fields_of(request: Request) -> dict[str, str]:
    """The field selector."""
    text = request.query.get("fieldSelector", "")
    return dict(part.split("=", 1) for part in text.split(",") if part)


def labels_of(request: Request) -> dict[str, str | None]:
    """The label selector: equality, or None where the label only has to be there."""
    parts = [part for part in request.query.get("labelSelector", "").split(",") if part]
    pairs = (part.replace("==", "=").partition("=") for part in parts)
    return {key: value if equals else None for key, equals, value in pairs}


def fits(thing: Thing | None, request: Request) -> bool:
    """Whether the field selector and the label selector take an object."""
    if thing is None or any(at(thing, p) != v for p, v in fields_of(request).items()):
        return False
    labels = thing["metadata"].get("labels") or {}
    return all(
        key in labels and value in (None, labels[key]) for key, value in labels_of(request).items()
    )


def at(thing: Any, path: str) -> Any:
    """The value at a path; an Event's `source` is what wrote it."""
    if path == "source":
        path = "source.component"
    for part in path.split("."):
        thing = (thing or {}).get(part)
    return thing or ""


def shown(thing: Thing, asked: Asked, request: Request) -> Thing:
    """An object as the request accepts it."""
    if "as=PartialObjectMetadata" not in request.headers.get("accept", ""):
        return thing
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": thing["metadata"],
    }


def told(past: Past, asked: Asked, request: Request) -> Thing | None:
    """A change as this watch is told it; None where it is none of its business."""
    plural, namespace, _ = past.key
    if plural != asked.plural or asked.namespace not in ("", namespace):
        return None
    was, now = fits(past.before, request), fits(past.after, request)
    if not was and not now:
        return None
    what = "DELETED" if not now else "MODIFIED" if was else "ADDED"
    thing = past.after or past.before
    assert thing
    return {"type": what, "object": shown(thing, asked, request)}
