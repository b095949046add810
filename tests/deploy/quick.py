"""`rota`, with an agent that does not wait for others: it is the only one of its cluster."""

from __future__ import annotations

import sys

from rota.cluster import events, labels

if __name__ == "__main__":
    labels.SPREAD = events.SPREAD = 0.1
    from rota.cli.main import main

    main(sys.argv[1:])
