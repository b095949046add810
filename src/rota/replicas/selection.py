"""Which devices one entry under `sharing` is about: `devices` as all, a count, or a list.

NVIDIA's plugin reads `devices` and throws it away; Rota honours it as NVIDIA documents it: a count
takes the first devices of the resource by index, and a list names them by index (`0`), by MIG
index (`0:1`) or by UUID. What is not there is said and left out; the others are still shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rota.config.findings import Finding, Level, Mark
from rota.config.schema import SharedResource
from rota.model import Device


@dataclass(frozen=True, slots=True)
class Selection:
    """The devices that an entry is about, in index order, and what was wrong with it."""

    devices: tuple[Device, ...] = ()
    findings: tuple[Finding, ...] = ()


def mark(entry: SharedResource, file: str) -> Mark:
    """Where an entry stands."""
    return Mark(file, entry.line, 1) if entry.line else Mark(file)


def select(entry: SharedResource, named: Mapping[str, Sequence[Device]], file: str) -> Selection:
    """The devices of `named` (resource name → its devices) that `entry` selects."""
    mine = tuple(named.get(entry.name, ()))
    if not mine:
        return Selection(findings=(_no_such_resource(entry, named, file),))
    if entry.devices.items:
        return _listed(entry, mine, named, file)
    if entry.devices.all or entry.devices.count <= len(mine):
        return Selection(mine if entry.devices.all else mine[: entry.devices.count])
    short = Finding(
        "device-not-here",
        Level.WARNING,
        mark(entry, file),
        f"{entry.devices.count} devices of {entry.name} are to be shared and this node has "
        f"{len(mine)}",
        f"all {len(mine)} are shared",
    )
    return Selection(mine, (short,))


def _listed(
    entry: SharedResource,
    mine: tuple[Device, ...],
    named: Mapping[str, Sequence[Device]],
    file: str,
) -> Selection:
    wanted = dict.fromkeys(entry.devices.items)
    missing = [item for item in wanted if not any(_is(device, item) for device in mine)]
    return Selection(
        tuple(device for device in mine if any(_is(device, item) for item in wanted)),
        tuple(_not_here(entry, item, named, file) for item in missing),
    )


def _is(device: Device, item: str) -> bool:
    return item in (device.index, device.uuid)


def _not_here(
    entry: SharedResource, item: str, named: Mapping[str, Sequence[Device]], file: str
) -> Finding:
    other = next((n for n, all_ in named.items() if any(_is(d, item) for d in all_)), None)
    mine = ", ".join(device.index for device in named[entry.name])
    reason = f"it is {other}" if other else "this node has no such device"
    return Finding(
        "device-not-here",
        Level.WARNING,
        mark(entry, file),
        f"device {item} of {entry.name} cannot be shared: {reason}",
        f"{entry.name} has the devices {mine} here",
    )


def _no_such_resource(
    entry: SharedResource, named: Mapping[str, Sequence[Device]], file: str
) -> Finding:
    there = ", ".join(sorted(named)) or "no GPU at all"
    return Finding(
        "resource-not-here",
        Level.WARNING,
        mark(entry, file),
        f"this node has no {entry.name}, so nothing of it is shared",
        f"this node has {there}",
    )
