"""Parts of set-ups that the rules' tests put together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: time-slicing-config
  namespace: gpu-operator
data:
  any: |
    version: v1
    sharing:
      timeSlicing:
        resources:
        - name: nvidia.com/gpu
          replicas: 4
"""

POLICY = """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  devicePlugin:
    config:
      name: time-slicing-config
      default: any
"""


@pytest.fixture
def config_map() -> str:
    """A ConfigMap with one config, of 4 replicas, where the operator looks for it."""
    return CONFIG_MAP


@pytest.fixture
def policy() -> str:
    """The ClusterPolicy that names it."""
    return POLICY


@pytest.fixture
def config() -> Callable[..., str]:
    """`config(entry, block, rest)`: a bare config with lines of your own."""

    def make(entry: str = "", block: str = "", rest: str = "") -> str:
        lines = ["version: v1", "sharing:", "  timeSlicing:"]
        lines += [f"    {line}" for line in block.splitlines()]
        lines += ["    resources:", "    - name: nvidia.com/gpu", "      replicas: 4"]
        lines += [f"      {line}" for line in entry.splitlines()]
        return "\n".join([*lines, rest]) + "\n"

    return make


@pytest.fixture
def pod() -> Callable[..., str]:
    """`pod("limits: {…}")`: a pod with one container that has these resources."""

    def make(resources: str, extra: str = "") -> str:
        head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n"
        return f"{head}    resources:\n      {resources}\n{extra}"

    return make
