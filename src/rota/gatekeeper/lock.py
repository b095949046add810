"""One gatekeeper a node: a lock on the folder that it shares with the agent.

It is a file of its own since the agent takes the lock too, when it opens what a dead gatekeeper
left closed, and must not import the turns for that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rota.errors import RotaError
from rota.locks import Held, lock_folder


@contextmanager
def only_gatekeeper(runtime: Path) -> Iterator[None]:
    """Hold the runtime folder: the kernel lets go of it however we end.

    Raises:
        RotaError: another one holds it.
    """
    try:
        runtime.mkdir(mode=0o700, exist_ok=True)
        descriptor = lock_folder(runtime)
    except OSError as error:
        raise RotaError(
            f"cannot use the runtime folder: {error.strerror}", where=str(runtime)
        ) from None
    except Held:
        raise RotaError(
            "a gatekeeper runs the turns here already",
            where=str(runtime),
            hint="stop it first; two would open each other's gates",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
