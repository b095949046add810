"""`rota check PATH…`: reads configs and manifests, and explains each mistake."""

from __future__ import annotations

import json
import sys

import click

from rota.config.check import check
from rota.config.check.registry import SECTIONS, explain
from rota.config.check.text import ARROW, HINT, TICK, Line, shown
from rota.errors import UsageError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", metavar="PATH...", nargs=-1)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option(
    "--explain",
    "rule",
    metavar="ID",
    is_flag=False,
    flag_value="",
    help="Say what a rule is about; without ID, list them.",
)
def command(paths: tuple[str, ...], output: str, strict: bool, rule: str | None) -> int:
    """Read configs and manifests, and explain each mistake.

    PATH is a config, a ConfigMap, a ClusterPolicy or a patch of one, a pod or what makes pods, a
    quota, a kustomization's folder or any other, a script or page with kubectl steps, or - for
    standard input. Several are checked together.

    Exit code: 0 no error, 1 errors, 2 nothing to read or wrong usage.
    """
    if rule is not None:
        click.echo(_explained(rule))
        return 0
    if not paths:
        raise UsageError("no file to read", hint="name one, a folder, or - for standard input")
    report = check(paths, sys.stdin.buffer)
    if output == "json":
        click.echo(json.dumps(report.plain(), indent=2))
    else:
        show(shown(report, strict=strict))
    return report.exit_code(strict=strict)


def show(lines: list[Line]) -> None:
    """Print lines; on a terminal rich colours them, and wraps those that are no excerpt."""
    if not sys.stdout.isatty():
        click.echo("\n".join("".join(text for text, _ in line) for line in lines))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        if line and line[0][0] in (HINT, TICK, ARROW):
            grid = Table.grid()
            grid.add_row(Text.assemble(line[0]), Text.assemble(*line[1:]))
            console.print(grid)
        else:
            console.print(Text.assemble(*line), no_wrap=bool(line) and line[0][0].endswith("| "))


def _explained(rule: str) -> str:
    known = "\n".join(f"  {s.id:<29} {s.title}" for s in SECTIONS.values())
    if not rule:
        return known
    text = explain(rule)
    if text is None:
        raise UsageError(f"there is no rule `{rule}`; there are:\n{known}")
    return text
