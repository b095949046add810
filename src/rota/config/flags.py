"""NVIDIA's flags: one table, and who has the last word on each.

Precedence is NVIDIA's: command line, then env, then the file, then the default. Env values are
read as Go reads them. The table is also what the options of `rota agent` are made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from rota.config.findings import Finding, Mark
from rota.config.report import Report, did_you_mean
from rota.config.scalars import shorten
from rota.config.schema import Flags

Kind = Literal["choice", "choices", "bool", "text"]
Value: TypeAlias = bool | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: the field of `Flags`, and the name under which the command line passes it.
        path: where it stands in the file.
        kind: how its value is read; `choices` is one or several of the choices.
        default: what holds where nobody says anything.
        help: one line.
        choices: what is accepted; empty where anything is.
    """

    name: str
    path: str
    kind: Kind
    default: Value
    help: str
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Such as `--mig-strategy`."""
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        """Such as `MIG_STRATEGY`."""
        return self.name.upper()

    @property
    def declarations(self) -> tuple[str, ...]:
        """What click names the option by; a boolean has its `--no-` beside it."""
        if self.kind == "bool":
            return (f"{self.option}/--no-{self.option[2:]}", self.name)
        return (self.option, self.name)


TABLE: tuple[Flag, ...] = (
    Flag(
        "mig_strategy",
        "flags.migStrategy",
        "choice",
        "none",
        "How MIG devices are advertised.",
        ("none", "single", "mixed"),
    ),
    Flag(
        "fail_on_init_error",
        "flags.failOnInitError",
        "bool",
        True,
        "Exit when there is no usable GPU or driver; else wait for ever.",
    ),
    Flag(
        "nvidia_driver_root",
        "flags.nvidiaDriverRoot",
        "text",
        "/",
        "Where the driver is installed on the host.",
    ),
    Flag(
        "pass_device_specs",
        "flags.plugin.passDeviceSpecs",
        "bool",
        False,
        "Name the device nodes to the kubelet, too.",
    ),
    Flag(
        "device_list_strategy",
        "flags.plugin.deviceListStrategy",
        "choices",
        ("envvar",),
        "How containers are given their devices.",
        ("envvar", "volume-mounts", "cdi-annotations", "cdi-cri"),
    ),
    Flag(
        "device_id_strategy",
        "flags.plugin.deviceIDStrategy",
        "choice",
        "uuid",
        "What containers are given of a device.",
        ("uuid", "index"),
    ),
    Flag(
        "cdi_annotation_prefix",
        "flags.plugin.cdiAnnotationPrefix",
        "text",
        "cdi.k8s.io/",
        "Prefix of CDI annotations.",
    ),
    Flag(
        "shared_devices_allocation_policy",
        "flags.plugin.sharedDevicesAllocationPolicy",
        "choice",
        "distributed",
        "Which GPU's replicas are given first.",
        ("distributed", "packed"),
    ),
)
"""NVIDIA's flags that Rota obeys (k8s-device-plugin v0.20)."""

BY_PATH: Mapping[str, Flag] = {flag.path: flag for flag in TABLE}


@dataclass(frozen=True, slots=True)
class FileValue:
    """What the file says of a flag, and where."""

    value: Value
    mark: Mark = field(default_factory=Mark)


def resolve(
    cli: Mapping[str, object],
    env: Mapping[str, str],
    file_values: Mapping[str, FileValue],
) -> tuple[Flags, tuple[Finding, ...]]:
    """Decide every flag.

    Args:
        cli: by the flag's `name`; None, or an empty tuple, for what was not given.
        env: the environment; other variables than the flags' are not looked at.
        file_values: by the flag's `path`.

    Returns:
        The flags, and what is to be said: an error for a value that is not accepted (that flag has
        its default then), a note where env or the command line overrules another value of the file.
    """
    report = Report()
    chosen: dict[str, Any] = {}
    for flag in TABLE:
        value = _decide(flag, cli, env, file_values.get(flag.path), report)
        if value is not None:
            chosen[flag.name] = value
    chosen["policy_set"] = "shared_devices_allocation_policy" in chosen
    return Flags(**chosen), report.findings


def _decide(
    flag: Flag,
    cli: Mapping[str, object],
    env: Mapping[str, str],
    written: FileValue | None,
    report: Report,
) -> Value | None:
    """The value that somebody set; None where the default holds."""
    given = cli.get(flag.name)
    if given is not None and given != ():
        value = _from_cli(given)
        _say_overruled(flag, flag.option, value, written, report)
        return _accepted(flag, value, Mark(f"option {flag.option}"), report)
    if flag.env in env:
        mark = Mark(f"env {flag.env}")
        parsed = _from_env(flag, env[flag.env], mark, report)
        if parsed is not None:
            _say_overruled(flag, f"the variable {flag.env}", parsed, written, report)
        return None if parsed is None else _accepted(flag, parsed, mark, report)
    return _accepted(flag, written.value, written.mark, report) if written else None


def _from_cli(given: object) -> Value:
    if isinstance(given, bool | str):
        return given
    if isinstance(given, list | tuple):
        return tuple(str(item) for item in given)
    return str(given)


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def _from_env(flag: Flag, text: str, mark: Mark, report: Report) -> Value | None:
    if flag.kind == "choices":
        return tuple(part.strip() for part in text.split(","))
    if flag.kind != "bool":
        return text
    if text in _TRUE or text in _FALSE or text == "":
        return text in _TRUE  # set but empty is false, as in NVIDIA's plugin
    message = f"`{shorten(text)}` is no boolean"
    report.error("bad-env-value", mark, message, "write true or false")
    return None


def _accepted(flag: Flag, value: Value, mark: Mark, report: Report) -> Value | None:
    if flag.kind == "choices" and isinstance(value, str):
        value = (value,)
    if flag.kind == "choices" and value == ():
        message = f"`{flag.path}` is an empty list; the default is taken"
        report.warning("no-device-list-strategy", mark, message, "name at least one")
        return None
    words = value if isinstance(value, tuple) else (value,)
    wrong = [word for word in words if flag.choices and word not in flag.choices]
    for word in wrong:
        key = flag.path.rpartition(".")[2]
        shown = f"`{shorten(str(word))}`" if word else "an empty value"
        message = f"{shown} is not accepted for `{key}`"
        report.error("bad-flag-value", mark, message, did_you_mean(str(word), flag.choices))
    if flag.name == "nvidia_driver_root" and value == "":
        return None
    return None if wrong else value


def _say_overruled(
    flag: Flag, who: str, value: Value, written: FileValue | None, report: Report
) -> None:
    if written is None or _same(value, written.value):
        return
    message = f"{who} overrules `{flag.path}`: {_shown(value)} instead of {_shown(written.value)}"
    report.note("flag-overruled", written.mark, message)


def _same(one: Value, other: Value) -> bool:
    return _shown(one) == _shown(other)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{shorten(value if isinstance(value, str) else ', '.join(value))}`"
