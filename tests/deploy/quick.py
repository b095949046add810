"""`rota`, with an agent that waits for no others, being the only one of its cluster, and asks its kubelet often."""

from __future__ import annotations

import sys


def hurry() -> None:
    """What takes seconds, so that thousands of nodes cost little, takes one at most."""
    from rota.clients import watch
    from rota.cluster import events, labels

    labels.SPREAD = events.SPREAD = 0.1
    watch.RELIST = 1.0


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        hurry()
    from rota.cli.main import main

    main(sys.argv[1:])
