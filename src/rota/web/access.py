"""Who may read what.

A listener that only this machine can reach serves everything, and only to requests that name this
machine: a page from elsewhere that a browser here has open cannot pretend to. Any other address
gets no command lines. Where a bearer token is set, figures need it on every address; whether the
agent lives does not.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from rota.errors import UsageError
from rota.web.address import is_loopback

OPEN = frozenset({"/healthz", "/readyz", "/"})
"""Paths that need no token: they tell no figures. So are the page's own files."""

PAGE_FILES = "/page/"


@dataclass(slots=True)
class Token:
    """A bearer token in a file, which may be replaced while the agent runs."""

    path: Path
    _stamp: tuple[int, int, int] = field(default=(0, 0, 0), init=False)
    _value: bytes = field(default=b"", init=False)

    def check(self) -> None:
        """Read it.

        Raises:
            UsageError: it cannot be read, or is empty.
        """
        try:
            self._read()
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError(f"cannot read it: {why}", where=str(self.path)) from None
        if not self._value:
            raise UsageError("the token's file is empty", where=str(self.path))

    def matches(self, header: str) -> bool:
        """Whether an Authorization header bears it. A file that is gone bars everybody."""
        try:
            self._read()
        except OSError:
            return False
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._value)
        return scheme.lower() == "bearer" and bool(self._value) and same

    def _read(self) -> None:
        found = self.path.stat()
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._value, self._stamp = self.path.read_bytes().strip(), stamp


@dataclass(frozen=True, slots=True)
class Access:
    """What one listener allows.

    Attributes:
        local: only this machine can reach it.
        token: what must be borne; None for nothing.
    """

    local: bool
    token: Token | None = None

    @property
    def commands(self) -> bool:
        """Command lines are served."""
        return self.local

    def refusal(self, path: str, host: str, authorization: str) -> tuple[int, str] | None:
        """The status and the words with which a request is refused; None if it is not."""
        if self.local and self.token is None and not _names_here(host):
            return 421, f"this address is for this machine only, and is not '{host}'"
        if self.token is None or path in OPEN or path.startswith(PAGE_FILES):
            return None
        if self.token.matches(authorization):
            return None
        return 401, "a bearer token is needed"


def _names_here(host: str) -> bool:
    """A Host header names this machine: `localhost`, or a loopback address, with or without a port."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in ("", "localhost") or is_loopback(name.strip("[]"))
