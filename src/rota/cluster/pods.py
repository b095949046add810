"""The pods of this node: what each wishes, and which of them are being deleted.

Only what is needed stays, and only while the pod is there: its name, its uid, its wish. What was
bad in a wish is told once, not at each change of the pod.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rota.cluster.annotations import PodWish, ours, parse
from rota.cluster.door import Change, Object, annotations_of, labels_of, metadata
from rota.cluster.events import Ref

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What is kept of a pod.

    Attributes:
        uid: its uid.
        given: its annotations that are ours.
        wish: what they mean.
        ending: it is being deleted.
        plugin: it is a pod of NVIDIA's plugin.
    """

    uid: str
    given: tuple[tuple[str, str], ...] = ()
    wish: PodWish = field(default_factory=PodWish)
    ending: bool = False
    plugin: bool = False


class Pods:
    """The pods of one node, as a watch tells them.

    Args:
        changed: called when a wish changed, or a pod is being deleted.
        bad: called where annotations are not taken, with the reasons.
        is_plugin: tells NVIDIA's plugin by namespace and labels.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        bad: Callable[[Ref, str], None],
        is_plugin: Callable[[str, Mapping[str, str]], bool] = lambda *_: False,
    ) -> None:
        self._changed = changed
        self._bad = bad
        self._is_plugin = is_plugin
        self._pods: dict[Name, PodFacts] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def of(self, namespace: str, name: str) -> PodFacts | None:
        """What is known of a pod."""
        return self._pods.get((namespace, name))

    def ref(self, namespace: str, name: str) -> Ref:
        """A pod for an Event."""
        known = self.of(namespace, name)
        return Ref("Pod", name, namespace, known.uid if known else "")

    @property
    def plugins(self) -> dict[Name, PodFacts]:
        """NVIDIA's plugin's pods on this node."""
        return {name: pod for name, pod in self._pods.items() if pod.plugin}

    def replaced(self, objects: Sequence[Object]) -> None:
        """These are all there are."""
        before, self._pods = self._pods, {}
        for thing in objects:
            name = _name(thing)
            self._pods[name] = self._read(thing, before.get(name))
        if _wished(self._pods) != _wished(before):
            self._changed()

    def changed(self, change: Change) -> None:
        """One was added, modified or deleted."""
        name = _name(change.object)
        before = self._pods.get(name)
        if change.what == "DELETED":
            self._pods.pop(name, None)
            return
        now = self._pods[name] = self._read(change.object, before)
        if _wished({name: now}) != _wished({name: before} if before else {}):
            self._changed()

    def denied(self) -> None:
        """No wish is known then but those that were."""

    def _read(self, thing: Object, before: PodFacts | None) -> PodFacts:
        meta = metadata(thing)
        given = tuple(sorted(ours(annotations_of(thing)).items()))
        uid = str(meta.get("uid", ""))
        same = before is not None and (before.uid, before.given) == (uid, given)
        wish = before.wish if before and same else PodWish()
        if given and not same:
            wish, bad = parse(dict(given))
            if bad:
                about = Ref("Pod", _name(thing)[1], _name(thing)[0], uid)
                self._bad(about, ". ".join(one.what for one in bad))
        plugin = self._is_plugin(_name(thing)[0], labels_of(thing))
        return PodFacts(uid, given, wish, bool(meta.get("deletionTimestamp")), plugin)


def _wished(pods: Mapping[Name, PodFacts]) -> dict[Name, tuple[PodWish, bool]]:
    """What of the pods matters to turns: the wishes that are one, and who is being deleted."""
    plain = (PodWish(), False)
    found = {name: (pod.wish, pod.ending) for name, pod in pods.items()}
    return {name: wished for name, wished in found.items() if wished != plain}


def _name(thing: Object) -> Name:
    meta = metadata(thing)
    return str(meta.get("namespace", "")), str(meta.get("name", ""))
