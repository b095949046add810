"""What to tell frameworks about a client's limit, as environment variables.

A framework that knows its limit fails in its own allocator with its own message, and does not try
to take the whole GPU at its start. Only the frameworks that a config names are told, since a program
may not expect it: an older PyTorch refuses to start on an option that it does not know.

A device plugin does not see the environment of the container. What the image or the pod sets wins
there over what is returned, name by name; only `jax` has two names for one thing (see `_jax`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rota.config.schema import Memory
from rota.errors import RotaError
from rota.memory.limits import Pool
from rota.model import Replica, Resource

_PARTS = 10_000
"""Fractions are written with four digits, rounded down."""


@dataclass(frozen=True, slots=True)
class Cap:
    """What a client may use of one GPU: `limit` of `total` bytes."""

    limit: int
    total: int


def hints(
    frameworks: Collection[str], caps: Sequence[Cap], env: Mapping[str, str], context: int = 0
) -> dict[str, str]:
    """The variables to add to `env` for the frameworks named.

    A framework counts what it allocates, not its context, so `context` bytes are taken off. With
    several GPUs the tightest limit holds for all of them: these variables know one figure only.
    Nothing is said where there is no limit below the GPU's size, and nothing that is set is touched.

    Raises:
        RotaError: a framework that is not known.
    """
    unknown = sorted(set(frameworks) - set(_FRAMEWORKS))
    if unknown:
        hint = f"known are {', '.join(sorted(_FRAMEWORKS))}"
        raise RotaError(
            f"no hints are known for {unknown[0]}", where="rota.memory.hints", hint=hint
        )
    usable = [(cap.limit - context, cap.total) for cap in caps if cap.limit < cap.total]
    if not usable or min(room * _PARTS // total for room, total in usable) <= 0:
        return {}
    added: dict[str, str] = {}
    for name, (taken, told) in _FRAMEWORKS.items():
        if name in frameworks and not any(variable in env for variable in taken):
            added |= told(usable)
    return added


def caps(
    held: Iterable[Replica], resources: Iterable[Resource], settings: Memory, context: int
) -> tuple[Cap, ...]:
    """What whoever holds these replicas may use of each of their GPUs, where that is limited.

    The reserve that is measured (`auto`) is not known yet when a program starts: room for a context
    is taken for it.
    """
    counts = Counter(replica.device for replica in held)
    shared = [resource for resource in resources if resource.shared]
    found = []
    for device in (device for resource in shared for device in resource.devices):
        replicas = sum(resource.replicas_of(device.uuid) for resource in shared)
        if settings.limit == "share" and counts[device.uuid]:
            reserve = settings.reserve or context
            over = settings.oversubscribe
            pool = Pool(device.uuid, device.memory_bytes, replicas, reserve, oversubscribe=over)
            found.append(Cap(pool.share(counts.pop(device.uuid)), device.memory_bytes))
    return tuple(found)


def _fraction(usable: Sequence[tuple[int, int]]) -> str:
    part = min(room * _PARTS // total for room, total in usable)
    return f"0.{part:04d}"


def _jax(usable: Sequence[tuple[int, int]]) -> dict[str, str]:
    """The old name: every JAX knows it. With both names set, JAX refuses the GPU."""
    return {"XLA_PYTHON_CLIENT_MEM_FRACTION": _fraction(usable)}


def _cupy(usable: Sequence[tuple[int, int]]) -> dict[str, str]:
    return {"CUPY_GPU_MEMORY_LIMIT": str(min(room for room, _ in usable))}


def _pytorch(usable: Sequence[tuple[int, int]]) -> dict[str, str]:
    """The name that every PyTorch reads; the option is read by 2.11."""
    return {"PYTORCH_CUDA_ALLOC_CONF": f"per_process_memory_fraction:{_fraction(usable)}"}


_Told = Callable[[Sequence[tuple[int, int]]], dict[str, str]]
_FRAMEWORKS: dict[str, tuple[tuple[str, ...], _Told]] = {
    "jax": (("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"), _jax),
    "cupy": (("CUPY_GPU_MEMORY_LIMIT",), _cupy),
    "pytorch": (("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"), _pytorch),
}
"""Framework → the variables any of which, if set, means that somebody decided; and what to add."""
