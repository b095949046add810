"""What a node advertises: its devices, by what a config says, as resources with replicas.

Pure, and the one place where sharing is decided; the agent serves what comes out, `rota devices`
shows it. A whole device keeps its bare UUID as id, as with NVIDIA's plugin, also where other
devices of the same resource are shared: its one replica is the device, and `<uuid>::0` would
promise siblings. Every device lies behind exactly one resource.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rota.config.findings import Finding, Level, Mark
from rota.config.schema import Config, ResourcePattern, SharedResource, Sharing
from rota.model import Device, Inventory, Replica, Resource
from rota.replicas import mig, naming
from rota.replicas.selection import mark, select


@dataclass(frozen=True, slots=True)
class Plan:
    """What one node advertises under one config.

    Attributes:
        resources: by name; empty where a finding is an error.
        findings: what the config wants and this node cannot give, and what is worth knowing.
    """

    resources: tuple[Resource, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def failed(self) -> bool:
        """Nothing can be served: at least one finding is an error."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    def resource(self, name: str) -> Resource | None:
        """The resource with this full name."""
        return next((resource for resource in self.resources if resource.name == name), None)


@dataclass(frozen=True, slots=True)
class _Cut:
    """What becomes of one device: the name it is served under, and how many replicas it makes."""

    device: Device
    original: str
    name: str
    replicas: int = 1


def plan(config: Config, inventory: Inventory, *, file: str = "") -> Plan:
    """The resources that `inventory` makes under `config`; `file` is what findings name."""
    strategy = config.flags.mig_strategy
    findings = list(mig.findings(inventory, strategy, file))
    if any(finding.level is Level.ERROR for finding in findings):
        return Plan((), tuple(findings))
    devices = mig.devices(inventory, strategy)
    named = _named(devices, config)
    findings += _unnamed(named.pop("", ()), file)
    findings += _idle_patterns(devices, config, file)
    cuts, said = _cuts(named, config.sharing, file)
    resources = tuple(_resources(cuts.values(), config.sharing))
    return Plan(resources, (*findings, *said))


def _patterns(device: Device, config: Config) -> tuple[ResourcePattern, ...]:
    return config.mig_patterns if device.mig else config.gpu_patterns


def _named(devices: Sequence[Device], config: Config) -> dict[str, tuple[Device, ...]]:
    named: defaultdict[str, list[Device]] = defaultdict(list)
    for device in devices:
        strategy = config.flags.mig_strategy
        named[naming.resource_of(device, _patterns(device, config), strategy)].append(device)
    return {name: tuple(group) for name, group in named.items()}


def _cuts(
    named: Mapping[str, Sequence[Device]], sharing: Sharing, file: str
) -> tuple[dict[str, _Cut], list[Finding]]:
    """Each device's cut by its UUID. Of two entries about one device the larger count serves."""
    cuts = {d.uuid: _Cut(d, name, name) for name, group in named.items() for d in group}
    findings: list[Finding] = []
    for entry in sharing.resources:
        chosen = select(entry, named, file)
        findings += chosen.findings
        again = [device.index for device in chosen.devices if cuts[device.uuid].replicas > 1]
        if again:
            findings.append(_twice(entry, again, file))
        for device in chosen.devices:
            if entry.replicas > cuts[device.uuid].replicas:
                name = _served_name(entry, sharing)
                cuts[device.uuid] = _Cut(device, entry.name, name, entry.replicas)
    return cuts, findings


def _served_name(entry: SharedResource, sharing: Sharing) -> str:
    if entry.rename:
        return entry.rename
    return entry.name + naming.SHARED_SUFFIX if sharing.rename_by_default else entry.name


def _resources(cuts: Iterable[_Cut], sharing: Sharing) -> Iterator[Resource]:
    by_name: defaultdict[str, list[_Cut]] = defaultdict(list)
    for cut in cuts:
        by_name[cut.name].append(cut)
    for name in sorted(by_name):
        yield _resource(name, sorted(by_name[name], key=_order), sharing)


def _order(cut: _Cut) -> tuple[int, int]:
    device = cut.device
    return device.gpu.index, device.mig.index if device.mig else -1


def _resource(name: str, cuts: Sequence[_Cut], sharing: Sharing) -> Resource:
    shared = any(cut.replicas > 1 for cut in cuts)
    originals = {cut.original: None for cut in cuts}
    return Resource(
        name=name,
        devices=tuple(cut.device for cut in cuts),
        replicas=tuple(replica for cut in cuts for replica in _replicas(cut)),
        sharing=sharing.strategy if shared else "none",
        single_request=shared and _single_request(sharing),
        renamed_from="" if name in originals else next(iter(originals)),
    )


def _single_request(sharing: Sharing) -> bool:
    """NVIDIA's plugin lets no container have two of an `mps` resource, whatever the flag says."""
    return sharing.fail_requests_greater_than_one or sharing.strategy == "mps"


def _replicas(cut: _Cut) -> Iterator[Replica]:
    if cut.replicas == 1:
        yield Replica(cut.device.uuid)
        return
    for ordinal in range(cut.replicas):
        yield Replica(cut.device.uuid, ordinal)


def _twice(entry: SharedResource, indexes: Sequence[str], file: str) -> Finding:
    return Finding(
        "device-shared-twice",
        Level.NOTE,
        mark(entry, file),
        f"another entry shares device {', '.join(indexes)} of {entry.name} too",
        "the larger number of replicas serves, as with NVIDIA's plugin",
    )


def _unnamed(devices: Sequence[Device], file: str) -> Iterator[Finding]:
    for device in devices:
        yield Finding(
            "mig-no-name",
            Level.WARNING,
            Mark(file),
            f"MIG device {device.index} ({naming.named(device)}) has no resource name by itself, "
            "and is not served",
            "give its profile a name under resources.mig",
        )


def _idle_patterns(devices: Sequence[Device], config: Config, file: str) -> Iterator[Finding]:
    rows = [("gpus", entry, False) for entry in config.gpu_patterns]
    rows += [("mig", entry, True) for entry in config.mig_patterns]
    for place, entry, is_mig in rows:
        mine = [d for d in devices if bool(d.mig) is is_mig]
        if any(_first(device, config) is entry for device in mine):
            continue
        seen = ", ".join(sorted({naming.named(device) for device in mine})) or "none"
        yield Finding(
            "pattern-without-device",
            Level.NOTE,
            Mark(file),
            f"no device here gets its name from the pattern {entry.pattern!r} under "
            f"resources.{place}",
            f"the devices that it is held against: {seen}",
        )


def _first(device: Device, config: Config) -> ResourcePattern | None:
    text = naming.named(device)
    return next((e for e in _patterns(device, config) if naming.matches(e.pattern, text)), None)
