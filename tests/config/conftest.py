"""Properties are tried on the same examples each time, and take the time that they need.

`ROTA_EXAMPLES=1000 pytest tests/config` tries as many new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

RANDOM = os.environ.get("ROTA_EXAMPLES", "")

settings.register_profile(
    "rota",
    max_examples=int(RANDOM or 60),
    derandomize=not RANDOM,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rota")
