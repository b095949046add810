"""`rota devices`: the GPUs here, and the replicas that a config makes of them.

Reads and shows; nothing is served and nothing is changed. What is wrong with the config or the
node goes to the error stream, so that the document on the other one stays whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from rota.errors import GpuError, RotaError

if TYPE_CHECKING:
    from rota.config.findings import Finding
    from rota.config.load import Loaded
    from rota.config.schema import Config
    from rota.model import Inventory

PATIENCE = 60.0
"""Seconds that the driver is waited for; starting it takes some for each GPU."""


@click.command("devices")
@click.option(
    "--config",
    "-f",
    "path",
    envvar="CONFIG_FILE",
    show_envvar=True,
    metavar="F",
    help="A config file, or the folder of a mounted ConfigMap. Without one: whole GPUs.",
)
@click.option("--config-key", metavar="K", help="Which config of the folder.")
@click.option("--emulate", metavar="PROFILE[xN]", help="GPUs that do not exist, such as h200x2.")
@click.option(
    "--mig-strategy",
    type=click.Choice(["none", "single", "mixed"]),
    help="How MIG devices are served, whatever the config says.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "wide", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to show it.",
)
def command(
    path: str | None,
    config_key: str | None,
    emulate: str | None,
    mig_strategy: str | None,
    output: str,
) -> None:
    """Show the GPUs here and the replicas that a config makes of them."""
    from rota.cli import devices_view
    from rota.replicas.plan import plan

    loaded = _load(path, config_key, mig_strategy)
    _tell(loaded.findings)
    inventory = _emulated(emulate) if emulate is not None else _real(loaded.config)
    made = plan(loaded.config, inventory, file=path or "")
    if inventory.gpus:
        _tell(made.findings)
    click.echo(devices_view.render(output, inventory, made.resources, loaded.config), nl=False)
    if made.failed:
        sys.exit(1)


def _load(path: str | None, key: str | None, mig_strategy: str | None) -> Loaded:
    from rota.config.load import ConfigError, Loaded, load_path, load_text

    cli: dict[str, object] = {"mig_strategy": mig_strategy}
    if path is None:
        bare = load_text("version: v1", "", cli=cli, env=os.environ)
        return Loaded(bare.config, tuple(f for f in bare.findings if f.id != "nothing-shared"))
    try:
        return load_path(path, key=key, cli=cli, env=os.environ)
    except ConfigError as error:
        _tell(error.findings)
        raise RotaError(
            "the config cannot be served", where=path, hint=f"rota check {path} says more"
        ) from None


def _emulated(profile: str) -> Inventory:
    from rota.emulation.profiles import parse_emulation

    return parse_emulation(profile)


def _real(config: Config) -> Inventory:
    """The node's own GPUs. Without any: an error, or an empty node where failOnInitError is off."""
    from rota.gpu.nvml import open_nvml
    from rota.model import Inventory

    door = open_nvml(_warn, PATIENCE)
    try:
        return door.inventory()
    except GpuError as error:
        if config.flags.fail_on_init_error:
            raise
        _warn(error)
        click.echo("note: failOnInitError is false, so a node without a GPU is no error", err=True)
        return Inventory()
    finally:
        door.close()


def _warn(error: RotaError) -> None:
    click.echo(f"warning: {error}", err=True)


def _tell(findings: Iterable[Finding]) -> None:
    for finding in findings:
        click.echo(str(finding).removeprefix(": "), err=True)
