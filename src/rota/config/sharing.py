"""The blocks `sharing.timeSlicing` and `sharing.mps`, as NVIDIA's parser takes them.

What NVIDIA reads and then throws away (`devices`, `rename`) is kept here, with a note, since Rota
honours it. Of two blocks `mps` wins, as there.
"""

from __future__ import annotations

from collections.abc import Mapping as Table

from rota.config import values
from rota.config.findings import Mark
from rota.config.keys import exact_fields, fields
from rota.config.naming import SHARED_SUFFIX, full_name, is_device, name_problem
from rota.config.report import Report
from rota.config.schema import DeviceSelection, SharedResource, Sharing
from rota.config.tree import Entry, Mapping, Node, Scalar, Sequence

BLOCKS: Table[str, str] = {"timeSlicing": "time-slicing", "mps": "mps"}
"""The key of a block → the strategy's name as it is labelled on the node."""


def read_sharing(node: Node | None, report: Report) -> Sharing:
    """What the key `sharing` says; nothing is shared where it is not there."""
    block = values.mapping(node, "sharing", report)
    if block is None:
        return Sharing()
    found = fields(block, "sharing", report)
    slicing, mps = found.get("timeSlicing"), found.get("mps")
    if mps and values.is_null(mps.value):
        mps = None
    shared = _block(slicing, "timeSlicing", report) if slicing else Sharing()
    if mps is None:
        return shared
    if slicing:
        message = "both `timeSlicing` and `mps` are set: `mps` wins, and `timeSlicing` does nothing"
        report.warning("mps-wins", slicing.mark, message, "remove one of them")
    message = "`mps` is served as replicas, without an MPS daemon"
    report.warning("mps-served-as-replicas", mps.mark, message, "write `timeSlicing` to mean it")
    return _block(mps, "mps", report)


def _block(entry: Entry, key: str, report: Report) -> Sharing:
    place = f"sharing.{key}"
    node = entry.value
    if not values.is_null(node) and not isinstance(node, Mapping):
        values.mapping(node, place, report)
        return Sharing()
    found = exact_fields(node, place, report) if isinstance(node, Mapping) else {}
    rename = _flag(found, "renameByDefault", report) or False
    single = _flag(found, "failRequestsGreaterThanOne", report)
    resources = _resources(found.get("resources"), entry.mark, place, rename, report)
    return Sharing(
        strategy="mps" if key == "mps" else "time-slicing",
        rename_by_default=rename,
        fail_requests_greater_than_one=key == "mps" if single is None else single,
        resources=resources,
    )


def _flag(found: Table[str, Entry], key: str, report: Report) -> bool | None:
    return values.boolean(found[key].value, key, report) if key in found else None


def _resources(
    entry: Entry | None, above: Mark, place: str, renamed: bool, report: Report
) -> tuple[SharedResource, ...]:
    if entry and not isinstance(entry.value, Sequence) and not values.is_null(entry.value):
        values.sequence(entry.value, "resources", report)
        return ()
    items = entry.value.items if entry and isinstance(entry.value, Sequence) else ()
    if not items:
        message = f"no resources specified under `{place}`"
        hint = "list what to share, such as `- name: nvidia.com/gpu` with `replicas: 4`"
        report.error("no-resources", entry.mark if entry else above, message, hint)
    read = [(_resource(item, f"{place}.resources[]", renamed, report), item) for item in items]
    good = [(resource, item.mark) for resource, item in read if resource]
    _same_twice(good, report)
    return tuple(resource for resource, _ in good)


def _resource(node: Node, place: str, renamed: bool, report: Report) -> SharedResource | None:
    if values.is_null(node):
        report.error("no-resource-name", node.mark, "an entry of `resources` is empty", "remove it")
        return None
    block = values.mapping(node, "an entry of `resources`", report)
    if block is None:
        return None
    found = exact_fields(block, place, report)
    name = _name(found, node.mark, report)
    replicas = _replicas(found, node.mark, report)
    devices = _devices(found.get("devices"), report)
    rename = _rename(found.get("rename"), name, renamed, report)
    if name is None or replicas is None or devices is None:
        return None
    return SharedResource(name, replicas, devices, rename, node.mark.line)


def _name(found: Table[str, Entry], above: Mark, report: Report) -> str | None:
    if "name" not in found:
        hint = "add `name`, such as `name: nvidia.com/gpu`"
        report.error("no-resource-name", above, "no resource name specified", hint)
        return None
    return resource_name(found["name"].value, "name", report)


def resource_name(node: Node, what: str, report: Report) -> str | None:
    """The full name that a node says; an empty or a bad one is an error."""
    text = "" if values.is_null(node) else values.string(node, what, report)
    if text is None:
        return None
    problem = name_problem(text)
    if problem:
        report.error("bad-resource-name", node.mark, *problem)
        return None
    return full_name(text)


def _replicas(found: Table[str, Entry], above: Mark, report: Report) -> int | None:
    if "replicas" not in found:
        hint = "add `replicas`, how many each GPU becomes, 2 at least"
        report.error("no-replicas", above, "no replicas specified", hint)
        return None
    node = found["replicas"].value
    count = 0 if values.is_null(node) else values.integer(node, "replicas", report)
    if count is None or count >= 2:
        return count
    hint = "2 or more; to share nothing, remove the entry or the whole `sharing`"
    message = f"number of replicas must be >= 2, and it is {values.shown(node)}"
    report.error("too-few-replicas", node.mark, message, hint)
    return None


def _rename(entry: Entry | None, name: str | None, renamed: bool, report: Report) -> str:
    if entry is None:
        return ""
    rename = resource_name(entry.value, "rename", report) or ""
    if rename and name and not (renamed and rename == name + SHARED_SUFFIX):
        served = f"{name}{SHARED_SUFFIX}" if renamed else name
        message = f"NVIDIA's plugin ignores `rename` and serves `{served}`; Rota serves `{rename}`"
        report.note("rename-ignored-by-nvidia", entry.mark, message)
    return rename


def _devices(entry: Entry | None, report: Report) -> DeviceSelection | None:
    if entry is None:
        return DeviceSelection()
    selection = _selection(entry.value, report)
    if selection and not selection.all:
        message = "NVIDIA's plugin ignores `devices` and shares all of them; Rota honours it"
        report.note("devices-ignored-by-nvidia", entry.mark, message)
    return selection


_DEVICES_HINT = "write `all`, how many, or a list of indexes or UUIDs"


def _selection(node: Node, report: Report) -> DeviceSelection | None:
    if isinstance(node, Sequence):
        return _listed(node, report)
    count = values.integer_of(node)
    if count is not None and count > 0:
        return DeviceSelection(all=False, count=count)
    if isinstance(node, Scalar) and node.value == "all":
        return DeviceSelection()
    message = f"`devices` is {values.shown(node)}"
    if count is not None:
        message += ", but a count must be > 0"
    elif isinstance(node, Scalar) and isinstance(node.value, str):
        message += ", but the only string it takes is `all`"
    report.error("bad-devices", node.mark, message, _DEVICES_HINT)
    return None


def _listed(node: Sequence, report: Report) -> DeviceSelection | None:
    items = [_device(item, report) for item in node.items]
    if not items:
        message = "`devices` is an empty list; as with NVIDIA's plugin, that means all of them"
        report.warning("no-devices", node.mark, message, "write `all`")
        return DeviceSelection()
    good = tuple(item for item in items if item is not None)
    return DeviceSelection(all=False, items=good) if len(good) == len(items) else None


def _device(node: Node, report: Report) -> str | None:
    index = values.integer_of(node)
    if index is not None and index >= 0:
        return str(index)
    text = node.value if isinstance(node, Scalar) else None
    if values.is_null(node):
        return "0"  # Go decodes null into an unsigned integer as 0
    if isinstance(text, str) and is_device(text):
        return text
    message = f"`devices` lists {values.shown(node)}, which is no device"
    hint = 'an index (0), a MIG index ("0:1"), `GPU-<uuid>` or `MIG-<uuid>`'
    report.error("bad-devices", node.mark, message, hint)
    return None


def _same_twice(resources: list[tuple[SharedResource, Mark]], report: Report) -> None:
    """NVIDIA serves the larger count; entries for different devices are what Rota is asked for."""
    seen: dict[tuple[str, DeviceSelection], Mark] = {}
    for resource, mark in resources:
        before = seen.setdefault((resource.name, resource.devices), mark)
        if before is not mark:
            message = f"`{resource.name}` is listed before, in line {before.line}"
            hint = "the larger count is served; give each its own `devices`, or keep one"
            report.warning("same-resource-twice", mark, message, hint)
