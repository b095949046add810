"""`rota top`: who has the GPU, who waits, who uses what."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rota.cli.cluster_client import Access, which_cluster
from rota.cli.figures_agent import agent_options, figures_of

if TYPE_CHECKING:
    from rich.console import Console

    from rota.cli.node_reader import NodeReader
    from rota.figures.model import Snapshot
    from rota.figures.reader import Reader
    from rota.top.screen import Painter

    Figures = Reader | NodeReader

SETTLE = 1.1
"""Seconds over which `--once` looks: GPU % is of the last second, and may begin with the question."""


@click.command(
    epilog="Keys: q quit, p pause, s next order (n name, g GPU %, m memory, w wait, h share), "
    "r reverse, / filter, Esc all again."
)
@click.option("--once", is_flag=True, help="Show it once; so it is where there is no terminal.")
@click.option("-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table",
              show_default=True, help="How to show it; json is shown once.")  # fmt: skip
@click.option("-n", "--namespace", default="", metavar="NS", help="Only pods of this namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Pods of all, and jobs: as without -n.")
@click.option("--sort", type=click.Choice(["name", "gpu%", "memory", "wait", "share"]),
              default="name", show_default=True, help="The order.")  # fmt: skip
@click.option("--ascii", is_flag=True, help="No other characters; so it is without UTF-8.")
@click.option("--node", default="", metavar="NAME",
              help="The agent of that node of a cluster, asked through the API server.")  # fmt: skip
@which_cluster
@agent_options
def command(
    once: bool,
    output: str,
    namespace: str,
    all_namespaces: bool,
    sort: str,
    ascii: bool,  # noqa: A002
    node: str,
    kubeconfig: str,
    context: str,
    run_dir: Path | None,
    address: str | None,
    token_file: Path | None,
    ca: Path | None,
) -> None:
    """Show who has the GPU, who waits, and who uses what; live, each second.

    Above, each GPU with its time and its memory by client; below, the clients. GPU% is of the last
    second, WAIT95 the wait that 95 of 100 turns of the last minute did not exceed.
    """
    from rich.console import Console

    from rota.top.choice import Choice

    reader: Figures = figures_of(run_dir, "" if node else address, token_file, ca)
    if node:
        reader = _of_node(node, Access(kubeconfig, context))
    choice = Choice(namespace="" if all_namespaces else namespace, order=sort)
    if output == "json":
        _show_json(_settled(reader), choice.namespace)
        return
    console = Console(highlight=False, markup=False, legacy_windows=False)
    painter = _painter(console, ascii, output == "wide")
    if once or not (console.is_terminal and sys.stdin.isatty()):
        for line in painter.lines(_settled(reader), choice, None):
            console.print(line, soft_wrap=True)
        return
    from rota.top import live

    live.run(reader, painter, choice, console)


def _of_node(node: str, access: Access) -> Figures:
    from rota.cli.node_reader import NodeReader

    return NodeReader(access, node)


def _settled(reader: Figures) -> Snapshot:
    reader.state()
    time.sleep(SETTLE)
    return reader.state()


def _show_json(snapshot: Snapshot, namespace: str) -> None:
    import json

    from rota.figures.wire import to_plain
    from rota.top.choice import Choice

    chosen = tuple(Choice(namespace).of(snapshot.clients))
    click.echo(json.dumps(to_plain(replace(snapshot, clients=chosen)), indent=2))


def _painter(console: Console, ascii_only: bool, wide: bool) -> Painter:
    from rota.top.bars import Look
    from rota.top.screen import Painter

    unicode = console.encoding.lower().replace("-", "") == "utf8" and not ascii_only
    colour = console.color_system is not None and not console.no_color
    return Painter(console.width, Look(unicode, colour), wide)
