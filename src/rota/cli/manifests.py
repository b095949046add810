"""`rota manifests`: what puts Rota into a cluster, as YAML."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from rota.cli.deploy_options import OVERLAYS, choice_options


@click.command()
@click.option(
    "--overlay", type=click.Choice(OVERLAYS), default="standalone", show_default=True,
    help="Rota's own device plugin, or beside NVIDIA's as its operator runs it.",
)  # fmt: skip
@click.option("-n", "--namespace", default="", metavar="NS",
              help="Where it goes.  [default: gpu-operator-resources]")  # fmt: skip
@choice_options
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml",
              show_default=True, help="How to print them; json is one List.")  # fmt: skip
def command(
    overlay: str,
    namespace: str,
    image: str,
    components: tuple[str, ...],
    pairs: tuple[str, ...],
    output: str,
) -> None:
    """Print what puts Rota into a cluster: the same as `kustomize build deploy/overlays/OVERLAY`.

    The ConfigMap is the example's, which makes four of each GPU; `rota apply` brings your own. With
    --overlay gpu-operator the ClusterPolicy has to name the ConfigMap besides, as `rota apply` does.
    """
    from rota.deploy.manifests import manifests
    from rota.deploy.options import Options, chosen

    options = chosen(Options(overlay=overlay, components=components), pairs)
    options = replace(
        options, namespace=namespace or options.namespace, image=image or options.image
    )
    made = manifests(options)
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}, indent=2))
        return
    from rota.deploy.text import to_yaml

    click.echo(to_yaml(made), nl=False)
