"""Telling the kubelet that a resource is served, and where."""

from __future__ import annotations

from pathlib import Path

from rota.kubelet.api.deviceplugin_pb2 import DevicePluginOptions, RegisterRequest
from rota.kubelet.api.deviceplugin_pb2_grpc import RegistrationStub
from rota.kubelet.wire import calling

API_VERSION = "v1beta1"
KUBELET_SOCKET = "kubelet.sock"
OPTIONS = DevicePluginOptions(pre_start_required=False, get_preferred_allocation_available=True)


async def register(kubelet: Path, resource: str, endpoint: str, within: float = 5.0) -> None:
    """Register a resource. The kubelet dials the endpoint before it answers.

    Args:
        kubelet: the kubelet's socket.
        resource: full name.
        endpoint: the plugin's socket, as a name in the kubelet's folder.
        within: seconds to answer in.

    Raises:
        KubeletError: no kubelet, no answer in time, or a refusal.
    """
    request = RegisterRequest(
        version=API_VERSION, endpoint=endpoint, resource_name=resource, options=OPTIONS
    )
    async with calling(kubelet, f"register {resource}") as channel:
        await RegistrationStub(channel).Register(request, timeout=within)  # type: ignore[no-untyped-call]
