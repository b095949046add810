"""How everybody fares, as one JSON object: what `rota top`, the page and the metrics show."""

from __future__ import annotations

import time
from typing import Any

from rota.gatekeeper.conductor import Conductor
from rota.gatekeeper.fares import calls, fares
from rota.gatekeeper.group import Group


def describe(conductor: Conductor, now: float) -> dict[str, Any]:
    """The state now.

    `off` says why no gate is closed, empty while turns are on. Of each GPU: `holder` and `waiting`.
    Of each client: its `gate`, whether it `wants` the GPU, why it is `ungated`, its `pids`, and per
    GPU the `used` seconds so far and how it `fares` there; besides the `calls` of its gates. Of the
    `memory` of each GPU that is looked after: the table of limits and of what is held, in bytes. Of
    `paging`: where the memory is of each client that is not simply on the GPU.
    """
    return {
        "at": now,
        "wall": time.time(),
        "mode": conductor.settings.mode,
        "off": conductor.off,
        "handing": conductor.settings.handing,
        "turns": conductor.log.next,
        "gpus": _gpus(conductor),
        "memory": conductor.memory.describe() if conductor.memory else {},
        "paging": conductor.paging.describe(now) if conductor.paging else {},
        "clients": {name: _client(conductor, group) for name, group in conductor.groups.items()},
    }


def _gpus(conductor: Conductor) -> dict[str, Any]:
    rotas = conductor.ensemble.rotas
    return {
        gpu: {
            "holder": rota.holder,
            "waiting": [m.client for m in rota if m.wanting and not m.open],
            "quantum": rota.rules.quantum,
        }
        for gpu, rota in rotas.items()
    }


def _client(conductor: Conductor, group: Group) -> dict[str, Any]:
    client = group.spec.id
    members = {
        rota.gpu: member
        for rota in conductor.ensemble.rotas.values()
        for member in rota
        if member.client == client
    }
    used = {gpu: conductor.used.get((client, gpu), 0.0) for gpu in group.spec.shares}
    for gpu, member in members.items():
        used[gpu] = used.get(gpu, 0.0) + (member.turn.used if member.turn else 0.0)
    return {
        "gate": str(group.state),
        "wants": any(member.wanting for member in members.values()),
        "ungated": group.ungated or group.spec.ungated,
        "pids": sorted(process.pid for process in group.processes),
        "used": used,
        "fares": fares(conductor, group),
        "calls": calls(group),
    }
