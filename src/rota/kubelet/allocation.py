"""What a container gets for the replicas it was given. Pure: no gRPC, no clock, no files.

The answer is NVIDIA's to the letter (k8s-device-plugin `getAllocateResponse`), so that every
container runtime that serves their plugin serves this one: two replicas of one GPU are one GPU.
What Rota adds is one variable, `ROTA_REPLICAS`, with the replicas themselves: the double share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rota.config.schema import Flags
from rota.errors import KubeletError
from rota.kubelet.listing import Listing
from rota.model import Device, Replica, Resource

CDI_KIND = "k8s.device-plugin.nvidia.com/gpu"
VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
VOLUME_ROOT = "/var/run/nvidia-container-devices"
REPLICAS = "ROTA_REPLICAS"
"""The replicas that a container holds, comma separated, in its environment."""


LONGEST_ID = 100
"""Characters of an unknown id that a message repeats: gRPC cuts off answers with long errors."""


class Refusal(KubeletError):
    """An allocation that cannot be: the request is wrong."""


class UnknownReplica(Refusal):
    """The resource does not have (or no longer has) this replica."""


class UnfitReplica(Refusal):
    """The replica is there, but must not be given to anybody now."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host in the container."""

    container_path: str
    host_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device file of the host in the container."""

    path: str
    host_path: str
    permissions: str = "rw"


@dataclass(frozen=True, slots=True)
class ContainerAllocation:
    """Everything that the kubelet passes on to the container runtime for one container."""

    envs: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


def check(listing: Listing, ids: Sequence[str]) -> None:
    """Refuse a request that cannot be granted, naming the id and the resource.

    Raises:
        Refusal: nothing is asked for, or more than one under failRequestsGreaterThanOne.
        UnknownReplica: an id is none of this resource's.
        UnfitReplica: a replica is unhealthy, or being withdrawn.
    """
    resource = listing.resource
    invalid = f'invalid allocation request for "{resource.name}"'
    if not ids:
        raise Refusal(f"{invalid}: no replica is named")
    shared = any(Replica.parse(id_).ordinal is not None for id_ in ids)
    if resource.single_request and shared and len(ids) > 1:
        most = "maximum request size for shared resources is 1"
        raise Refusal(f"{invalid}: invalid request: {most}; found {len(ids)}")
    for id_ in ids:
        reason = listing.reason(id_)
        if reason is None:
            raise UnknownReplica(f"{invalid}: unknown device: {quoted(id_)}")
        if reason:
            raise UnfitReplica(f"{invalid}: device {id_} is unhealthy: {reason}")


def quoted(id_: str) -> str:
    """An id that came from outside, fit for a message: in one line, and not too long."""
    shown = id_ if id_.isprintable() and id_ else ascii(id_)
    return shown if len(shown) <= LONGEST_ID else f"{shown[:LONGEST_ID]}… ({len(id_)} characters)"


def allocate(
    resource: Resource,
    ids: Sequence[str],
    flags: Flags,
    *,
    request_id: str,
    nodes: Callable[[Sequence[Device]], Iterable[DeviceNode]],
    extra_env: Mapping[str, str] | None = None,
) -> ContainerAllocation:
    """Answer for one container, after `check`.

    Args:
        resource: the resource that the replicas are of.
        ids: the replicas' ids.
        flags: deviceListStrategy, deviceIDStrategy, passDeviceSpecs, cdiAnnotationPrefix.
        request_id: a fresh UUID for the CDI annotation.
        nodes: device files of some devices; asked only under passDeviceSpecs.
        extra_env: for every container, beside what the strategies set.
    """
    asked = [Replica.parse(id_) for id_ in dict.fromkeys(ids)]
    held = {replica.device for replica in asked}
    devices = [device for device in resource.devices if device.uuid in held]
    order = {device.uuid: place for place, device in enumerate(devices)}
    replicas = sorted(asked, key=lambda replica: (order[replica.device], replica.ordinal or 0))
    names = [d.uuid if flags.device_id_strategy == "uuid" else d.index for d in devices]
    cdi = tuple(f"{CDI_KIND}={name}" for name in names)
    chosen = flags.device_list_strategy
    volumes = "volume-mounts" in chosen
    annotation = f"{flags.cdi_annotation_prefix}nvidia-device-plugin_{request_id}"
    return ContainerAllocation(
        envs={
            **(extra_env or {}),
            REPLICAS: ",".join(replica.id for replica in replicas),
            **_visible(names, flags),
        },
        mounts=tuple(Mount(f"{VOLUME_ROOT}/{n}", "/dev/null") for n in names if volumes),
        devices=tuple(nodes(devices)) if flags.pass_device_specs else (),
        annotations={annotation: ",".join(cdi)} if "cdi-annotations" in chosen else {},
        cdi_devices=cdi if "cdi-cri" in chosen else (),
    )


def _visible(names: Sequence[str], flags: Flags) -> dict[str, str]:
    """The variable that NVIDIA's runtime reads: with both strategies, the mounts win, as there."""
    if "volume-mounts" in flags.device_list_strategy:
        return {VISIBLE_DEVICES: VOLUME_ROOT}
    if "envvar" in flags.device_list_strategy:
        return {VISIBLE_DEVICES: ",".join(names)}
    return {}
