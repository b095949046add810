"""Which names a plugin may register."""

from __future__ import annotations

import pytest

from rota.kubelet.embedded.names import is_extended_resource, is_label, is_subdomain


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.com/gpu",
        "nvidia.com/gpu.shared",
        "nvidia.com/mig-1g.10gb",
        "a/B_c",
        "x.y/" + 63 * "g",
    ],
)
def test_a_qualified_name_with_a_domain_is_an_extended_resource(name: str) -> None:
    assert is_extended_resource(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpu",
        "cpu",
        "/gpu",
        "nvidia.com/",
        "nvidia.com/gpu/x",
        "nvidia.com/-gpu",
        "nvidia.com/gpu\n",
        "NVIDIA.com/gpu",
        "kubernetes.io/gpu",
        "sub.kubernetes.io/gpu",
        "requests.nvidia.com/gpu",
        "x.y/" + 64 * "g",
        ".".join(["d" * 60] * 4) + ".com/gpu",
    ],
)
def test_any_other_name_is_none(name: str) -> None:
    assert not is_extended_resource(name)


def test_pods_have_subdomains_and_containers_labels_for_names() -> None:
    assert is_subdomain("web-1.x")
    assert not is_subdomain("Web")
    assert is_label("main")
    assert not is_label("a.b")
    assert not is_label("a/../b")
