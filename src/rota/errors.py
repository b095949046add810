"""One base for everything that Rota refuses: where it is, what is wrong, and what to do.

No traceback is ever the answer to a person's mistake. The command line prints the three parts of
a `RotaError` and exits with its `exit_code`; whatever is not a `RotaError` is a bug of ours.
"""

from __future__ import annotations


class RotaError(Exception):
    """Something that Rota refuses or could not do.

    Attributes:
        where: `file:line:column`, an object's name, a path; empty where there is no such place.
        what: what is wrong, one sentence without a full stop.
        hint: what to do about it; empty where nothing can be said.
        exit_code: 1, the thing asked about is wrong; 2, wrong usage.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.what}{hint}"


class UsageError(RotaError):
    """The command was called in a way that cannot work, whatever the machine is like."""

    exit_code = 2


class GpuError(RotaError):
    """A GPU, its driver or its emulation did not do what was asked."""


class KubeletError(RotaError):
    """The kubelet, or what stands in for it, refused or does not answer."""
