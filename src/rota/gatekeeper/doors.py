"""Which doors: the driver's, or an emulated GPU's."""

from __future__ import annotations

from pathlib import Path

from rota.gpu.doors import BallastDoor, GateDoor, InventoryDoor


def gate_door(emulated: Path | None) -> GateDoor:
    """The gates of the emulated GPU in that folder; those of the NVIDIA driver if None.

    What is not used is not imported: the gatekeeper is to be small.
    """
    if emulated is None:
        from rota.gpu.gates import CudaGates

        return CudaGates()
    from rota.emulation.gates import EmulatedGates

    return EmulatedGates(emulated)


def memory_doors(emulated: Path | None) -> tuple[BallastDoor, InventoryDoor]:
    """What holds memory of those GPUs, and what reads them. Nothing is asked of a driver yet."""
    if emulated is None:
        from rota.gpu.ballast import CudaBallast
        from rota.gpu.nvml import NvmlInventory

        return CudaBallast(), NvmlInventory(say=lambda _: None)
    from rota.emulation.ballast import EmulatedBallast
    from rota.emulation.inventory import EmulatedInventory

    return EmulatedBallast(emulated), EmulatedInventory(emulated)


def let_go(gates: GateDoor) -> None:
    """Give back what the door keeps open, where it keeps anything. The gates stay as they are."""
    forget = getattr(gates, "forget", None)
    if forget is not None:
        forget()
