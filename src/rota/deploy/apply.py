"""One call of `rota apply`: what is wanted, where it goes, how it gets there, and whether it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rota.cluster.door import CONFIG_MAPS, Api
from rota.cluster.times import edited
from rota.deploy.daemonset import Thing
from rota.deploy.install import How, Step, install, live_image, read, strays, wanted
from rota.deploy.kinds import place_of, title
from rota.deploy.nodes import Wanted
from rota.deploy.options import NAMESPACE, Options, checked
from rota.deploy.progress import Tell
from rota.deploy.source import Source, configs
from rota.deploy.target import Target, find_target
from rota.deploy.undo import undo
from rota.deploy.waiting import FIRST, Waiting
from rota.errors import UsageError


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for.

    Attributes:
        source: the config.
        options: everything else that is chosen. An empty namespace is the config's own, the
            operator's, or the default; an empty image that of the installation that is there.
        overlay: as given; empty for what the cluster needs.
        how: force, dry runs, differences.
        timeout: seconds to wait for the nodes; 0 waits for nothing.
        first: seconds between two looks at the nodes, at first.
    """

    source: Source
    options: Options
    overlay: str = ""
    how: How = field(default_factory=How)
    timeout: float = 300.0
    first: float = FIRST


async def apply(api: Api, request: Request, tell: Tell) -> list[Step]:
    """Do it; what became of each object.

    Raises:
        ClusterError: the server did not do something; the next call goes on.
        NotServed: some nodes do not serve it.
        RotaError: it cannot go into this cluster.
    """
    target, options = await _settled(api, request)
    if target.noted:
        tell("note", target.overlay, target.noted)
    things = wanted(options, target.policy)
    steps = []
    async for step in install(api, things, options.overlay, request.how):
        tell(step.outcome, step.title, "" if request.how.dry == "none" else "would be")
        steps.append(step)
    await _prune(api, things, request.how, tell)
    if request.how.dry == "none" and request.timeout:
        await _wait(api, request, options, tell)
    return steps


async def _settled(api: Api, request: Request) -> tuple[Target, Options]:
    """Where it goes, and with everything chosen."""
    source, given = request.source, request.options
    target = await find_target(api, request.overlay, given.namespace)
    namespace = target.namespace or source.namespace or NAMESPACE
    image = given.image or await live_image(api, namespace)
    if not image:
        raise UsageError(
            "names the agent's image, which no registry has",
            where="--image",
            hint="build it from deploy/Containerfile and push it where the nodes can pull it",
        )
    options = replace(
        given, overlay=target.overlay, namespace=namespace, image=image, data=dict(source.data),
        config_key=source.key, config_map=source.name or given.config_map,
    )  # fmt: skip
    return target, checked(options)


async def _prune(api: Api, things: Sequence[Thing], how: How, tell: Tell) -> None:
    """What an earlier apply put elsewhere, or under another name, goes."""
    for kind, one in await strays(api, things):
        name = title(kind, *reversed(place_of(one)))
        if how.dry != "none":
            tell("gone", name, "it would go: it is of an earlier apply")
        elif kind.kind != "Namespace":
            tell(await undo(api, kind, one), name, "of an earlier apply")


async def _wait(api: Api, request: Request, options: Options, tell: Tell) -> None:
    """Until all nodes serve what the ConfigMap says now: others may have put keys into it."""
    live = await read(api, CONFIG_MAPS, options.config_map, options.namespace) or {}
    data = {str(key): str(text) for key, text in (live.get("data") or {}).items()}
    where = f"{options.namespace}/{options.config_map}"
    there = Wanted(
        where, data, options.config_key, configs(data), options.beside, edited(live)
    )  # fmt: skip
    waiting = Waiting(api, options.namespace, there, tell, request.timeout, first=request.first)
    count = await waiting.run()
    tell("ok", "all nodes", f"{count} of {count} serve it")
