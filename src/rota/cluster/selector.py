"""How NVIDIA's plugin's pods are told from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selector:
    """Where NVIDIA's plugin's pods are found.

    Attributes:
        namespace: theirs.
        label: a label of theirs.
        value: its value.
    """

    namespace: str = "gpu-operator"
    label: str = "app"
    value: str = "nvidia-device-plugin-daemonset"

    @classmethod
    def parse(cls, text: str) -> Selector:
        """`NAMESPACE/LABEL=VALUE`; ValueError for anything else."""
        namespace, slash, rest = text.partition("/")
        label, equals, value = rest.rpartition("=")
        if not (namespace and slash and label and equals and value):
            raise ValueError(f"'{text}' is not NAMESPACE/LABEL=VALUE")
        return cls(namespace, label, value)

    def fits(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a pod is one of them."""
        return namespace == self.namespace and labels.get(self.label) == self.value
