"""A verdict as a table of 80 columns and more, and a sentence for each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from rota.verify.prove import Verdict
from rota.verify.report import Proof, gib

UNKNOWN = "–"

_COLUMNS = (
    "NODE",
    "RESOURCE",
    "GPUS",
    "SHOULD",
    "OFFERS",
    "HELD",
    "RAN",
    "ONE MORE",
    "SEEN INSIDE",
)


def shown(verdict: Verdict) -> Iterator[Text]:
    """The table, the faults, what was left, and one last sentence."""
    if not verdict.proofs:
        yield Text("no node has GPUs, by its capacity or by its labels", "bold red")
    else:
        yield from _table(verdict)
    for proof in verdict.proofs:
        for fault in proof.faults:
            yield Text.assemble((f"{proof.target.node.name}: ", "bold red"), _clean(fault))
    for trace in verdict.left:
        yield Text.assemble(
            ("left by an earlier run: ", "bold yellow"), f"{trace}; rota verify --clean removes it"
        )
    yield _closing(verdict)


def _table(verdict: Verdict) -> Iterator[Text]:
    rows = [_COLUMNS, *(_row(proof) for proof in verdict.proofs)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    for number, row in enumerate(rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        bad = number and not verdict.proofs[number - 1].ok
        yield Text(text.rstrip(), "bold" if not number else "red" if bad else "")


def _row(proof: Proof) -> tuple[str, ...]:
    target = proof.target
    return (
        target.node.name,
        target.resource,
        _number(target.gpus),
        _number(target.should),
        str(target.offers),
        str(target.held),
        UNKNOWN if proof.tried is None else f"{len(proof.ran)}/{proof.tried}",
        _one_more(proof),
        _inside(proof),
    )


def _one_more(proof: Proof) -> str:
    if proof.waited:
        return "waits"
    return UNKNOWN if proof.unproven else "does not wait"


def _inside(proof: Proof) -> str:
    """How many devices each pod sees, how many pods share one, and how much memory they find."""
    if not proof.ran:
        return proof.not_waited if proof.unproven and proof.not_waited else UNKNOWN
    devices = [device for sight in proof.ran.values() for device in sight.devices]
    counts = {len(sight.devices) for sight in proof.ran.values()}
    users = Counter(device.uuid for device in devices)
    parts = [f"{'/'.join(map(str, sorted(counts)))} GPU each"]
    if users:
        most = max(users.values())
        parts.append(f"{most} on one" if most > 1 else "none shared")
    rooms = [device.room for device in devices if device.room is not None]
    if rooms:
        total = max(device.memory for device in devices)
        parts.append(f"room {gib(max(rooms))} of {gib(total)}")
    if any(sight.emulated for sight in proof.ran.values()):
        parts.append("emulated")
    return ", ".join(parts)


def _number(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)


def _closing(verdict: Verdict) -> Text:
    bad = sum(not proof.ok for proof in verdict.proofs)
    nodes = len({proof.target.node.name for proof in verdict.proofs})
    many = f"{nodes} node{'' if nodes == 1 else 's'}"
    if verdict.ok:
        return Text(f"{many}: as the config says.", "bold green")
    if not verdict.proofs:
        return Text("rota doctor says more")
    return Text(f"{many}, {bad} not as it should be; rota doctor says more", "bold red")


def _clean(text: str) -> str:
    """Without what could move a terminal's cursor: some of it comes from the cluster."""
    return "".join(char if char.isprintable() else " " for char in text)
