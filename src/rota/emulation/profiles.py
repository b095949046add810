"""What `--emulate PROFILE[xN]` makes: the inventory of a node whose GPUs do not exist.

The figures stand in `profiles.json` and are those that NVML reports for the real product (total
memory in whole MiB, as nvidia-smi prints it), so that shares and labels come out as they would on
the real node. UUIDs have NVIDIA's form and depend only on the profile and the index: the same
words on the command line give the same GPUs tomorrow. Processes and memory in use are the
engine's business, not this module's.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from rota.errors import UsageError
from rota.model import Gpu, Inventory, MigDevice

MOST = 16
"""The most GPUs of one emulated node; no server that NVIDIA sells has more."""

_MIB = 1024**2
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://rota.dev/emulated")
_COUNTED = re.compile(r"(?P<name>.+?)\s*[x×*]\s*(?P<count>[0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class MigSlot:
    """One MIG instance that every GPU of a profile has."""

    profile: str
    memory_bytes: int
    gpu_instance: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of emulated GPU.

    Attributes:
        name: what a person types, such as `rtx-4070-ti-super`.
        aliases: other names of it.
        product: NVML's name of the product.
        memory_bytes: NVML's total memory.
        compute_capability: (major, minor).
        mig: its MIG instances; MIG mode is on where there are any.
    """

    name: str
    aliases: tuple[str, ...]
    product: str
    memory_bytes: int
    compute_capability: tuple[int, int]
    mig: tuple[MigSlot, ...] = ()

    def gpu(self, index: int) -> Gpu:
        """The emulated GPU of this profile at `index`."""
        return Gpu(
            uuid=self._uuid("GPU", str(index)),
            index=index,
            minor=index,
            product=self.product,
            memory_bytes=self.memory_bytes,
            compute_capability=self.compute_capability,
            pci_bus_id=f"0000:{index + 1:02x}:00.0",
            mig_enabled=bool(self.mig),
            mig_devices=tuple(self._mig(index, n, slot) for n, slot in enumerate(self.mig)),
        )

    def _mig(self, gpu: int, index: int, slot: MigSlot) -> MigDevice:
        return MigDevice(
            uuid=self._uuid("MIG", f"{gpu}:{index}"),
            index=index,
            profile=slot.profile,
            memory_bytes=slot.memory_bytes,
            gpu_instance=slot.gpu_instance,
        )

    def _uuid(self, kind: str, place: str) -> str:
        return f"{kind}-{uuid.uuid5(_NAMESPACE, f'{self.name}/{place}')}"


def parse_emulation(text: str) -> Inventory:
    """The node that `PROFILE[xN]` names, such as `h200x2`; case, dashes and spaces do not matter.

    Raises:
        UsageError: no such profile, or a count outside 1 to 16.
    """
    profile, count = _parse(text)
    if not 1 <= count <= MOST:
        raise UsageError(
            f"cannot emulate {count} GPUs",
            where=f"--emulate {text}",
            hint=f"a number from 1 to {MOST} can stand after the x",
        )
    driver, cuda, _ = _book()
    return Inventory(tuple(profile.gpu(n) for n in range(count)), driver, cuda, emulated=True)


def profiles() -> tuple[Profile, ...]:
    """Every profile that can be emulated, in the order of the data file."""
    return _book()[2]


def _parse(text: str) -> tuple[Profile, int]:
    names = _names()
    if profile := names.get(_key(text)):
        return profile, 1
    counted = _COUNTED.match(text.strip().lower())
    if counted and (profile := names.get(_key(counted["name"]))):
        return profile, int(counted["count"])
    raise _unknown(text)


def _unknown(text: str) -> UsageError:
    known = [profile.name for profile in profiles()]
    near = difflib.get_close_matches(_key(text), list(_names()), n=1, cutoff=0.5)
    guess = f"did you mean {_names()[near[0]].name}? " if near else ""
    return UsageError(
        f"no GPU profile is called {text!r}",
        where=f"--emulate {text}",
        hint=f"{guess}the profiles are {', '.join(known)}; xN after the name makes N of them",
    )


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("nvidia"))


@functools.cache
def _names() -> Mapping[str, Profile]:
    return {
        _key(name): profile
        for profile in profiles()
        for name in (profile.name, *profile.aliases, profile.product)
        if not profile.mig or name == profile.name
    }


@functools.cache
def _book() -> tuple[str, tuple[int, int], tuple[Profile, ...]]:
    text = resources.files(__package__).joinpath("profiles.json").read_text(encoding="utf-8")
    data = json.loads(text)
    major, minor = data["cuda_version"]
    read = tuple(_profile(entry) for entry in data["profiles"])
    return data["driver_version"], (major, minor), read


def _profile(entry: Mapping[str, Any]) -> Profile:
    major, minor = entry["compute_capability"]
    return Profile(
        name=entry["name"],
        aliases=tuple(entry.get("aliases", ())),
        product=entry["product"],
        memory_bytes=entry["memory_mib"] * _MIB,
        compute_capability=(major, minor),
        mig=tuple(
            MigSlot(slot["profile"], slot["memory_mib"] * _MIB, slot["gpu_instance"])
            for slot in entry.get("mig", ())
        ),
    )
