"""`rota doctor`: what is wrong with a cluster's GPUs, why, and what to type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from rota.cli.cluster_client import Access, access_options, ask
from rota.cli.cluster_options import config_map_place
from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.doctor.look import Diagnosis


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How to show it.")  # fmt: skip
@click.option("--config-map", metavar="NAMESPACE/NAME", default="",
              help="Look at this ConfigMap too, besides those that the cluster's objects name.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--explain", "rule", metavar="ID", is_flag=False, flag_value="",
              help="Say what a rule is about; without ID, list them.")  # fmt: skip
@access_options("Only what concerns this namespace.")
def command(access: Access, output: str, config_map: str, strict: bool, rule: str | None) -> int:
    """Say what is wrong with a cluster's GPUs, why, and what to type.

    Looks at nodes, the plugins that serve them, configs, pods and quotas, and changes nothing. The
    rules of `rota check` are run over the live objects too.

    Exit code: 0 no error, 1 errors or the cluster does not answer, 2 wrong usage.
    """
    if rule is not None:
        click.echo(_explained(rule))
        return 0
    from rota.doctor.look import look

    place = config_map_place(config_map)
    diagnosis = ask(access, lambda api: look(api, place)).of(access.given)
    if output == "json":
        click.echo(json.dumps(diagnosis.plain(), indent=2))
    else:
        _show(diagnosis)
    return diagnosis.exit_code(strict=strict)


def _show(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    from rota.cli.doctor_view import shown

    console = Console(highlight=False, markup=False)
    for line in shown(diagnosis, console.width):
        console.print(line, soft_wrap=True)  # a command that is copied has no line ends in it


def _explained(rule: str) -> str:
    from rota.doctor.registry import SECTIONS, explain

    known = "\n".join(f"  {s.id:<27} {s.title}" for s in SECTIONS.values())
    if not rule:
        return f"{known}\n\nand those of `rota check --explain`"
    text = explain(rule)
    if text is None:
        raise UsageError(f"there is no rule `{rule}`; there are:\n{known}")
    return text
