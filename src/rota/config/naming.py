"""Names of resources and devices as NVIDIA's parser takes and refuses them. Pure."""

from __future__ import annotations

import re

DOMAIN = "nvidia.com/"
LONGEST_NAME = 63
SHARED_SUFFIX = ".shared"

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_LOOSE = rf"(?:{_UUID}|urn:uuid:{_UUID}|\{{{_UUID}\}}|[0-9a-fA-F]{{32}})"
_DEVICE = re.compile(
    rf"[0-9]{{1,19}}|[0-9]{{1,19}}:[0-9]{{1,19}}|GPU-{_LOOSE}|MIG-{_LOOSE}"
    rf"|MIG-GPU-{_LOOSE}/[0-9]{{1,19}}/[0-9]{{1,19}}"
)


def full_name(name: str) -> str:
    """The name with its domain: `gpu` and `nvidia.com/gpu` are the same resource."""
    return name if name.startswith(DOMAIN) else DOMAIN + name


def name_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with a resource's name, and a hint; None for a good one."""
    if not name:
        return "the name is empty", f"write such as `{DOMAIN}gpu`"
    full = full_name(name)
    if len(full) > LONGEST_NAME:
        return f"`{full[:80]}` is longer than {LONGEST_NAME} characters", "shorten it"
    rest = full.removeprefix(DOMAIN)
    if "/" in rest:
        domain, _, last = rest.rpartition("/")
        hint = f"write `{DOMAIN}{last}`: the domain is always {DOMAIN.rstrip('/')}"
        return f"the domain `{domain}` is not {DOMAIN.rstrip('/')}", hint
    if not _SUBDOMAIN.fullmatch(rest):
        return (
            f"`{full}` is no name of a resource",
            "lower-case letters, digits, `-` and `.`, with a letter or digit at both ends",
        )
    return None


def is_device(item: str) -> bool:
    """An index, a `gpu:mig` index, or the UUID of a GPU or a MIG device."""
    return _DEVICE.fullmatch(item) is not None
