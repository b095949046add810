"""What all resources of one config have in common when the kubelet asks something of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rota.config.schema import AllocationPolicy, Config, Flags, Memory
from rota.kubelet.allocation import ContainerAllocation, allocate, check
from rota.kubelet.driver_files import DriverFiles
from rota.kubelet.listing import Listing
from rota.memory.hints import caps, hints
from rota.memory.sizes import CONTEXT
from rota.model import Replica
from rota.replicas.preferred import Chooser, Spread


@dataclass(frozen=True, slots=True)
class Rules:
    """How requests are answered.

    Attributes:
        flags: NVIDIA's flags.
        policy: `distributed` or `packed`.
        spread: `preferred` or `required`.
        files: where the driver's files are.
        extra_env: for every container.
        memory: the key `rota.memory`: what frameworks are told of their limit.
    """

    flags: Flags = field(default_factory=Flags)
    policy: AllocationPolicy = "distributed"
    spread: Spread = "preferred"
    files: DriverFiles = field(default_factory=DriverFiles)
    extra_env: Mapping[str, str] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    @classmethod
    def of(cls, config: Config, files: DriverFiles, extra_env: Mapping[str, str]) -> Rules:
        """The rules that a config makes."""
        said = config.rota
        spread = said.allocation.spread
        return cls(config.flags, config.policy, spread, files, extra_env, said.memory)

    def allocate(self, listing: Listing, ids: Sequence[str]) -> ContainerAllocation:
        """What one container gets for these replicas. Raises `Refusal`."""
        check(listing, ids)
        return allocate(
            listing.resource,
            ids,
            self.flags,
            request_id=str(uuid.uuid4()),
            nodes=self.files.nodes,
            extra_env={**self._hints(listing, ids), **self.extra_env},
        )

    def _hints(self, listing: Listing, ids: Sequence[str]) -> dict[str, str]:
        """What the frameworks are told that the config names. Its own env wins in a container."""
        if not self.memory.hints:
            return {}
        held = [Replica.parse(id_) for id_ in dict.fromkeys(ids)]
        limited = caps(held, (listing.resource,), self.memory, CONTEXT)
        return hints(self.memory.hints, limited, {}, CONTEXT)

    def prefer(
        self, chooser: Chooser, available: Sequence[str], must: Sequence[str], size: int
    ) -> tuple[str, ...]:
        """Which of the available replicas a container should get. Raises `RotaError`."""
        return chooser.choose(available, must, size, self.policy, self.spread)
