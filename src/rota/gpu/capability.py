"""Whether the programs of a GPU can take turns, and if not, why: one sentence for every surface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rota.model import Gpu

NEEDED_DRIVER = (570,)
"""The first driver whose checkpoint API closes gates."""

NEEDED_BINDINGS = (12, 8)
"""The first cuda-bindings that knows it."""

KNOWN_BAD: dict[tuple[int, ...], str] = {
    (610, 57): "a lock was seen to end the locked program",
}
"""Driver versions, and how they harm the programs that are gated on them."""

KNOWN_BAD_FOR_PAGING: dict[tuple[int, ...], str] = {
    (595, 71): "killing a program that was paged in was seen to hang the host",
}
"""The same for paging, where turns alone are harmless."""

_PTRACE = 19


@dataclass(frozen=True, slots=True)
class Rights:
    """What this process may do, read once.

    Attributes:
        root: it runs as root.
        ptrace: it has CAP_SYS_PTRACE.
        bindings: version of cuda-bindings; None where there is none.
    """

    root: bool
    ptrace: bool
    bindings: tuple[int, ...] | None


def own_rights() -> Rights:
    """The rights of this process, from /proc/self/status and the installed packages."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    effective = int(fields["CapEff"], 16)
    return Rights(
        root=fields["Uid"].split()[1] == "0",
        ptrace=bool(effective >> _PTRACE & 1),
        bindings=_bindings(),
    )


def why_no_turns(gpu: Gpu, driver_version: str, rights: Rights | None = None) -> str:
    """Why programs on this GPU cannot take turns; empty when they can.

    Args:
        gpu: the GPU.
        driver_version: such as `580.159.04`.
        rights: of the process that would close the gates; None where that is not to be judged.
    """
    return _why_not(driver_version, KNOWN_BAD) or _why_not_here(gpu, rights)


def why_no_paging(gpu: Gpu, driver_version: str, rights: Rights | None = None) -> str:
    """Why programs on this GPU cannot be paged out; empty when they can."""
    return _why_not(driver_version, {**KNOWN_BAD, **KNOWN_BAD_FOR_PAGING}) or _why_not_here(
        gpu, rights
    )


def _why_not(driver_version: str, bad: dict[tuple[int, ...], str]) -> str:
    version = _numbers(driver_version)
    if not version:
        return "the driver version is unknown"
    if version < NEEDED_DRIVER:
        return f"driver {driver_version} is older than {NEEDED_DRIVER[0]}"
    for each, harm in bad.items():
        if version[: len(each)] == each:
            return f"driver {driver_version} is known to do harm: {harm}"
    return ""


def _why_not_here(gpu: Gpu, rights: Rights | None) -> str:
    if gpu.mig_enabled:
        return "MIG is on, whose instances the driver cannot hold back"
    if rights is None:
        return ""
    if rights.bindings is None:
        return "cuda-bindings is not installed"
    if rights.bindings < NEEDED_BINDINGS:
        return f"cuda-bindings {'.'.join(map(str, rights.bindings))} is older than 12.8"
    if rights.root and not rights.ptrace:
        return "root without CAP_SYS_PTRACE may not hold programs back"
    return ""


def _bindings() -> tuple[int, ...] | None:
    from importlib import metadata  # costs more than all else here, and few ask

    try:
        return _numbers(metadata.version("cuda-bindings"))
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `580.159.04` → (580, 159, 4)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
