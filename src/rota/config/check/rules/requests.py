"""What pods ask for: in the form that Kubernetes wants, and no more than a node can have."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rota.config.check.capacity import Offer, offers
from rota.config.check.pods import DOMAIN, amount
from rota.config.check.registry import Theme, found
from rota.config.check.world import Container, Pod, World
from rota.config.document import Node, Scalar
from rota.config.findings import Finding, Level


def limits_are_set(world: World) -> Iterator[Finding]:
    """A request for an extended resource comes with an equal limit."""
    for pod in world.pods:
        for container in pod.containers:
            for name, value in container.requests.items():
                yield from _limit(container, name, value)


def _limit(container: Container, name: str, value: Node) -> Iterator[Finding]:
    limit = container.limits.get(name)
    if limit is None:
        what = f"container `{container.name}` has {name} in requests and not in limits"
        hint = f"write `{name}: {_text(value)}` under limits; requests then follow by themselves"
        yield found("request-without-limit", value.mark, what, hint)
    elif amount(limit) != amount(value) and amount(limit) is not None:
        what = f"{name} asks for {_text(value)} in requests and {_text(limit)} in limits"
        hint = f"the API takes equal values only: write {_text(limit)} in both, or limits alone"
        yield found("request-not-equal", value.mark, what, hint)


def whole_numbers(world: World) -> Iterator[Finding]:
    """GPUs are asked for in whole numbers."""
    for pod in world.pods:
        for container in pod.containers:
            for values in (container.limits, container.requests):
                for name, value in values.items():
                    number = amount(value)
                    if number is None or number % 1 or number < 0:
                        what = f"{name} must be a whole number, not {_text(value)}"
                        hint = (
                            "for a part of a GPU ask for 1 replica, and share the GPU by replicas"
                        )
                        yield found("request-not-integer", value.mark, what, hint)


def fits_a_node(world: World) -> Iterator[Finding]:
    """No pod asks for more of a resource than one node can have under any config."""
    for pod in world.pods:
        for name, asked, place in _totals(pod):
            best = _best(world, name)
            if best is not None and asked > best.most:
                yield _too_many(pod, asked, best, place)
            elif best is not None and best.shared and asked > best.shared:
                yield _needs_whole_gpus(pod, asked, best, place)


def _too_many(pod: Pod, asked: int, best: Offer, place: Node) -> Finding:
    what = (
        f"{pod.owner.title} asks for {asked} {best.resource} a pod, and a node has "
        f"{best.most} at most ({best.reason})"
    )
    hint = "ask for fewer; 1 is a full share" if best.shared else "ask for fewer"
    return found("request-too-many", place.mark, what, hint)


def _needs_whole_gpus(pod: Pod, asked: int, best: Offer, place: Node) -> Finding:
    what = (
        f"{pod.owner.title} asks for {asked} {best.resource} a pod, and there are {best.shared} "
        f"replicas ({best.reason}): the others are whole GPUs"
    )
    hint = "ask for fewer, or rename the shared ones"
    return found("request-too-many", place.mark, what, hint, level=Level.WARNING)


def _totals(pod: Pod) -> Iterator[tuple[str, int, Node]]:
    """Resource → what a pod needs of it at once: all containers, or the largest init container."""
    running: dict[str, int] = {}
    starting: dict[str, int] = {}
    places: dict[str, Node] = {}
    for container, name, value in pod.requests():
        number = _whole(value)
        places.setdefault(name, value)
        if container.init:
            starting[name] = max(starting.get(name, 0), number)
        else:
            running[name] = running.get(name, 0) + number
    for name, place in places.items():
        yield name, max(running.get(name, 0), starting.get(name, 0)), place


def _best(world: World, name: str) -> Offer | None:
    """The largest offer of a resource; without any config, an unshared GPU's."""
    found_offers = [o for c in world.served() if c.config and (o := offers(c.config).get(name))]
    return max(found_offers, key=lambda offer: offer.most, default=None)


def one_at_a_time(world: World) -> Iterator[Finding]:
    """No container asks for two replicas where the config refuses that; elsewhere it is noted."""
    for pod in world.pods:
        for container, name, value in pod.requests():
            asked = _whole(value)
            serving = [o for c in world.served() if c.config and (o := offers(c.config).get(name))]
            shared = [o for o in serving if o.per_device > 1]
            if asked < 2 or not shared or all(asked > o.most for o in serving):
                continue
            yield from _several(container, name, asked, value, shared)


def _several(
    container: Container, name: str, asked: int, value: Node, shared: list[Offer]
) -> Iterator[Finding]:
    refusing = [offer for offer in shared if offer.single]
    if refusing:
        what = (
            f"container `{container.name}` asks for {asked} {name}, and "
            "failRequestsGreaterThanOne refuses more than 1"
        )
        level = Level.ERROR if len(refusing) == len(shared) else Level.WARNING
        hint = "ask for 1, or set failRequestsGreaterThanOne: false"
        yield found("request-more-than-one", value.mark, what, hint, level=level)
    else:
        what = (
            f"{asked} replicas of {name} may be of one GPU: NVIDIA's plugin gives no larger part "
            f"of it for them, Rota gives {asked} shares"
        )
        hint = "for replicas of different GPUs set rota.allocation.spread: required"
        yield found("several-replicas", value.mark, what, hint)


def visible_devices(world: World) -> Iterator[Finding]:
    """No pod helps itself to GPUs by NVIDIA_VISIBLE_DEVICES."""
    for pod in world.pods:
        for container in pod.containers:
            if container.visible is None or _may_see(pod, container):
                continue
            seen = container.visible.text
            which = "every GPU of its node" if seen == "all" else f"GPU {seen}"
            what = (
                f"container `{container.name}` sets NVIDIA_VISIBLE_DEVICES={seen} and sees {which}, "
                "whoever holds it"
            )
            hint = f"remove the variable, and put `{DOMAIN}gpu: 1` under resources.limits"
            yield found("visible-devices", container.visible.mark, what, hint)


def _may_see(pod: Pod, container: Container) -> bool:
    harmless = container.visible is None or container.visible.text in ("", "none", "void")
    tools = ("k8s-device-plugin", "dcgm", "gpu-feature-discovery", "/rota", "gpu-operator")
    return harmless or (
        pod.owner.kind == "DaemonSet" and any(tool in container.image for tool in tools)
    )


def _whole(value: Node) -> int:
    number = amount(value)
    return int(number) if number is not None and Decimal(0) < number < Decimal(10**12) else 0


def _text(value: Node) -> str:
    return value.text if isinstance(value, Scalar) else "this"


THEME = Theme(
    "requests",
    (limits_are_set, whole_numbers, fits_a_node, one_at_a_time, visible_devices),
)
