"""The way in: what speaks HTTP is imported here, when somebody wants to be connected."""

from __future__ import annotations

from rota.cluster.door import Api
from rota.errors import UsageError


def connect(file: str = "", context: str = "", answer: float | None = None) -> Api:
    """The API that the environment names, or a kubeconfig and its context.

    Args:
        file: a kubeconfig; empty for the environment's.
        context: one of its contexts; empty for its current one.
        answer: seconds in which an answer must begin, and go on; as the agent's where None.

    Raises:
        UsageError: Rota was installed without what it needs for that.
        ClusterError: there is none, or it cannot be read.
    """
    try:
        from rota.cluster.kube import KubeApi
    except ImportError:
        hint = "`make cluster` in a clone of Rota installs it; elsewhere pip install lightkube"
        raise UsageError("lightkube is not installed", hint=hint) from None
    return KubeApi.connect(file, context, answer)


def namespace(file: str = "", context: str = "") -> str:
    """The namespace that the context names; `default` where it names none."""
    from rota.cluster.kubeconfig import chosen

    return chosen(file, context).namespace
