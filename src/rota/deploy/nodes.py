"""Whether a node serves what was applied, and if not, why. Pure.

A node serves it when its agent says so (the label `rota.dev/config` names the text) and when the
kubelet has told the API server as many replicas as the config makes of the node's GPUs. Why it does
not is looked for from the pod outwards: what keeps the pod from running, what the agent refused,
what the plugin has not yet read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from rota.cluster.chosen import LABEL, Chosen, NoConfig, choose, fingerprint
from rota.cluster.door import Object, labels_of, metadata
from rota.cluster.features import CONFIG
from rota.cluster.gpus import node_of
from rota.cluster.promise import as_nvidia_reads, due
from rota.cluster.times import began, moment_of
from rota.config.schema import Config

Stage = Literal["ok", "wait", "bad"]
"""It serves; it may yet; it will not before somebody does something."""

STUCK = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
         "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
         "CrashLoopBackOff")  # fmt: skip
"""Reasons of a waiting container that time alone seldom cures."""


@dataclass(frozen=True, slots=True)
class State:
    """One node.

    Attributes:
        stage: how far it is.
        what: in words.
        hint: what to look at or to type.
    """

    stage: Stage
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What nodes should serve.

    Attributes:
        where: the ConfigMap, as `namespace/name`.
        data: its texts.
        key: for nodes whose label names none.
        configs: what each text says.
        beside: NVIDIA's plugin serves.
        since: when the ConfigMap was last changed; None where that is not known.
    """

    where: str
    data: Mapping[str, str]
    key: str
    configs: Mapping[str, Config]
    beside: bool = False
    since: datetime | None = None

    def chosen(self, node: Object) -> Chosen:
        """A node's config. NoConfig where its label names a key that is not there."""
        return choose(self.data, labels_of(node).get(LABEL, ""), self.key, self.where)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one node now.

    Attributes:
        node: the node; None where it is gone.
        pod: Rota's there; None for none yet.
        plugin: NVIDIA's there; None for none.
        refusals: ConfigRefused Events on it.
    """

    node: Object | None
    pod: Object | None
    plugin: Object | None = None
    refusals: Sequence[Object] = field(default_factory=tuple)


def judge(seen: Seen, wanted: Wanted) -> State:
    """How far a node is."""
    if seen.node is None:
        return State("wait", "the node is not there")
    if seen.pod is None:
        return State("wait", "no pod of Rota yet")
    state = _pod_state(seen.pod)
    if state and state.stage == "bad":
        return state
    try:
        chosen = wanted.chosen(seen.node)
    except NoConfig as error:
        return State("bad", error.what, error.hint)
    if labels_of(seen.node).get(CONFIG) != fingerprint(chosen.text):
        refused = _refusal(seen.refusals, wanted)
        return refused or state or State("wait", "its agent has not read the config yet")
    return _served(seen, wanted, chosen) if state is None else state


def _served(seen: Seen, wanted: Wanted, chosen: Chosen) -> State:
    assert seen.node is not None
    node, config = node_of(seen.node), wanted.configs.get(chosen.key, Config())
    now, right = node.allocatable, due(as_nvidia_reads(config) if wanted.beside else config, node)
    short = {name: want for name, want in right.items() if not want.fits(now.get(name, 0))}
    if not short:
        names = sorted(right) or sorted(now)
        return State("ok", ", ".join(f"{name}: {now.get(name, 0)}" for name in names) or "no GPUs")
    what = ", ".join(f"{name}: {now.get(name, 0)}, not {want} yet" for name, want in short.items())
    return State("wait", what, _old_plugin(seen, wanted) if wanted.beside else "")


def _pod_state(pod: Object) -> State | None:
    """Why a pod is not ready; None where it is."""
    status = pod.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if (conditions.get("Ready") or {}).get("status") == "True":
        return None
    name = f"{metadata(pod).get('namespace')}/{metadata(pod).get('name')}"
    for container in status.get("containerStatuses") or ():
        if state := _container_state(container, name):
            return state
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return State("wait", f"{name} is not scheduled: {scheduled.get('message', '')}")
    return State("wait", f"{name} is starting")


def _container_state(container: Mapping[str, Any], pod: str) -> State | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason")
    if reason not in STUCK:
        return None
    message = str(waiting.get("message") or "").strip()
    namespace, _, name = pod.partition("/")
    log = f"kubectl logs -n {namespace} {name} -c {container['name']} --previous"
    image = "name an image that the node can pull with --image" if "Image" in reason else log
    what = f"{pod} [{container['name']}]: {reason}" + (f": {message}" if message else "")
    return State("bad", what, image)


def _refusal(events: Sequence[Object], wanted: Wanted) -> State | None:
    """What the agent refused since the ConfigMap was changed."""
    told = [one for one in events if wanted.where in str(one.get("message", ""))]
    new = [one for one in told if _since(one.get("lastTimestamp"), wanted.since)]
    if not new:
        return None
    last = max(new, key=lambda one: str(one.get("lastTimestamp", "")))
    return State(
        "bad", f"refused: {last.get('message', '')}", "correct the config, and apply it again"
    )


def _since(when: object, start: datetime | None) -> bool:
    moment = moment_of(when)
    return start is None or (moment is not None and moment >= start)


def _old_plugin(seen: Seen, wanted: Wanted) -> str:
    """What to type where NVIDIA's plugin was started before the config was changed."""
    if seen.plugin is None:
        return "no pod of NVIDIA's plugin is on this node"
    meta = metadata(seen.plugin)
    started = began(seen.plugin)
    if started and wanted.since and started < wanted.since:
        return (
            "NVIDIA's plugin there started before the config was changed; unless the agent restarts "
            f"it: kubectl delete pod -n {meta.get('namespace')} {meta.get('name')}"
        )
    return ""
