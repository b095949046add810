"""A stand-in for a node's kubelet: the real protocols over real sockets, pods as real processes.

The demo and the tests run on it. Towards device plugins and monitors it behaves as stock kubelets
do, to the wording of their errors; it runs no images and mounts nothing.
"""

from rota.kubelet.embedded.events import Event
from rota.kubelet.embedded.kubelet import EmbeddedKubelet
from rota.kubelet.embedded.spec import ContainerSpec, InvalidPod, PodSpec, Timing
from rota.kubelet.embedded.status import ContainerStatus, Given, PodStatus

__all__ = [
    "ContainerSpec",
    "ContainerStatus",
    "EmbeddedKubelet",
    "Event",
    "Given",
    "InvalidPod",
    "PodSpec",
    "PodStatus",
    "Timing",
]
