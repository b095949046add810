"""All that a person's command wants to know of a cluster, read once, each kind in one list.

What may not be read is left out and named, so that whoever looks at the rest can say what was not
looked at. A kind that the cluster does not have (no GPU operator: no ClusterPolicy) is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rota.cluster.door import (
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    LIMIT_RANGES,
    NODES,
    PODS,
    QUOTAS,
    Api,
    Forbidden,
    Kind,
    NotFound,
    Object,
    View,
)

SETUP = (NODES, PODS, CLUSTER_POLICIES, DAEMON_SETS)
"""What tells how the GPUs of a cluster are served."""

EVERYTHING = (*SETUP, DEPLOYMENTS, QUOTAS, LIMIT_RANGES)
"""What there is to find something wrong with, besides ConfigMaps and Events."""

OUR_EVENTS = "source=rota-agent"


@dataclass(frozen=True, slots=True)
class Gathered:
    """Objects by kind.

    Attributes:
        things: kind → its objects.
        unread: plural → why it could not be read.
    """

    things: Mapping[Kind, tuple[Object, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def all(self, kind: Kind) -> tuple[Object, ...]:
        """The objects of a kind; none where it was not read."""
        return self.things.get(kind, ())


async def gather(api: Api, kinds: Iterable[Kind] = SETUP) -> Gathered:
    """Read them.

    Raises:
        ClusterError: the server is away, or failed in the middle; a right that is missing is no
            error.
    """
    views = [View(kind) for kind in kinds]
    lists = await asyncio.gather(*(_list(api, view) for view in views))
    return Gathered(
        {view.kind: found for view, (found, _) in zip(views, lists, strict=True)},
        {v.kind.plural: why for v, (_, why) in zip(views, lists, strict=True) if why},
    )


async def our_events(api: Api) -> tuple[tuple[Object, ...], str]:
    """The Events that agents wrote, and why they could not be read."""
    return await _list(api, View(EVENTS, fields=OUR_EVENTS))


async def config_maps(
    api: Api, names: Iterable[tuple[str, str]]
) -> tuple[tuple[Object, ...], dict[str, str]]:
    """The ConfigMaps of these namespaces and names that are there, and why others are not read."""
    found: list[Object] = []
    unread: dict[str, str] = {}
    for namespace, name in dict.fromkeys(names):
        try:
            found.append(await api.get(CONFIG_MAPS, name, namespace))
        except NotFound:
            continue
        except Forbidden as error:
            unread[f"ConfigMap {namespace}/{name}"] = error.what
    return tuple(found), unread


async def namesakes(api: Api, names: Iterable[str]) -> tuple[set[tuple[str, str]], str]:
    """Where ConfigMaps of these names are, in all namespaces; and why that could not be read."""
    wanted, found = sorted(set(names)), set[tuple[str, str]]()
    for name in wanted:
        view = View(CONFIG_MAPS, fields=f"metadata.name={name}", metadata_only=True)
        listed, why = await _list(api, view)
        if why:
            return set(), why
        found |= {(str(one["metadata"]["namespace"]), name) for one in listed}
    return found, ""


async def _list(api: Api, view: View) -> tuple[tuple[Object, ...], str]:
    try:
        return (await api.list(view, fresh=True)).items, ""
    except NotFound:
        return (), ""
    except Forbidden as error:
        return (), error.what
