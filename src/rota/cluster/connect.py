"""The way in: what speaks HTTP is imported here, when somebody wants to be connected."""

from __future__ import annotations

from rota.cluster.door import Api
from rota.errors import UsageError


def connect() -> Api:
    """The API that the environment names.

    Raises:
        UsageError: Rota was installed without what it needs for that.
        ClusterError: the environment names none.
    """
    try:
        from rota.cluster.kube import KubeApi
    except ImportError as error:
        hint = "`make cluster` in a clone of Rota installs it; elsewhere pip install lightkube"
        raise UsageError(f"{error.name} is not installed", where="--cluster", hint=hint) from None
    return KubeApi.connect()
