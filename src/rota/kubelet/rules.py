"""What all resources of one config have in common when the kubelet asks something of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rota.config.schema import AllocationPolicy, Config, Flags
from rota.kubelet.allocation import ContainerAllocation, allocate, check
from rota.kubelet.driver_files import DriverFiles
from rota.kubelet.listing import Listing
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
    """

    flags: Flags = field(default_factory=Flags)
    policy: AllocationPolicy = "distributed"
    spread: Spread = "preferred"
    files: DriverFiles = field(default_factory=DriverFiles)
    extra_env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, files: DriverFiles, extra_env: Mapping[str, str]) -> Rules:
        """The rules that a config makes."""
        return cls(config.flags, config.policy, config.rota.allocation.spread, files, extra_env)

    def allocate(self, listing: Listing, ids: Sequence[str]) -> ContainerAllocation:
        """What one container gets for these replicas. Raises `Refusal`."""
        check(listing, ids)
        return allocate(
            listing.resource,
            ids,
            self.flags,
            request_id=str(uuid.uuid4()),
            nodes=self.files.nodes,
            extra_env=self.extra_env,
        )

    def prefer(
        self, chooser: Chooser, available: Sequence[str], must: Sequence[str], size: int
    ) -> tuple[str, ...]:
        """Which of the available replicas a container should get. Raises `RotaError`."""
        return chooser.choose(available, must, size, self.policy, self.spread)
