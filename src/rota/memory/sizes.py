"""Bytes as a person reads them in a message. Tables keep plain bytes, which add up."""

from __future__ import annotations

CONTEXT = 640 * 2**20
"""What a context takes on a real GPU: 518 MiB on an H200, and what a program's code adds."""


def shown(size: int) -> str:
    """`12.3 GiB`, `518.0 MiB`; below one MiB in bytes."""
    if abs(size) >= 2**30:
        return f"{size / 2**30:.1f} GiB"
    if abs(size) >= 2**20:
        return f"{size / 2**20:.1f} MiB"
    return f"{size} bytes"


def rounded_up(size: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `size`."""
    return -(-size // unit) * unit


def rounded_down(size: int, unit: int) -> int:
    """The greatest multiple of `unit` that is not above `size`."""
    return size // unit * unit
