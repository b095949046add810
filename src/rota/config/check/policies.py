"""ClusterPolicies, patches of them, and the labels that choose a config for a node."""

from __future__ import annotations

from collections.abc import Iterator

from rota.config.check.patches import apply_json_patch, is_json_patch
from rota.config.check.world import Manifest, NodeLabel, Policy
from rota.config.document import Mapping, Node, Sequence, find, text_of

CONFIG = ("spec", "devicePlugin", "config")
LABEL = "nvidia.com/device-plugin.config"


def policy_of(manifest: Manifest) -> Policy:
    """What a ClusterPolicy (or a strategic merge patch that looks like one) says."""
    config = find(manifest.node, *CONFIG)
    return Policy(manifest.name, manifest.namespace, config, manifest.mark, manifest.build)


def policy_of_patch(node: Node, name: str = "") -> Policy | None:
    """What a patch says about the device plugin's config; None where it says nothing of it.

    Args:
        node: a merge patch (with or without a kind) or a list of JSON patch operations.
        name: of the ClusterPolicy that it is for, where that is known.
    """
    if is_json_patch(node) and isinstance(node, Sequence):
        base = apply_json_patch(Mapping(node.mark, ()), node, lenient=True)
    else:
        base = node
    kind = text_of(find(base, "kind"))
    config = find(base, *CONFIG)
    if kind not in (None, "ClusterPolicy") or config is None or find(config) is None:
        return None
    own = text_of(find(base, "metadata", "name")) or name
    namespace = text_of(find(base, "metadata", "namespace")) or ""
    return Policy(own, namespace, config, config.mark, partial=_sets_one_field(node))


def _sets_one_field(patch: Node) -> bool:
    prefix = f"/{'/'.join(CONFIG)}/"
    items = patch.items if isinstance(patch, Sequence) else ()
    return any((text_of(find(item, "path")) or "").startswith(prefix) for item in items)


def labels_in(manifest: Manifest) -> Iterator[NodeLabel]:
    """The config that a Node's label asks for."""
    label = find(manifest.node, "metadata", "labels", LABEL)
    key = text_of(label)
    if manifest.kind == "Node" and label is not None and key:
        yield NodeLabel(key, label.mark)
