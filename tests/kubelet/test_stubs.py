"""The wire is the public one, and the committed stubs are those of the .proto files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from rota.kubelet.api import deviceplugin_pb2, podresources_pb2

API = Path(deviceplugin_pb2.__file__).parent
GENERATOR = Path(__file__).with_name("stubs.py")

DEVICE_PLUGIN = """
DevicePluginOptions pre_start_required=1 get_preferred_allocation_available=2
RegisterRequest version=1 endpoint=2 resource_name=3 options=4
Empty
ListAndWatchResponse devices=1
TopologyInfo nodes=1
NUMANode ID=1
Device ID=1 health=2 topology=3
PreStartContainerRequest devices_ids=1
PreStartContainerResponse
PreferredAllocationRequest container_requests=1
ContainerPreferredAllocationRequest
    available_deviceIDs=1 must_include_deviceIDs=2 allocation_size=3
PreferredAllocationResponse container_responses=1
ContainerPreferredAllocationResponse deviceIDs=1
AllocateRequest container_requests=1
ContainerAllocateRequest devices_ids=1
CDIDevice name=1
AllocateResponse container_responses=1
ContainerAllocateResponse envs=1 mounts=2 devices=3 annotations=4 cdi_devices=5
Mount container_path=1 host_path=2 read_only=3
DeviceSpec container_path=1 host_path=2 permissions=3
"""
"""k8s.io/kubelet pkg/apis/deviceplugin/v1beta1."""

POD_RESOURCES = """
AllocatableResourcesRequest
AllocatableResourcesResponse devices=1 cpu_ids=2 memory=3
ListPodResourcesRequest
ListPodResourcesResponse pod_resources=1
PodResources name=1 namespace=2 containers=3
ContainerResources name=1 devices=2 cpu_ids=3 memory=4 dynamic_resources=5
ContainerMemory memory_type=1 size=2 topology=3
ContainerDevices resource_name=1 device_ids=2 topology=3
NUMATopology nodes=1
NUMANode ID=1
DynamicResource claim_name=2 claim_namespace=3 claim_resources=4
ClaimResource cdi_devices=1 driver_name=2 pool_name=3 device_name=4
CDIDevice name=1
GetPodResourcesRequest pod_name=1 pod_namespace=2
GetPodResourcesResponse pod_resources=1
"""
"""k8s.io/kubelet pkg/apis/podresources/v1."""

METHODS = {
    "/v1beta1.Registration": ["Register"],
    "/v1beta1.DevicePlugin": [
        "GetDevicePluginOptions",
        "ListAndWatch",
        "GetPreferredAllocation",
        "Allocate",
        "PreStartContainer",
    ],
    "/v1.PodResourcesLister": ["List", "GetAllocatableResources", "Get"],
}


def messages(table: str) -> dict[str, list[str]]:
    rows = [row.split() for row in table.replace("\n    ", " ").strip().splitlines()]
    return {name: fields for name, *fields in rows}


@pytest.mark.parametrize(
    ("descriptor", "table"),
    [(deviceplugin_pb2.DESCRIPTOR, DEVICE_PLUGIN), (podresources_pb2.DESCRIPTOR, POD_RESOURCES)],
    ids=["deviceplugin", "podresources"],
)
def test_names_and_field_numbers_are_the_public_ones(
    descriptor: FileDescriptor, table: str
) -> None:
    ours = {
        name: [f"{field.name}={field.number}" for field in message.fields]
        for name, message in descriptor.message_types_by_name.items()
    }
    assert ours == messages(table)


def test_services_and_methods_are_the_public_ones() -> None:
    ours = {
        f"/{service.full_name}": [method.name for method in service.methods]
        for descriptor in (deviceplugin_pb2.DESCRIPTOR, podresources_pb2.DESCRIPTOR)
        for service in descriptor.services_by_name.values()
    }
    assert ours == METHODS


def test_the_committed_stubs_are_those_of_the_proto_files(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    found = importlib.util.spec_from_file_location("stubs", GENERATOR)
    assert found
    assert found.loader
    stubs = importlib.util.module_from_spec(found)
    found.loader.exec_module(stubs)
    stubs.generate(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in API.glob("*_pb2*") if path.is_file()}
    assert made == kept
