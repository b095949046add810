"""Which resource names a plugin may register: the kubelet's own rule for extended resources.

Written from the public rule (a qualified name with a domain that is not Kubernetes' own, still a
qualified name when a quota puts `requests.` before it).
"""

from __future__ import annotations

import re

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL = re.compile(_LABEL)

LONGEST_NAME = 63
LONGEST_SUBDOMAIN = 253


def is_extended_resource(name: str) -> bool:
    """Whether the kubelet takes `name`, such as `nvidia.com/gpu`, for an extended resource."""
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    domain, _, rest = name.partition("/")
    prefixed = f"requests.{domain}"
    return (
        bool(_SUBDOMAIN.fullmatch(prefixed))
        and len(prefixed) <= LONGEST_SUBDOMAIN
        and bool(_NAME.fullmatch(rest))
        and len(rest) <= LONGEST_NAME
    )


def is_subdomain(name: str) -> bool:
    """Whether `name` may name a pod (RFC 1123 subdomain)."""
    return bool(_SUBDOMAIN.fullmatch(name)) and len(name) <= LONGEST_SUBDOMAIN


def is_label(name: str) -> bool:
    """Whether `name` may name a namespace or a container (RFC 1123 label)."""
    return bool(_DNS_LABEL.fullmatch(name)) and len(name) <= LONGEST_NAME
