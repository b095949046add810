"""What is known of the node and of the ConfigMap, as two watches tell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rota.cluster.door import Change, Object
from rota.cluster.events import Ref, object_ref


class One:
    """The one object of a view.

    Attributes:
        thing: None while there is none, and while it is not known.
        known: it was seen, or seen to be missing.
        hidden: it may not be seen.
    """

    def __init__(self, changed: Callable[[Object | None], None]) -> None:
        """`changed` is called whenever more is known."""
        self._changed = changed
        self.thing: Object | None = None
        self.known = False
        self.hidden = False

    def replaced(self, objects: Sequence[Object]) -> None:
        """It is the only one, or there is none."""
        self._set(objects[0] if objects else None)

    def changed(self, change: Change) -> None:
        """It changed."""
        self._set(None if change.what == "DELETED" else change.object)

    def denied(self) -> None:
        """It may not be seen; what was seen before still counts."""
        if not self.hidden:
            self.hidden = True
            self._changed(self.thing)

    def _set(self, thing: Object | None) -> None:
        self.known, self.hidden, self.thing = True, False, thing
        self._changed(thing)


def data_of(config_map: Object | None) -> dict[str, str] | None:
    """The texts of a ConfigMap; None where there is none."""
    if config_map is None:
        return None
    return {str(key): str(text) for key, text in (config_map.get("data") or {}).items()}


def ref_of(config_map: Object | None, namespace: str, name: str) -> Ref:
    """The ConfigMap for an Event, also where it is not there."""
    return object_ref("ConfigMap", config_map) if config_map else Ref("ConfigMap", name, namespace)
