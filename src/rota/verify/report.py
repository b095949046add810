"""What a proof comes to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rota.verify.sight import Sight
from rota.verify.targets import Target


@dataclass(frozen=True, slots=True)
class Proof:
    """What was tried on one resource of one node.

    Attributes:
        target: which one.
        tried: how many smoke pods there should be; None where none were made.
        ran: those that ran, with what each of them sees.
        trouble: why not all of them ran; empty if they did.
        waited: what the scheduler said of the one more; empty where it did not wait.
        not_waited: why it did not, or why that was not tried.
        unproven: `not_waited` is no failure: it was not tried.
    """

    target: Target
    tried: int | None = None
    ran: dict[str, Sight] = field(default_factory=dict)
    trouble: str = ""
    waited: str = ""
    not_waited: str = ""
    unproven: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is not as it should be, in sentences."""
        return tuple(_faults(self))

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.faults

    def plain(self) -> dict[str, Any]:
        """For machines."""
        target = self.target
        return {
            "node": target.node.name,
            "resource": target.resource,
            "gpus": target.gpus,
            "should_offer": target.should,
            "told_by": target.told_by,
            "offers": target.offers,
            "held": target.held,
            "tried": self.tried,
            "ran": len(self.ran),
            "one_more": self.waited or self.not_waited,
            "pods": [
                {
                    "name": name,
                    "visible": sight.visible,
                    "replicas": list(sight.replicas),
                    "devices": [
                        {"uuid": d.uuid, "product": d.product, "memory": d.memory, "room": d.room}
                        for d in sight.devices
                    ],
                    "emulated": sight.emulated,
                    "why": sight.why,
                }
                for name, sight in sorted(self.ran.items())
            ],
            "ok": self.ok,
            "faults": list(self.faults),
        }


def _faults(proof: Proof) -> Iterator[str]:
    target = proof.target
    if not target.node.ready:
        yield "the node is not ready"
    if target.should is not None and target.should != target.offers:
        yield f"offers {target.offers} {target.resource}, and {target.told_by} makes {target.should}"
    elif target.should is None and not target.offers:
        yield f"offers no {target.resource}"
    if proof.trouble:
        yield proof.trouble
    if proof.not_waited and not proof.unproven:
        yield proof.not_waited
    yield from _seen(proof)


def _seen(proof: Proof) -> Iterator[str]:
    """Each pod sees one device, no device is given out too often, and nobody has more than its share."""
    target, pods = proof.target, proof.ran
    users: dict[str, int] = {}
    for name, sight in sorted(pods.items()):
        if len(sight.devices) != 1:
            why = f": {sight.why}" if sight.why else ""
            yield f"{name} asked for one device and sees {len(sight.devices)}{why}"
        for device in sight.devices:
            users[device.uuid] = users.get(device.uuid, 0) + 1
    for uuid, count in sorted(users.items()):
        if target.replicas and count > target.replicas:
            yield f"{count} pods see {uuid}, which has {target.replicas} replicas"
    for name, sight in sorted(pods.items()):
        for device in sight.devices:
            most = device.memory // (target.replicas or 1)
            if target.limited and device.room is not None and device.room > most:
                yield f"{name} finds {gib(device.room)} to take, and its share is {gib(most)}"


def gib(size: int) -> str:
    """As a person reads it."""
    return f"{size / (1 << 30):.1f} GiB"
