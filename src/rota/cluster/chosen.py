"""Which config of the ConfigMap is this node's. Pure.

The label `nvidia.com/device-plugin.config` names it, as with NVIDIA's plugin; else the default
(`--config-key`, or a key named `default`); else the only key. Whoever names a key that is not there
gets no other one: what is served stays, and the answer says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from rota.config.report import listed
from rota.errors import RotaError

LABEL = "nvidia.com/device-plugin.config"

DEFAULT = "default"
"""A key of this name is the default where none was named."""


class NoConfig(RotaError):
    """The ConfigMap has no config for this node."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A node's config.

    Attributes:
        key: in the ConfigMap.
        text: what is there.
        why: `label`, `default` or `only key`.
    """

    key: str
    text: str
    why: str


def fingerprint(text: str) -> str:
    """A config's text, short enough for a label: who serves this text has this label."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def choose(data: Mapping[str, str] | None, label: str, default: str, where: str) -> Chosen:
    """The config of a node.

    Args:
        data: the ConfigMap's; None where there is no such ConfigMap.
        label: the node's; empty for none.
        default: the key for nodes without one; empty for none.
        where: the ConfigMap's name, for messages.

    Raises:
        NoConfig: there is none for this node; the sentence says why.
    """
    if data is None:
        raise NoConfig("there is no such ConfigMap", where=where, hint="create it, or fix its name")
    if not data:
        raise NoConfig("this ConfigMap has no config in it", where=where)
    if label:
        return _named(data, label, "label", where)
    if default:
        return _named(data, default, "default", where)
    if DEFAULT in data:
        return Chosen(DEFAULT, data[DEFAULT], "default")
    if len(data) == 1:
        (key,) = data
        return Chosen(key, data[key], "only key")
    raise NoConfig(
        f"it holds several configs ({', '.join(sorted(data))}), and none is this node's",
        where=where,
        hint=f"label the node with {LABEL}, or name a default with --config-key",
    )


def _named(data: Mapping[str, str], key: str, why: str, where: str) -> Chosen:
    if key in data:
        return Chosen(key, data[key], why)
    who = f"the node's label {LABEL}" if why == "label" else "--config-key"
    hint = f"there is {listed(sorted(data))}"
    raise NoConfig(f"{who} names the key `{key}`, which is not there", where=where, hint=hint)
