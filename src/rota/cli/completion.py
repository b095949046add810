"""`rota completion`: what makes a shell complete rota's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rota.errors import RotaError

PROGRAM = "rota"
VARIABLE = "_ROTA_COMPLETE"
"""click's own name for it, made of the program's."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes a shell complete rota's commands.

    For bash: `eval "$(rota completion bash)"` in ~/.bashrc; zsh likewise. For fish:
    `rota completion fish > ~/.config/fish/completions/rota.fish`.
    """
    from rota.cli.main import app

    made = get_completion_class(shell)
    if made is None:
        raise RotaError("this version of click knows no such shell", where=shell)
    click.echo(made(app, {}, PROGRAM, VARIABLE).source())
