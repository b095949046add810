"""Which GPU an agent has: the real ones through NVML, or emulated ones that live in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rota.agent.logs import Logger
from rota.agent.settings import Settings
from rota.errors import GpuError
from rota.gpu.doors import InventoryDoor
from rota.model import Inventory

if TYPE_CHECKING:
    from rota.emulation.driver import Emulation


@dataclass(frozen=True, slots=True)
class Hardware:
    """The opened door, and what programs need to know of it.

    Attributes:
        door: for inventory, figures and errors.
        environment: what a container must be given to find an emulated GPU; empty on a real one.
        release: lets go of an emulated GPU, which ends when nobody uses it any more.
    """

    door: InventoryDoor
    environment: Mapping[str, str] = field(default_factory=dict)
    release: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Give the driver back. Never raises: an agent that ends has nobody to tell."""
        with suppress(GpuError):
            self.door.close()
        self.release()


def open_hardware(settings: Settings, log: Logger) -> Hardware:
    """Open the GPUs that the settings name. Nothing is asked of a driver yet.

    Raises:
        GpuError: the emulated GPU does not come up.
        UsageError: no such emulation.
    """
    if settings.emulate:
        return _emulated(settings, log)
    from rota.gpu.nvml import open_nvml

    return Hardware(open_nvml(lambda what: log.warning(str(what))))


def attach_inventory(emulate: str, run_dir: Path) -> InventoryDoor:
    """The door to the GPUs of an agent that runs already, for whoever only looks at them.

    Raises:
        GpuError: there is no such emulated GPU.
    """
    if emulate:
        from rota.emulation.inventory import EmulatedInventory

        return EmulatedInventory(run_dir / "gpu")
    from rota.gpu.nvml import open_nvml

    return open_nvml()


def _emulated(settings: Settings, log: Logger) -> Hardware:
    from rota.emulation import driver
    from rota.emulation.inventory import EmulatedInventory
    from rota.emulation.profiles import parse_emulation

    inventory = parse_emulation(settings.emulate)
    folder = settings.emulated_gpu
    held = _living(inventory, folder)
    if held is None:
        held = driver.start(inventory, folder)
    else:
        log.info("found the emulated GPU of an earlier agent", folder=str(folder))
    return Hardware(EmulatedInventory(folder), held.environment, held.close)


def _living(inventory: Inventory, folder: Path) -> Emulation | None:
    """The emulated GPU that an earlier agent left running for its programs; None if none is.

    Raises:
        GpuError: it emulates something else.
    """
    from rota.emulation import driver, layout

    try:
        held = driver.attach(folder)
    except GpuError:
        return None
    if layout.read_inventory(folder) == inventory:
        return held
    held.close()
    raise GpuError(
        "another GPU is emulated here, and programs use it",
        where=str(folder),
        hint="end them, or name another folder with --run-dir",
    )
