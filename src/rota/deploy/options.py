"""What may be chosen about an installation, each with its default."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rota import __version__
from rota.cluster.selector import Selector
from rota.errors import UsageError

STANDALONE = "standalone"
OPERATOR = "gpu-operator"
OVERLAYS: Mapping[str, str] = {
    STANDALONE: "Rota's own device plugin serves the nodes.",
    OPERATOR: "NVIDIA's plugin, as its operator runs it, serves the nodes; Rota adds the turns.",
}
"""Name → what it means."""

COMPONENTS: Mapping[str, str] = {
    "cdi": "For the device list strategies cdi-annotations and cdi-cri: where the CDI spec goes.",
    "token": "Figures over HTTP need the bearer token in the Secret `rota-token`.",
    "priority-quota": "Lets pods of priority system-node-critical into the namespace, where a "
    "cluster asks for a quota that says so (GKE does).",
}
"""Name → what it is for."""

NAMESPACE = "gpu-operator-resources"
CONFIG_MAP = "time-slicing-config"
KEY = "any"
PLUGIN_LABEL = f"{Selector().label}={Selector().value}"

EXAMPLE = """\
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 4
"""
"""The config that stands in `deploy/`: each GPU becomes four."""


def _set(name: str, means: str, default: str) -> Any:
    return field(default=default, metadata={"name": name, "means": means})


@dataclass(frozen=True, slots=True)
class Options:
    """One installation.

    Attributes:
        overlay: of `OVERLAYS`.
        components: of `COMPONENTS`.
        data: the ConfigMap's texts, by key.
    """

    overlay: str = STANDALONE
    components: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=lambda: {KEY: EXAMPLE})
    namespace: str = _set("namespace", "where everything goes", NAMESPACE)
    image: str = _set("image", "the agent's image; no registry has one", f"rota:{__version__}")
    pull_policy: str = _set("pullPolicy", "Always, IfNotPresent or Never", "IfNotPresent")
    pull_secret: str = _set("pullSecret", "a Secret for the image's registry", "")
    config_map: str = _set("configMap", "the ConfigMap's name", CONFIG_MAP)
    config_key: str = _set("configKey", "its key for nodes whose label names none", KEY)
    runtime_class: str = _set(
        "runtimeClass", "empty where NVIDIA's runtime is the default", "nvidia"
    )
    port: str = _set("port", "where figures and probes are served", "9400")
    log_level: str = _set("logLevel", "debug, info, warning or error", "info")

    @property
    def beside(self) -> bool:
        """NVIDIA's plugin serves the nodes."""
        return self.overlay == OPERATOR


SETTABLE = {one.metadata["name"]: one for one in fields(Options) if one.metadata}
"""What `--set NAME=VALUE` knows."""

CHOICES = {
    "pullPolicy": ("Always", "IfNotPresent", "Never"),
    "logLevel": ("debug", "info", "warning", "error"),
}


def chosen(options: Options, pairs: Iterable[str]) -> Options:
    """The same with what `--set NAME=VALUE` says.

    Raises:
        UsageError: a name that there is not, or a value that cannot be.
    """
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in SETTABLE:
            raise UsageError(f"'{pair}' sets nothing", where="--set", hint=_near(name))
        _judge(name, value)
        change: dict[str, Any] = {SETTABLE[name].name: value}
        options = replace(options, **change)
    return options


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, SETTABLE, 1)
    if close:
        return f"write {close[0]}=VALUE"
    return f"NAME=VALUE, with one of {', '.join(SETTABLE)}"


def _judge(name: str, value: str) -> None:
    known = CHOICES.get(name)
    if known and value not in known:
        raise UsageError(f"{name} is one of {', '.join(known)}", where=f"--set {name}={value}")
    if name == "port" and not (value.isascii() and value.isdecimal() and 0 < int(value) < 65536):
        raise UsageError("a port is a number from 1 to 65535", where=f"--set {name}={value}")
    if not value and name not in ("pullSecret", "runtimeClass"):
        raise UsageError("must not be empty", where=f"--set {name}=")


def checked(options: Options) -> Options:
    """The same, if there are such an overlay and such components.

    Raises:
        UsageError: there are not.
    """
    if options.overlay not in OVERLAYS:
        hint = f"there is {' and '.join(OVERLAYS)}"
        raise UsageError(f"there is no overlay '{options.overlay}'", where="--overlay", hint=hint)
    for name in options.components:
        if name not in COMPONENTS:
            hint = f"there is {', '.join(COMPONENTS)}"
            raise UsageError(f"there is no component '{name}'", where="--component", hint=hint)
    return options
