"""The options of `rota agent` for a node of a cluster, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.agent.citizen import Terms

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("cluster", "config_map", "labels", "feature_file", "beside_nvidia")

PLUGIN = "gpu-operator/app=nvidia-device-plugin-daemonset"
"""The pods of NVIDIA's plugin as its operator makes them."""


def cluster_options(function: F) -> F:
    """Add `--cluster` and what goes with it."""
    options = [
        click.option(
            "--cluster", is_flag=True,
            help="Take part in the cluster: pods' annotations, labels of the node, Events.",
        ),
        click.option(
            "--config-map", metavar="NAMESPACE/NAME", default="",
            help="The config: a ConfigMap of the cluster, followed there. Implies --cluster; the "
            "node's label nvidia.com/device-plugin.config names the key, else --config-key.",
        ),
        click.option(
            "--labels", type=click.Choice(["all", "own", "none"]), default="all",
            show_default=True,
            help="Which labels to keep on the node: NVIDIA's and rota.dev/, only rota.dev/, none.",
        ),
        click.option(
            "--feature-file", type=click.Path(path_type=Path), default=None,
            help="Label through node feature discovery: the file that its local source reads.",
        ),
        click.option(
            "--beside-nvidia", metavar="NAMESPACE/LABEL=VALUE", default="", is_flag=False,
            flag_value=PLUGIN,
            help="NVIDIA's plugin serves this node: advertise nothing, run the turns of the pods "
            f"that it gave GPUs to, restart its pods after a checked edit.  [its pods: {PLUGIN}]",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def cluster_terms(given: Mapping[str, Any], key: str | None, local: bool) -> Terms | None:
    """How the agent takes part; None where no cluster was asked for.

    Raises:
        UsageError: options that do not go together, or that are malformed.
    """
    others = {"config_map": "", "labels": "all", "feature_file": None, "beside_nvidia": ""}
    used = [name for name, default in others.items() if given[name] != default]
    if not (given["cluster"] or given["config_map"]):
        if used:
            option = "--" + used[0].replace("_", "-")
            raise UsageError("is for an agent of a cluster", where=option, hint="add --cluster")
        return None
    if local:
        raise UsageError("a local agent has no cluster", where="--local", hint="leave one out")
    from rota.agent.citizen import Terms

    return Terms(
        config_map_place(given["config_map"]),
        key or "",
        given["labels"],
        given["feature_file"],
        _selector(given["beside_nvidia"]),
    )


def config_map_place(text: str) -> tuple[str, str] | None:
    """Namespace and name of a ConfigMap; None for an empty text.

    Raises:
        UsageError: it is no such name.
    """
    if not text:
        return None
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"'{text}' is not NAMESPACE/NAME", where="--config-map")
    return namespace, name


def _selector(text: str) -> Any:
    from rota.cluster.selector import Selector

    try:
        return Selector.parse(text) if text else None
    except ValueError as error:
        raise UsageError(str(error), where="--beside-nvidia") from None
