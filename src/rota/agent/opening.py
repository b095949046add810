"""The GPUs of an agent, as soon as there are any.

The driver comes up in a thread while the config is read and all else is imported.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rota.agent.doors import Hardware, open_hardware
from rota.agent.logs import Logger
from rota.agent.settings import Settings
from rota.errors import GpuError
from rota.model import Inventory

RETRY = 10.0
"""Seconds between looks for a GPU under `failOnInitError: false`."""


class Opening:
    """Looks for the GPUs, from when it is made.

    Attributes:
        inventory: the GPUs; none before they are found.
    """

    def __init__(self, settings: Settings, log: Logger) -> None:
        """The first look begins."""
        self.inventory = Inventory()
        self._settings, self._log = settings, log
        self._looking = self._begin()

    async def found(self, stop: asyncio.Event, *, needed: bool) -> Hardware | None:
        """The GPUs, as soon as there are any; None when stopped before.

        Raises:
            GpuError: there are none, and they are `needed` now.
        """
        told = ""
        while not stop.is_set():
            try:
                return await self._looking
            except GpuError as error:
                if needed:
                    raise
                if str(error) != told:
                    self._log.error("no GPU to serve; looking again", reason=str(error))
                told = str(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RETRY)
            self._looking = self._begin()
        return None

    async def close(self) -> None:
        """Give back what the last look found. Never raises: whoever wanted it has heard of it."""
        with suppress(Exception):
            (await self._looking).close()

    def _begin(self) -> asyncio.Task[Hardware]:
        return asyncio.create_task(asyncio.to_thread(self._look))

    def _look(self) -> Hardware:
        hardware = open_hardware(self._settings, self._log)
        try:
            self.inventory = hardware.door.inventory()
            if not self.inventory.gpus:
                raise GpuError(
                    "this node has no NVIDIA GPU",
                    hint="the agent belongs on GPU nodes; --emulate serves a GPU that is not there",
                )
        except BaseException:
            hardware.close()
            raise
        return hardware
