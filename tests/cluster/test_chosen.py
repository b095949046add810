"""Which config is a node's: its label, then the default, then the only key."""

from __future__ import annotations

import pytest

from rota.cluster.chosen import Chosen, NoConfig, choose

TWO = {"a": "A", "b": "B"}


@pytest.mark.parametrize(
    ("data", "label", "default", "chosen"),
    [
        (TWO, "b", "a", Chosen("b", "B", "label")),
        (TWO, "", "a", Chosen("a", "A", "default")),
        ({"a": "A"}, "", "", Chosen("a", "A", "only key")),
        ({**TWO, "default": "D"}, "", "", Chosen("default", "D", "default")),
        ({**TWO, "default": "D"}, "", "a", Chosen("a", "A", "default")),
    ],
)
def test_a_nodes_config(data: dict[str, str], label: str, default: str, chosen: Chosen) -> None:
    assert choose(data, label, default, "rota/config") == chosen


@pytest.mark.parametrize(
    ("data", "label", "default", "says"),
    [
        (None, "", "", "no such ConfigMap"),
        ({}, "", "", "no config in it"),
        (TWO, "", "", r"several configs \(a, b\)"),
        (TWO, "c", "a", "label nvidia.com/device-plugin.config names the key `c`.*`a` or `b`"),
        (TWO, "", "c", "--config-key names the key `c`"),
        ({"a": "A"}, "c", "", "names the key `c`"),
    ],
)
def test_a_name_that_is_not_there_gets_no_other_config(
    data: dict[str, str] | None, label: str, default: str, says: str
) -> None:
    with pytest.raises(NoConfig, match=says):
        choose(data, label, default, "rota/config")
