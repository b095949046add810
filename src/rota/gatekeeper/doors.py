"""Which gate door: the driver's, or an emulated GPU's."""

from __future__ import annotations

from pathlib import Path

from rota.gpu.doors import GateDoor


def gate_door(emulated: Path | None) -> GateDoor:
    """The gates of the emulated GPU in that folder; those of the NVIDIA driver if None.

    What is not used is not imported: the gatekeeper is to be small.
    """
    if emulated is None:
        from rota.gpu.gates import CudaGates

        return CudaGates()
    from rota.emulation.gates import EmulatedGates

    return EmulatedGates(emulated)


def let_go(gates: GateDoor) -> None:
    """Give back what the door keeps open, where it keeps anything. The gates stay as they are."""
    forget = getattr(gates, "forget", None)
    if forget is not None:
        forget()
