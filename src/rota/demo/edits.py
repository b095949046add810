"""The edits of the config that a demo makes, as new texts: everything else stays as it was. Pure."""

from __future__ import annotations

import json
from typing import Any

from rota.config.document import read_documents

BLOCKS = ("mps", "timeSlicing")


def with_mode(text: str, file: str, mode: str) -> str:
    """The same config with another `rota.turns.mode`."""
    root = _plain(text, file)
    rota = _map(root, "rota")
    return json.dumps(root | {"rota": rota | {"turns": _map(rota, "turns") | {"mode": mode}}})


def with_replicas(text: str, file: str, count: int) -> str:
    """The same config with so many replicas in every entry that shares something."""
    root = _plain(text, file)
    sharing = _map(root, "sharing")
    for name in BLOCKS:
        block = _map(sharing, name)
        if entries := block.get("resources"):
            changed = [entry | {"replicas": count} for entry in entries]
            sharing[name] = block | {"resources": changed}
    return json.dumps(root | {"sharing": sharing})


def _plain(text: str, file: str) -> dict[str, Any]:
    root = read_documents(text, file)[0].plain()
    assert isinstance(root, dict)  # it shares something, so it is one
    return root


def _map(parent: dict[str, Any], key: str) -> dict[str, Any]:
    found = parent.get(key)
    return dict(found) if isinstance(found, dict) else {}
