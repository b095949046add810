"""Says once that something does not work, and once that it works again."""

from __future__ import annotations

import structlog


class Troubles:
    """Troubles of now, each told once."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._now: dict[str, str] = {}

    @property
    def now(self) -> dict[str, str]:
        """What does not work → why."""
        return dict(self._now)

    def say(self, what: str, why: str = "") -> None:
        """`why` is empty while all is well."""
        if why and what not in self._now:
            self._log.warning(what, reason=why)
        elif not why and what in self._now:
            self._log.info("well again", was=what)
        if why:
            self._now[what] = why
        else:
            self._now.pop(what, None)
