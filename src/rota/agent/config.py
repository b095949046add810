"""The config that is served, and why the one on disk may be another: the last good one stays.

A config that cannot be read, or that makes nothing of this node's GPUs, is refused with all its
errors; what was served goes on being served. Nothing here logs or serves: it decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rota.agent.settings import Settings
from rota.config.findings import Finding, Level, Mark
from rota.config.load import ConfigError, Loaded, load_path, load_text
from rota.config.schema import Config
from rota.errors import RotaError
from rota.model import Inventory
from rota.replicas.plan import Plan, plan


@dataclass(frozen=True, slots=True)
class Served:
    """A config that can be served on this node.

    Attributes:
        config: what it says.
        plan: what it makes of the inventory.
        findings: warnings and notes of both.
    """

    config: Config = field(default_factory=Config)
    plan: Plan = field(default_factory=Plan)
    findings: tuple[Finding, ...] = ()


class ConfigRefused(RotaError):
    """Nothing of it is served. `findings` has every error, and the warnings beside them."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        errors = [finding for finding in findings if finding.level is Level.ERROR]
        super().__init__("\n".join(str(finding) for finding in errors))


def read(settings: Settings) -> Loaded:
    """Read what is on disk now, under the command line and the environment.

    Raises:
        ConfigRefused: it cannot be read.
    """
    sources = {"cli": settings.cli_flags, "env": settings.environ}
    try:
        if settings.config is None:
            return load_text("", "(no config)", **sources)  # type: ignore[arg-type]
        return load_path(settings.config, key=settings.config_key, **sources)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigRefused(error.findings) from None
    except RotaError as error:
        mark = Mark(error.where or str(settings.config))
        found = Finding("unreadable-config", Level.ERROR, mark, error.what, error.hint)
        raise ConfigRefused((found,)) from None


def fit(loaded: Loaded, inventory: Inventory, file: str) -> Served:
    """Make a plan of it.

    Raises:
        ConfigRefused: it makes nothing of these GPUs.
    """
    planned = plan(loaded.config, inventory, file=file)
    findings = (*loaded.findings, *planned.findings)
    if planned.failed:
        raise ConfigRefused(findings)
    return Served(loaded.config, planned, findings)
