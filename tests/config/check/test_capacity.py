"""The most that one node can offer under a config."""

from __future__ import annotations

import pytest

from rota.config.check.capacity import offers, serves
from rota.config.load import load_text


def most(sharing: str) -> dict[str, int]:
    config = load_text(f"version: v1\nsharing: {{timeSlicing: {sharing}}}\n", "c").config
    return {name: offer.most for name, offer in offers(config).items()}


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ("{resources: [{name: gpu, replicas: 4}]}", {"nvidia.com/gpu": 64}),
        ("{resources: [{name: gpu, replicas: 4, devices: 2}]}", {"nvidia.com/gpu": 22}),
        (
            "{renameByDefault: true, resources: [{name: gpu, replicas: 4}]}",
            {"nvidia.com/gpu.shared": 64},
        ),
        (
            "{resources: [{name: gpu, replicas: 4, devices: [0], rename: small}]}",
            {"nvidia.com/gpu": 15, "nvidia.com/small": 4},
        ),
        (
            "{resources: [{name: gpu, replicas: 2}, {name: gpu, replicas: 4}]}",
            {"nvidia.com/gpu": 64},
        ),
        ("{resources: [{name: mig-1g.10gb, replicas: 2}]}", {"nvidia.com/gpu": 16, "nvidia.com/mig-1g.10gb": 224}),
    ],
)  # fmt: skip
def test_most_of_each_resource(sharing: str, expected: dict[str, int]) -> None:
    assert most(sharing) == expected


def test_without_sharing_a_node_has_its_gpus() -> None:
    config = load_text("version: v1\n", "c").config
    assert offers(config)["nvidia.com/gpu"].most == 16
    assert not serves(config, "nvidia.com/mig-1g.10gb")


def test_patterns_name_what_is_served() -> None:
    text = "version: v1\nresources: {gpus: [{pattern: '*H200*', name: h200}]}\n"
    config = load_text(text, "c").config
    assert serves(config, "nvidia.com/h200")
