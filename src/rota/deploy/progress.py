"""What a command tells while it works: a mark, what it is about, and a word on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

Mark = Literal["ok", "made", "set", "same", "gone", "back", "wait", "note", "FAIL"]

Tell: TypeAlias = Callable[[Mark, str, str], None]
"""Called with the mark, what it is about, and what there is to say."""
