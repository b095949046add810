"""Durations, sizes and parts as people write them: `100ms`, `1h30m`, `4Gi`, `500M`, `50%`.

A duration needs a unit, since `100` could be anything; a size without one is in bytes. Arithmetic
is exact (fractions), so that what is formatted reads back as the same number.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rota.config.scalars import shorten
from rota.errors import RotaError

_NANOSECONDS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ns": 1,
}
_STEP = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|us|µs|μs|ns|h|m|s)")
_DURATION = re.compile(rf"(?:{_STEP.pattern})+")
_DURATION_FORM = "write a number with h, m, s, ms, us or ns, such as `100ms` or `1h30m`"

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+) ?(?:([kKMGTPE])(i?))?B?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SIZE_FORM = "write bytes, or a number with K, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (of 1024)"

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_LONGEST = 40


class QuantityError(RotaError):
    """A text is no such quantity. The hint says what is accepted."""


def parse_duration(text: str) -> float:
    """Seconds that a text such as `100ms`, `0.5s`, `1m` or `1h30m` means.

    Raises:
        QuantityError: it has no unit, another form, or is longer than a century.
    """
    if not _fits(_DURATION, text):
        if re.fullmatch(r"[0-9]*\.?[0-9]+", text):
            what = f"`{shorten(text)}` has no unit"
            raise QuantityError(
                what, hint=f"did you mean `{shorten(text)}ms` or `{shorten(text)}s`?"
            )
        raise QuantityError(f"`{shorten(text)}` is no duration", hint=_DURATION_FORM)
    total = sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in _STEP.findall(text))
    if total > 100 * 366 * 24 * _NANOSECONDS["h"]:
        raise QuantityError(f"`{shorten(text)}` is more than a century", hint="write less")
    return float(total / _NANOSECONDS["s"])


def format_duration(seconds: float) -> str:
    """The shortest text for a duration, to the nanosecond: `100ms`, `1h30m`, `0s`."""
    rest = round(Fraction(seconds) * _NANOSECONDS["s"])
    if rest == 0:
        return "0s"
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    parts = []
    for unit in ("h", "m"):
        count, rest = divmod(rest, _NANOSECONDS[unit])
        parts += [f"{count}{unit}"] if count else []
    if rest:
        parts.append(_below_a_minute(rest))
    return sign + "".join(parts)


def parse_size(value: str | int) -> int:
    """Bytes that `4Gi`, `500M`, `1.5GiB`, `4096` or a plain number mean.

    Raises:
        QuantityError: another form, less than nothing, or beyond 2⁶³.
    """
    text = str(value)
    if isinstance(value, bool) or not _fits(_SIZE, text):
        raise QuantityError(f"`{shorten(text)}` is no size", hint=_SIZE_FORM)
    match = _SIZE.fullmatch(text)
    assert match
    number, prefix, binary = match[1], (match[2] or "").upper(), match[3]
    size = Fraction(number) * (1024 if binary else 1000) ** _POWERS[prefix]
    if size >= 2**63:
        raise QuantityError(f"`{shorten(text)}` is beyond any memory", hint="write less")
    return int(size)


def format_size(size: int) -> str:
    """A text that `parse_size` reads as the same number: `4Gi`, `500M`, else plain bytes."""
    for base, suffix in ((1024, "i"), (1000, "")):
        for prefix in "EPTGMK":
            unit = base ** _POWERS[prefix]
            if size >= unit and size % unit == 0:
                return f"{size // unit}{prefix}{suffix}"
    return str(size)


def parse_percent(text: str) -> float:
    """The part that `50%` means, 0.5.

    Raises:
        QuantityError: another form, or more than all.
    """
    if not _fits(_PERCENT, text):
        raise QuantityError(f"`{shorten(text)}` is no percentage", hint="write such as `50%`")
    part = Fraction(text.rstrip("% ")) / 100
    if part > 1:
        raise QuantityError(f"`{shorten(text)}` is more than all", hint="write `100%` at most")
    return float(part)


def _fits(pattern: re.Pattern[str], text: str) -> bool:
    return len(text) <= _LONGEST and pattern.fullmatch(text) is not None


def _below_a_minute(nanoseconds: int) -> str:
    for unit in ("s", "ms", "us"):
        if nanoseconds >= _NANOSECONDS[unit]:
            whole, rest = divmod(nanoseconds, _NANOSECONDS[unit])
            digits = str(_NANOSECONDS[unit] + rest)[1:].rstrip("0")
            return f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"
    return f"{nanoseconds}ns"
