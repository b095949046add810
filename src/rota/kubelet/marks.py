"""What the embedded kubelet writes into the environment of every process, for those who look for it."""

from __future__ import annotations

POD_MARK = "ROTA_POD_UID"
"""In the environment of every process of a pod: its uid."""

CONTAINER_MARK = "ROTA_CONTAINER_ID"
"""In the environment of every process of a container: its id."""
