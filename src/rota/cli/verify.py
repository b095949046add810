"""`rota verify`: proves that a cluster serves its GPUs as its config says."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rota.cli.cluster_client import Access, access_options, ask
from rota.cli.cluster_options import config_map_place
from rota.cli.local_options import Duration

if TYPE_CHECKING:
    from rota.verify.prove import Verdict


@click.command()
@click.option("--image", default="", help="Of the smoke pods; it needs a shell.  [default: that of "
              "Rota's agent]")  # fmt: skip
@click.option(
    "--node", "nodes", multiple=True, metavar="NAME", help="Only this node; may be repeated."
)
@click.option("--config-map", metavar="NAMESPACE/NAME", default="",
              help="The config, where the cluster's objects do not name it.")  # fmt: skip
@click.option("--no-smoke", is_flag=True, help="Look at numbers only; make no pods.")
@click.option("--runtime-class", default="", help="Of the smoke pods.  [default: the agent's]")
@click.option("--timeout", type=Duration(), default="2m", show_default=True, metavar="DURATION",
              help="How long all smoke pods may take until they run.")  # fmt: skip
@click.option("--clean", is_flag=True, help="Only remove what an earlier, killed run left.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How to show it.")  # fmt: skip
@access_options("Where the smoke pods are made.  [default: the context's]")
def command(
    access: Access,
    image: str,
    nodes: tuple[str, ...],
    config_map: str,
    no_smoke: bool,
    runtime_class: str,
    timeout: float,
    clean: bool,
    output: str,
) -> int:
    """Prove that a cluster serves its GPUs as its config says.

    Each node's allocatable is held against its GPUs and their replicas. Then a smoke pod runs on each
    replica that is free, says what it sees of its GPU, and one pod more must wait. Everything that
    was made is removed, whatever happens. While it runs, nobody else gets a free replica.

    Exit code: 0 all is well, 1 something is not, or the cluster does not answer, 2 wrong usage.
    """
    from rota.verify.prove import Order, prove
    from rota.verify.smoke import Pace

    if clean:
        _clean(access)
        return 0
    pace = replace(Pace(), run=timeout)
    place = config_map_place(config_map)
    order = Order(access.namespace, image, nodes, place, not no_smoke, runtime_class, pace)
    verdict = ask(access, lambda api: prove(api, order, _tell))
    if output == "json":
        click.echo(json.dumps(verdict.plain(), indent=2))
    else:
        _show(verdict)
    return 0 if verdict.ok else 1


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"rota: {what}", err=True)


def _show(verdict: Verdict) -> None:
    from rich.console import Console

    from rota.cli.verify_view import shown

    console = Console(highlight=False, markup=False)
    for line in shown(verdict):
        console.print(line, soft_wrap=True)


def _clean(access: Access) -> None:
    from rota.cluster.door import Api
    from rota.verify.traces import Trace, sweep, traces

    async def swept(api: Api) -> tuple[Trace, ...]:
        left = await traces(api, access.namespace)
        await sweep(api, left)
        return left

    left = ask(access, swept)
    for trace in left:
        click.echo(f"removed {trace}")
    if not left:
        click.echo("nothing was left by an earlier run")
