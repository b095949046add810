"""How `rota devices` shows a node: one document for machines, and tables of 80 columns for people.

Both are made of the same values. A replica's memory share is its device's memory by the number of
its replicas; where the config sets no limit there is none.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rota.config.quantities import format_duration
from rota.config.schema import Config
from rota.gpu.capability import why_no_turns
from rota.model import Device, Gpu, Inventory, MigDevice, Resource

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_WIDE = 200


def render(how: str, inventory: Inventory, resources: Sequence[Resource], config: Config) -> str:
    """The node as `table`, `wide`, `json` or `yaml`."""
    if how == "json":
        return json.dumps(document(inventory, resources, config), indent=2) + "\n"
    if how == "yaml":
        return _yaml(document(inventory, resources, config))
    return _tables(inventory, resources, config, wide=how == "wide")


def document(inventory: Inventory, resources: Sequence[Resource], config: Config) -> dict[str, Any]:
    """The node as plain values: what `-o json` and `-o yaml` print."""
    return {
        "gpus": [
            {**_gpu(gpu), "no_turns": no_turns(gpu, inventory, config)} for gpu in inventory.gpus
        ],
        "resources": [_resource(resource, config) for resource in resources],
        "emulated": inventory.emulated,
        "driver_version": inventory.driver_version,
        "cuda_version": _dotted(inventory.cuda_version) if inventory.cuda_version[0] else "",
    }


def memory_share(resource: Resource, device: Device, config: Config) -> int | None:
    """Bytes of the device that one replica of it is entitled to; None where there is no limit."""
    if config.rota.memory.limit == "none":
        return None
    return device.memory_bytes // resource.replicas_of(device.uuid)


def no_turns(gpu: Gpu, inventory: Inventory, config: Config) -> str:
    """Why programs on this GPU will not take turns; empty where they will, given the rights."""
    if config.rota.turns.mode == "driver":
        return "the config says `mode: driver`"
    return why_no_turns(gpu, inventory.driver_version)


def _gpu(gpu: Gpu) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "product": gpu.product,
        "memory_bytes": gpu.memory_bytes,
        "minor": gpu.minor,
        "compute_capability": _dotted(gpu.compute_capability),
        "family": gpu.family,
        "pci_bus_id": gpu.pci_bus_id,
        "mig_enabled": gpu.mig_enabled,
        "mig_devices": [_mig(mig) for mig in gpu.mig_devices],
    }


def _mig(mig: MigDevice) -> dict[str, Any]:
    return {
        "uuid": mig.uuid,
        "index": mig.index,
        "profile": mig.profile,
        "memory_bytes": mig.memory_bytes,
        "gpu_instance": mig.gpu_instance,
        "compute_instance": mig.compute_instance,
    }


def _resource(resource: Resource, config: Config) -> dict[str, Any]:
    return {
        "name": resource.name,
        "replicas": [replica.id for replica in resource.replicas],
        "sharing": resource.sharing,
        "single_request": resource.single_request,
        "renamed_from": resource.renamed_from,
        "devices": [
            {
                "uuid": device.uuid,
                "index": device.index,
                "replicas": resource.replicas_of(device.uuid),
                "memory_share_bytes": memory_share(resource, device, config),
            }
            for device in resource.devices
        ],
    }


def _yaml(values: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(_quoted(values), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """With quotes where YAML 1.1 would read a number: `0000:01:00.0` is one, to the base 60."""
    from ruamel.yaml.scalarstring import SingleQuotedScalarString

    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str) and value[:1].isdigit():
        return SingleQuotedScalarString(value)
    return value


def _tables(
    inventory: Inventory, resources: Sequence[Resource], config: Config, *, wide: bool
) -> str:
    from rich.console import Console

    console = Console(highlight=False)
    if wide:
        console = Console(highlight=False, width=max(console.width, _WIDE))
    with console.capture() as captured:
        if inventory.emulated:
            console.print("[bold yellow]EMULATED[/]: these GPUs do not exist on this machine\n")
        console.print(_headline(inventory))
        for table in _parts(inventory, resources, config, wide):
            console.print()
            console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _parts(
    inventory: Inventory, resources: Sequence[Resource], config: Config, wide: bool
) -> list[RenderableType]:
    if not inventory.gpus:
        return []
    if not resources:
        return [_gpus(inventory, wide), "no resource is served"]
    return [
        _gpus(inventory, wide),
        _replicas(resources, config, wide),
        _summary(resources),
        _turns(inventory, config),
    ]


def _turns(inventory: Inventory, config: Config) -> str:
    """Where there are turns, and where and why there are none; one line for those alike."""
    by_reason: dict[str, list[str]] = {}
    for gpu in inventory.gpus:
        by_reason.setdefault(no_turns(gpu, inventory, config), []).append(str(gpu.index))
    longest = format_duration(config.rota.turns.quantum)
    lines = []
    for why, indexes in by_reason.items():
        gpus = f"GPU{'s' * (len(indexes) > 1)} {', '.join(indexes)}"
        lines.append(f"no turns on {gpus}: {why}" if why else f"turns of {longest} on {gpus}")
    return "\n".join(lines)


def _headline(inventory: Inventory) -> str:
    count = len(inventory.gpus)
    parts = [f"{count} GPU{'' if count == 1 else 's'}" if count else "no GPU"]
    if inventory.driver_version:
        parts.append(f"driver {inventory.driver_version}")
    if inventory.cuda_version[0]:
        parts.append(f"CUDA {_dotted(inventory.cuda_version)}")
    return ", ".join(parts)


def _gpus(inventory: Inventory, wide: bool) -> Table:
    more = ("CAPABILITY", "MINOR", "UUID", "MIG") if wide else ()
    from rich.markup import escape

    table = _table("GPU", "PRODUCT", ">MEMORY", "FAMILY", "BUS ID", *more)
    for gpu in inventory.gpus:
        mig = f"{len(gpu.mig_devices)} devices" if gpu.mig_enabled else "off"
        extra = (_dotted(gpu.compute_capability), str(gpu.minor), gpu.uuid, mig) if wide else ()
        size = _size(gpu.memory_bytes)
        row = (str(gpu.index), escape(gpu.product), size, gpu.family, gpu.pci_bus_id)
        table.add_row(*row, *extra)
    return table


def _replicas(resources: Sequence[Resource], config: Config, wide: bool) -> Table:
    table = _table("GPU", "RESOURCE, AND THE IDS OF ITS REPLICAS", ">REPLICAS", ">MEMORY EACH")
    for resource in resources:
        for device in resource.devices:
            share = memory_share(resource, device, config)
            table.add_row(
                device.index,
                f"[bold]{resource.name}[/]\n{_ids(resource, device, wide)}",
                str(resource.replicas_of(device.uuid)),
                _size(share) if share is not None else "no limit",
            )
    return table


def _ids(resource: Resource, device: Device, wide: bool) -> str:
    ids = [replica.id for replica in resource.replicas if replica.device == device.uuid]
    if wide:
        return "\n".join(ids)
    return ids[0] if len(ids) == 1 else f"{ids[0]} … ::{len(ids) - 1}"


def _summary(resources: Sequence[Resource]) -> Table:
    table = _table("RESOURCE", ">ALLOCATABLE", "WHAT SHARING MAKES OF IT")
    for resource in resources:
        table.add_row(resource.name, str(len(resource.replicas)), _made(resource))
    return table


def _made(resource: Resource) -> str:
    """Such as `1 GPU whole, 2 GPUs cut in 4`."""
    counts = Counter(
        (resource.replicas_of(device.uuid), "MIG device" if device.mig else "GPU")
        for device in resource.devices
    )
    parts = [
        f"{many} {noun}{'' if many == 1 else 's'} {'whole' if cut == 1 else f'cut in {cut}'}"
        for (cut, noun), many in sorted(counts.items())
    ]
    after = f" ({resource.sharing})" if resource.shared else ""
    one = "; one a container" if resource.single_request else ""
    return ", ".join(parts) + after + one


def _table(*columns: str) -> Table:
    """A table without lines; `>` before a heading puts the column's text to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    return table


def _size(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
