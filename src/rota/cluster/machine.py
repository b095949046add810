"""What the labels need of the machine: its name from DMI, and the PCI class of each GPU."""

from __future__ import annotations

from pathlib import Path

from rota.cluster.features import Machine
from rota.model import Inventory

SYS = Path("/sys")

MODES = {"0x0302": "compute", "0x0300": "graphics"}
"""PCI class → mode, as GPU feature discovery says it: a 3D controller has no display."""


def read_machine(inventory: Inventory, sys: Path = SYS) -> Machine:
    """The machine as /sys tells it. What cannot be read is left out; an emulated GPU has no class."""
    product = _text(sys / "class" / "dmi" / "id" / "product_name")
    modes = {}
    for gpu in inventory.gpus:
        kind = _text(sys / "bus" / "pci" / "devices" / pci_name(gpu.pci_bus_id) / "class")
        if kind[:6] in MODES and not inventory.emulated:
            modes[gpu.uuid] = MODES[kind[:6]]
    return Machine(product, modes)


def pci_name(bus_id: str) -> str:
    """NVML's bus id as /sys spells it: a domain of four digits, all in small letters."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
