"""`rota apply CONFIG`: puts a config and Rota into a cluster, and waits until its nodes serve it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from rota.cli.cluster_client import Access, access_options, ask
from rota.cli.deploy_options import OVERLAYS, choice_options
from rota.cli.local_options import Duration
from rota.cli.steps import say

if TYPE_CHECKING:
    from rota.deploy.apply import Request
    from rota.deploy.source import Source

Dry = Literal["none", "client", "server"]


@click.command()
@click.argument("config", metavar="CONFIG")
@click.option(
    "--overlay", type=click.Choice(OVERLAYS), default=None,
    help="Rota's own device plugin, or beside NVIDIA's.  [default: beside it where the GPU operator "
    "is, else Rota's own]",
)  # fmt: skip
@choice_options
@click.option(
    "--dry-run", "dry", type=click.Choice(["none", "client", "server"]), default="none",
    is_flag=False, flag_value="client", show_default=True,
    help="Ask the cluster, and change nothing; with server, it judges each object too.",
)  # fmt: skip
@click.option("--diff", is_flag=True, help="Show what is different from what is there.")
@click.option(
    "--force-conflicts", is_flag=True, help="Take fields that others set to something else."
)
@click.option("--timeout", type=Duration(), default="5m", show_default=True, metavar="DURATION",
              help="How long the nodes may take.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Do not wait for the nodes.")
@access_options("Where everything goes.  [default: as said above]")
def command(
    access: Access,
    config: str,
    overlay: str | None,
    image: str,
    components: tuple[str, ...],
    pairs: tuple[str, ...],
    dry: Dry,
    diff: bool,
    force_conflicts: bool,
    timeout: float,
    no_wait: bool,
) -> int:
    """Put a config and Rota into a cluster, and wait until every node serves it.

    CONFIG is a config of NVIDIA's device plugin (as `rota check` reads it) or a ConfigMap's manifest.
    It is checked first. Everything is set by server-side apply as `rota-apply`; what an object said
    before is remembered on it, for `rota rollback`. Called twice, the second call changes nothing;
    broken off anywhere, the next one goes on.

    Where the GPU operator runs, Rota goes into its namespace, and the ClusterPolicy names the config;
    else Rota serves the nodes itself, in the ConfigMap's namespace, or in gpu-operator-resources.

    Exit code: 0 all nodes serve it, 1 they do not or it could not be done, 2 wrong usage.
    """
    from rota.deploy.install import How
    from rota.deploy.options import Options, chosen
    from rota.deploy.source import read_source

    blank = Options(components=components, namespace="", image="", config_key="")
    options = chosen(blank, pairs)
    options = replace(
        options, namespace=access.given or options.namespace, image=image or options.image
    )
    source = read_source(config, options.config_key)
    if not _checked(source, config):
        return 1
    from rota.deploy.apply import Request

    how = How(force_conflicts, dry, diff)
    _do(access, Request(source, options, overlay or "", how, 0.0 if no_wait else timeout))
    return 0


def _checked(source: Source, path: str) -> bool:
    """Say what `rota check` says where it says anything; whether it can be served."""
    findings = len(source.report.findings)
    if findings:
        from rota.cli.check import show
        from rota.config.check.text import shown

        show(shown(source.report))
    else:
        say("ok", "the config", f"{path}: no findings")
    if not source.good:
        click.echo("rota: nothing was applied", err=True)
    return source.good


def _do(access: Access, request: Request) -> None:
    from rota.deploy.apply import apply

    steps = ask(access, lambda api: apply(api, request, say))
    for step in steps:
        if step.diff:
            click.echo(step.diff)
    if request.how.dry != "none":
        counts = {
            word: sum(step.outcome == word for step in steps) for word in ("made", "set", "same")
        }
        click.echo(
            f"nothing was changed: {counts['made']} would be made, {counts['set']} set, "
            f"{counts['same']} are the same"
        )
    sys.stdout.flush()
