"""The agent's log: structlog, one event a line, for a person or as JSON for a collector.

structlog draws tracebacks with rich if it finds it, and so imports it, for a sixth of the agent's
time to start. Ours are plain lines of text in any case, so rich is not found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from rota.config.findings import Finding, Level


@contextmanager
def _not_found(package: str) -> Iterator[None]:
    """Imports in the block do not find that package, unless it was imported before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with _not_found("rich"):
    import structlog

Logger = structlog.typing.FilteringBoundLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def make_logger(
    form: Literal["console", "json"] = "console", level: str = "info", stream: TextIO | None = None
) -> Logger:
    """A logger that writes to `stream` (standard error unless given), in UTC."""
    stream = stream or sys.stderr
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if form == "json":
        processors.append(structlog.processors.JSONRenderer(ensure_ascii=False))
    else:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                sort_keys=False,
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    logger: Logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return logger


def log_finding(log: Logger, finding: Finding) -> None:
    """Write one finding at the level that it has."""
    levels = {Level.ERROR: log.error, Level.WARNING: log.warning, Level.NOTE: log.info}
    hint = {"hint": finding.hint} if finding.hint else {}
    levels[finding.level](finding.message, at=str(finding.mark), rule=finding.id, **hint)
