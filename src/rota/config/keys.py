"""Which keys stand where, and what to say of one that does not.

Go's JSON decoder matches the fields of its own structures in any case, but NVIDIA's sharing blocks
and resources are decoded by hand and case-sensitively: there, `Replicas` is simply not read. What
is not read is named here, with the place where it would be.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table

from rota.config.findings import Mark
from rota.config.report import Report, nearest
from rota.config.scalars import shorten
from rota.config.tree import Entry, Mapping

_BLOCK = ("renameByDefault", "failRequestsGreaterThanOne", "resources")
_RESOURCE = ("name", "replicas", "devices", "rename")
_PATTERN = ("pattern", "name")

PLACES: Table[str, tuple[str, ...]] = {
    "": ("version", "flags", "resources", "sharing", "imex", "rota"),
    "sharing": ("timeSlicing", "mps"),
    "sharing.timeSlicing": _BLOCK,
    "sharing.timeSlicing.resources[]": _RESOURCE,
    "sharing.mps": _BLOCK,
    "sharing.mps.resources[]": _RESOURCE,
    "resources": ("gpus", "mig"),
    "resources.gpus[]": _PATTERN,
    "resources.mig[]": _PATTERN,
    "imex": ("channelIDs", "required"),
    "flags": (
        "migStrategy",
        "failOnInitError",
        "mpsRoot",
        "nvidiaDriverRoot",
        "nvidiaDevRoot",
        "gdrcopyEnabled",
        "gdsEnabled",
        "mofedEnabled",
        "useNodeFeatureAPI",
        "deviceDiscoveryStrategy",
        "plugin",
        "gfd",
    ),
    "flags.plugin": (
        "passDeviceSpecs",
        "deviceListStrategy",
        "deviceIDStrategy",
        "cdiAnnotationPrefix",
        "nvidiaCTKPath",
        "containerDriverRoot",
        "kubeletSocket",
        "cdiFeatureFlags",
        "sharedDevicesAllocationPolicy",
    ),
    "flags.gfd": ("oneshot", "noTimestamp", "sleepInterval", "outputFile", "machineTypeFile"),
    "rota": ("turns", "allocation", "memory", "paging", "jobs"),
    "rota.turns": ("mode", "quantum", "minimum", "unmanaged"),
    "rota.allocation": ("policy", "spread"),
    "rota.memory": ("limit", "enforce", "reserve", "oversubscribe", "evict", "hints"),
    "rota.paging": ("enabled", "idleAfter", "hostMemory"),
    "rota.jobs": ("quota", "quotas"),
}
"""Every place of a config → the keys that stand there."""

_TOO_COMMON = frozenset(("enabled", "mode", "limit", "policy", "required", "name", "minimum"))
"""Keys that say nothing of where they belong."""


def fields(node: Mapping, place: str, report: Report) -> dict[str, Entry]:
    """The entries of one of Go's own structures, by their right key; any case is taken.

    Of several spellings of one key, the decoder takes them in the order of their bytes, so that
    the last of these wins, as the last of doubles does.
    """
    known = {key.casefold(): key for key in PLACES[place]}
    found: dict[str, Entry] = {}
    for entry in node.entries:
        key = known.get(entry.key.casefold())
        if key is None:
            _say_unread(entry, place, report.warning, report)
            continue
        if entry.key != key:
            message = f"`{shorten(entry.key)}` is taken as `{key}`"
            report.warning("key-case", entry.mark, message, f"write `{key}`")
        before = found.get(key)
        if before and before.key != entry.key:
            _say_double(entry, report)
        if before is None or before.key.encode() <= entry.key.encode():
            found[key] = entry
    _doubles(node, report)
    return found


def exact_fields(node: Mapping, place: str, report: Report) -> dict[str, Entry]:
    """The entries of a block that is decoded case-sensitively."""
    return _exact(node, place, report.warning, report)


def strict_fields(node: Mapping, place: str, report: Report) -> dict[str, Entry]:
    """The entries of a block of ours, where a key that is not known is an error."""
    return _exact(node, place, report.error, report)


def misplaced(key: str, place: str) -> str | None:
    """The place nearest to `place` where `key` belongs; None where it belongs nowhere else."""
    folded = key.casefold()
    homes = [
        home
        for home, keys in PLACES.items()
        if home != place and any(folded == known.casefold() for known in keys)
    ]
    if not homes or folded in _TOO_COMMON:
        return None
    return max(homes, key=lambda home: _common(home, place))


def place_name(place: str) -> str:
    """A place as a message names it."""
    if not place:
        return "at the top"
    if place.endswith("[]"):
        return f"in an entry of `{place[:-2]}`"
    return f"under `{place}`"


_Say = Callable[[str, Mark, str, str], None]


def _exact(node: Mapping, place: str, say: _Say, report: Report) -> dict[str, Entry]:
    known = PLACES[place]
    for entry in node.entries:
        if entry.key not in known:
            _say_unread(entry, place, say, report)
    _doubles(node, report)
    return {entry.key: entry for entry in node.entries if entry.key in known}


def _say_unread(entry: Entry, place: str, say: _Say, report: Report) -> None:
    key, mark, here = shorten(entry.key), entry.mark, PLACES[place]
    right = {known.casefold(): known for known in here}.get(entry.key.casefold())
    if right:
        say("key-case", mark, f"`{key}` is not read, since case counts here", f"write `{right}`")
        return
    where = place_name(place)
    home = misplaced(entry.key, place)
    if home is not None:
        spelt = next(k for k in PLACES[home] if k.casefold() == entry.key.casefold())
        hint = f"`{spelt}` belongs {place_name(home)}"
        say("misplaced-key", mark, f"`{key}` is not read {where}", hint)
        return
    near = nearest(entry.key, here)
    hint = f"did you mean `{near}`?" if near else f"known there: {', '.join(here)}"
    say("unknown-key", mark, f"`{key}` is not known {where}", hint)


def _doubles(node: Mapping, report: Report) -> None:
    for entry in node.doubles():
        _say_double(entry, report)


def _say_double(entry: Entry, report: Report) -> None:
    message = f"`{shorten(entry.key)}` is given more than once; the last one counts"
    report.warning("double-key", entry.mark, message, "keep one")


def _common(home: str, place: str) -> int:
    ours, theirs = home.replace("[]", "").split("."), place.replace("[]", "").split(".")
    same = 0
    for left, right in zip(ours, theirs, strict=False):
        if left != right:
            break
        same += 1
    return same if place else 0
