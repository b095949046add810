"""The last config of the cluster that was served, kept on disk.

An agent that starts while the API server is away serves it again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "config-last-good.json"


@dataclass(frozen=True, slots=True)
class LastGood:
    """A config that was served.

    Attributes:
        source: the ConfigMap, as `namespace/name`.
        key: its key.
        text: what was there.
    """

    source: str
    key: str
    text: str

    @classmethod
    def read(cls, folder: Path, source: str) -> LastGood | None:
        """The one of this ConfigMap; None where there is none, or it cannot be read."""
        try:
            raw = json.loads((folder / NAME).read_text(encoding="utf-8"))
            found = cls(str(raw["source"]), str(raw["key"]), str(raw["text"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.source == source else None

    def write(self, folder: Path) -> None:
        """Keep it, in one step. OSError where the folder cannot be written."""
        draft = folder / f".{NAME}.new"
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(folder / NAME)
