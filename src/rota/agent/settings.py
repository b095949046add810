"""How an agent was started: everything that does not change while it runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KUBELET_DIR = Path("/var/lib/kubelet/device-plugins")
CDI_DIR = Path("/var/run/cdi")
CLAIMS_DIR = Path("/run/rota/gpus")


def default_run_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`$ROTA_RUN_DIR`; else `/run/rota` for root, `$XDG_RUNTIME_DIR/rota` for a user, or under /tmp."""
    if chosen := environ.get("ROTA_RUN_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/rota")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "rota"
    return Path(f"/tmp/rota-{os.geteuid()}")


def default_config(environ: Mapping[str, str] = os.environ) -> Path | None:
    """What a local agent serves if it is told nothing: the user's config, else the machine's."""
    home = environ.get("XDG_CONFIG_HOME") or (
        environ.get("HOME", "") and environ["HOME"] + "/.config"
    )
    users = [Path(home) / "rota" / "config.yaml"] if home and os.geteuid() else []
    there = (path for path in (*users, Path("/etc/rota/config.yaml")) if path.is_file())
    return next(there, None)


def default_node(environ: Mapping[str, str] = os.environ) -> str:
    """`$NODE_NAME` as manifests set it, else the host's name."""
    return environ.get("NODE_NAME") or platform.node()


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line of one agent.

    Attributes:
        config: a file, or the folder of a mounted ConfigMap; None serves whole GPUs.
        config_key: which key of a ConfigMap that has several.
        cli_flags: NVIDIA's flags given on the command line, by their command-line name.
        environ: where NVIDIA's flags are read from besides.
        kubelet_dir: where the kubelet's socket lies and the plugin's belong.
        cdi_dir: where a CDI spec is written if one is asked for.
        run_dir: the agent's own folder.
        node: the node's name.
        listen: address for figures and status over HTTP; empty for none.
        emulate: an emulated node such as `h200x2`; empty for the real GPUs.
    """

    config: Path | None = None
    config_key: str | None = None
    cli_flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    kubelet_dir: Path = KUBELET_DIR
    cdi_dir: Path = CDI_DIR
    run_dir: Path = field(default_factory=default_run_dir)
    node: str = field(default_factory=default_node)
    listen: str = ""
    emulate: str = ""
    gatekeeper_elsewhere: bool = False
    """Somebody else keeps the gatekeeper running (a container of its own)."""
    token_file: Path | None = None
    """What holds the bearer token that figures over HTTP need; None for no token."""
    tls: tuple[Path, Path] | None = None
    """Certificate and key for HTTPS, in PEM; None for plain HTTP."""
    dcgm_names: bool = False
    """Metrics have dcgm-exporter's names besides."""
    claims: Path | None = None
    """Where GPUs are claimed; None: where everybody of this machine looks."""

    @property
    def claims_dir(self) -> Path:
        """Where agents tell each other which GPUs they give out. An emulated GPU has its own place."""
        return self.claims or (self.emulated_gpu / "claims" if self.emulate else CLAIMS_DIR)

    @property
    def pod_resources(self) -> Path:
        """The kubelet's PodResources socket, which lies beside the plugin folder."""
        return self.kubelet_dir.parent / "pod-resources" / "kubelet.sock"

    @property
    def emulated_gpu(self) -> Path:
        """The folder of the emulated GPU."""
        return self.run_dir / "gpu"
