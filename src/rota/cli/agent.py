"""`rota agent`: the node daemon."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from rota.agent.settings import (
    CDI_DIR,
    KUBELET_DIR,
    Settings,
    default_config,
    default_node,
    default_run_dir,
)
from rota.cli.cluster_options import NAMES as CLUSTER_NAMES
from rota.cli.cluster_options import cluster_options, cluster_terms
from rota.cli.local_options import NAMES, local_options, local_terms
from rota.cli.web_options import web_options, web_terms
from rota.config.flags import TABLE
from rota.errors import UsageError

if TYPE_CHECKING:
    from rota.agent.citizen import Terms
    from rota.agent.local import LocalTerms
    from rota.agent.logs import Logger
    from rota.agent.service import Agent

F = TypeVar("F", bound=Callable[..., Any])

SETTLED = 3.0
"""Seconds until what a start makes is taken to be there."""


def nvidia_flags(function: F) -> F:
    """Add an option for each of NVIDIA's flags; None where it was not given."""
    for flag in reversed(TABLE):
        kind: Any = click.Choice(flag.choices) if flag.choices else str
        function = click.option(
            *flag.declarations,
            type=bool if flag.kind == "bool" else kind,
            multiple=flag.kind == "choices",
            default=None,
            help=f"{flag.help} (env {flag.env})",
        )(function)
    return function


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="CONFIG_FILE",
    help="The config: a file, or the folder of a mounted ConfigMap. Whole GPUs without one.",
)
@click.option("--config-key", help="Which key of a ConfigMap that has several.")
@click.option(
    "--emulate", metavar="PROFILE[xN]", default="", help="Serve emulated GPUs, such as h200x2."
)
@click.option(
    "--kubelet-dir",
    type=click.Path(path_type=Path),
    default=None,
    help=f"Where the kubelet's socket lies.  [default: {KUBELET_DIR}]",
)
@click.option(
    "--kubelet-socket", hidden=True, type=click.Path(path_type=Path), envvar="KUBELET_SOCKET"
)
@click.option(
    "--cdi-dir", type=click.Path(path_type=Path), default=CDI_DIR, show_default=True,
    help="Where the CDI spec goes, under a strategy that uses one.",
)  # fmt: skip
@click.option(
    "--run-dir", type=click.Path(path_type=Path), default=default_run_dir,
    help="The agent's own folder.  [default: /run/rota for root]",
)  # fmt: skip
@click.option("--node", default=default_node, help="The node's name.  [default: $NODE_NAME, host]")
@web_options
@click.option("--log", type=click.Choice(["console", "json"]), default="console", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    show_default=True,
)  # fmt: skip
@click.option(
    "--gatekeeper-elsewhere", is_flag=True,
    help="`rota gatekeeper` runs in a container of its own; start none.",
)  # fmt: skip
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the parent process ends.")
@cluster_options
@local_options
@nvidia_flags
def command(
    config: Path | None,
    config_key: str | None,
    emulate: str,
    kubelet_dir: Path | None,
    kubelet_socket: Path | None,
    cdi_dir: Path,
    run_dir: Path,
    node: str,
    log: Literal["console", "json"],
    log_level: str,
    gatekeeper_elsewhere: bool,
    with_parent: bool,
    local: bool,
    **others: object,
) -> None:
    """Serve this node's GPUs to its kubelet, or to local jobs, as a config says.

    The config is watched: a good edit is served within a second, a bad one is refused and the last
    good one stays. NVIDIA's flags and their environment variables mean what they mean there.

    With --local there is no kubelet: `rota run` asks for replicas over a socket in the agent's own
    folder. Its config, if none is named, is ~/.config/rota/config.yaml or /etc/rota/config.yaml.

    With --cluster or --config-map it takes part in its Kubernetes cluster: as its pod's service
    account, else as $KUBECONFIG says. Pods may ask for more or less with the annotations
    rota.dev/weight (0.01 to 100), rota.dev/class (interactive, standard, batch), rota.dev/memory
    (a size) and rota.dev/paging (auto, never).
    """
    if with_parent:
        end_with_parent()
    folder = kubelet_dir or (kubelet_socket.parent if kubelet_socket else KUBELET_DIR)
    terms = local_terms(local, {name: others.pop(name) for name in NAMES})
    asked = {name: others.pop(name) for name in CLUSTER_NAMES}
    listen, token_file, tls, dcgm_names = web_terms(others)
    citizen = cluster_terms(asked, config_key, local)
    if citizen and citizen.config_map and config is not None:
        raise UsageError("names a second config", where="--config-map", hint="leave --config out")
    if emulate:
        from rota.emulation.profiles import parse_emulation

        parse_emulation(emulate)  # wrong usage is told before anything is touched
    given = {name: value for name, value in others.items() if value not in (None, ())}
    if local and config is None:
        config = default_config()
    settings = Settings(
        config, config_key, given, dict(os.environ), folder, cdi_dir, run_dir, node, listen, emulate,
        gatekeeper_elsewhere, token_file, tls, dcgm_names,
    )  # fmt: skip
    sys.exit(asyncio.run(serve(settings, log, log_level, terms, citizen)))


def settle() -> None:
    """Keep what is there out of all further garbage collections: they cost tens of milliseconds."""
    gc.freeze()
    gc.enable()


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the process that started this one ends."""
    pr_set_pdeathsig = 1
    parent = os.getppid()
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


async def serve(
    settings: Settings,
    form: Literal["console", "json"],
    level: str,
    terms: LocalTerms | None = None,
    citizen: Terms | None = None,
) -> int:
    """Run an agent until a signal ends it; the exit code."""
    gc.disable()  # what a start makes is kept for good
    asyncio.get_running_loop().call_later(SETTLED, settle)
    from rota.agent.config import ConfigRefused
    from rota.agent.logs import log_finding, make_logger
    from rota.errors import RotaError

    log = make_logger(form, level)
    agent = _agent(settings, log, terms, citizen)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    loop.add_signal_handler(signal.SIGHUP, agent.reload)
    try:
        await agent.run()
    except ConfigRefused as error:
        for finding in error.findings:
            log_finding(log, finding)
        log.error("cannot serve this config")
        return 1
    except RotaError as error:
        log.error(error.what, where=error.where, hint=error.hint)
        return error.exit_code
    return 0


def _agent(
    settings: Settings, log: Logger, local: LocalTerms | None, citizen: Terms | None
) -> Agent:
    """One for local jobs, one of a cluster's node, or one of a node alone."""
    if local is not None:
        from rota.agent.local import LocalAgent

        return LocalAgent(settings, log, local)
    if citizen is not None:
        from rota.agent.cluster import ClusterAgent

        return ClusterAgent(settings, log, citizen)
    from rota.agent.node import NodeAgent

    return NodeAgent(settings, log)
