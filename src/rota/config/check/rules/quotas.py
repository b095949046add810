"""ResourceQuotas and LimitRanges: counting what exists, under the name that counts."""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.check.pods import amount
from rota.config.check.registry import Theme, found
from rota.config.check.rules.names import unserved
from rota.config.check.world import Quota, World
from rota.config.document import Scalar
from rota.config.findings import Finding

_PREFIX = "requests."


def prefix_is_requests(world: World) -> Iterator[Finding]:
    """A quota on an extended resource counts under `requests.` alone."""
    for quota in world.quotas:
        if quota.owner.kind != "ResourceQuota" or quota.resource.startswith(_PREFIX):
            continue
        name = quota.resource.removeprefix("limits.")
        what = f"the quota on `{quota.resource}` counts nothing: GPUs are counted as requests only"
        yield found("quota-prefix", quota.mark, what, f"write `{_PREFIX}{name}`")


def names_are_served(world: World) -> Iterator[Finding]:
    """A quota is on a resource that some node can have."""
    for quota in world.quotas:
        name = quota.resource.removeprefix(_PREFIX).removeprefix("limits.")
        for finding in unserved(world, name, quota.mark, ""):
            new = finding.hint.removeprefix("write ")
            prefix = _PREFIX if quota.owner.kind == "ResourceQuota" else ""
            exact = finding.hint.startswith("write ")
            hint = f"write `{prefix}{new}`" if exact else finding.hint
            what = (
                f"{quota.owner.title} limits {name}, which no config serves, so it limits nothing"
            )
            yield found("quota-resource", quota.mark, what, hint)


def values_are_whole(world: World) -> Iterator[Finding]:
    """A quota's value is a whole number."""
    for quota in world.quotas:
        number = amount(quota.value)
        if number is None or number % 1 or number < 0:
            what = f"{quota.resource} must be a whole number, not {_text(quota)}"
            yield found("quota-value", quota.value.mark, what)


def _text(quota: Quota) -> str:
    return quota.value.text if isinstance(quota.value, Scalar) else "this"


THEME = Theme("quotas", (prefix_is_requests, names_are_served, values_are_whole))
