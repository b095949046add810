"""A cluster for commands that ask one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A fake cluster that answers from a thread of its own."""
    served = Served(tmp_path)
    yield served
    served.close()
