"""When a GPU is unhealthy, and when it is well again. Pure: the clock is passed in.

Which errors count is NVIDIA's rule (k8s-device-plugin v0.20, internal/rm/health.go): a critical Xid
does, unless it is a fault of the application, and the variables DP_DISABLE_HEALTHCHECKS and
DP_ENABLE_HEALTHCHECKS move the line. NVIDIA's plugin has no way back; here a GPU is well again when
the driver asks for no recovery action and no error came for a minute.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rota.model import HealthEvent

QUIET = 60.0
"""Seconds without an error before a GPU counts as well again."""

APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
"""Xids that a program caused and that leave the GPU well (NVIDIA's list)."""

DISABLE, ENABLE = "DP_DISABLE_HEALTHCHECKS", "DP_ENABLE_HEALTHCHECKS"

_NAMES = {
    48: "double-bit ECC error",
    62: "internal micro-controller halt",
    63: "row remapping or page retirement",
    64: "row remapping or page retirement failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "high rate of single-bit ECC errors",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "GSP does not answer",
    120: "GSP error",
    140: "unrecovered ECC error",
}
"""What NVIDIA's Xid catalogue calls the ones that people meet."""


@dataclass(frozen=True, slots=True)
class XidFilter:
    """Which errors are skipped.

    Attributes:
        all_skipped: all of them, but for `watched`; None where nothing was said about all.
        skipped: these Xids.
        watched: these Xids are never skipped.
        malformed: what the variables said and nobody can read; for the log.
    """

    all_skipped: bool | None = None
    skipped: frozenset[int] = APPLICATION_XIDS
    watched: frozenset[int] = frozenset()
    malformed: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> XidFilter:
        """Read NVIDIA's two variables: `all`, `xids`, or numbers with commas. Enabling wins."""
        no_all, no, bad_no = _read(env.get(DISABLE, ""))
        yes_all, yes, bad_yes = _read(env.get(ENABLE, ""))
        all_skipped = False if yes_all else (True if no_all else None)
        return cls(all_skipped, APPLICATION_XIDS | no, yes, (*bad_no, *bad_yes))

    def skips(self, xid: int) -> bool:
        """Whether an event with this Xid (0: an error that is no Xid) is skipped."""
        if self.all_skipped is False or xid in self.watched:
            return False
        return self.all_skipped is True or xid in self.skipped

    @property
    def off(self) -> bool:
        """Nothing is watched at all."""
        return self.all_skipped is True and not self.watched


def _read(text: str) -> tuple[bool, frozenset[int], tuple[str, ...]]:
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if "all" in words or "xids" in words:
        return True, frozenset(), ()
    numbers = frozenset(int(word) for word in words if _is_xid(word))
    return False, numbers, tuple(word for word in words if not _is_xid(word))


def _is_xid(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 10 and int(word) > 0


@dataclass(frozen=True, slots=True)
class Change:
    """A GPU became unhealthy, or well again.

    Attributes:
        uuid: the GPU.
        healthy: how it is now.
        reason: one sentence without a full stop, for the log and the event.
        seconds_out: how long it was unhealthy; 0 when it has just become so.
    """

    uuid: str
    healthy: bool
    reason: str
    seconds_out: float = 0.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Why and since when a GPU is unhealthy; times on the caller's clock, in seconds."""

    reason: str
    since: float
    last_sign: float


class HealthTracker:
    """Which GPUs of a node are well.

    Args:
        gpus: UUIDs of the GPUs to watch; all are well at first.
        xids: which errors are skipped.
        quiet: seconds without an error before a GPU counts as well again.
    """

    def __init__(
        self, gpus: Iterable[str], xids: XidFilter | None = None, quiet: float = QUIET
    ) -> None:
        self._gpus = tuple(dict.fromkeys(gpus))
        self._filter = xids or XidFilter()
        self._quiet = quiet
        self._out: dict[str, Outage] = {}
        self._xids: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._last: dict[str, int] = {}

    @property
    def xids(self) -> Mapping[str, Mapping[int, int]]:
        """GPU → Xid → how many of it were reported, also of those that are skipped."""
        return {gpu: dict(counts) for gpu, counts in self._xids.items()}

    @property
    def last_xids(self) -> Mapping[str, int]:
        """GPU → the last Xid that was reported."""
        return dict(self._last)

    @property
    def watched(self) -> tuple[str, ...]:
        """The GPUs that are watched."""
        return self._gpus

    @property
    def unhealthy(self) -> Mapping[str, Outage]:
        """The GPUs that are not well, and why."""
        return dict(self._out)

    def healthy(self, gpu: str) -> bool:
        """Whether the GPU with this UUID is well."""
        return gpu not in self._out

    def watch(self, gpus: Iterable[str]) -> None:
        """Watch these GPUs from now on; what is known of those that stay is kept."""
        self._gpus = tuple(dict.fromkeys(gpus))
        self._out = {gpu: out for gpu, out in self._out.items() if gpu in self._gpus}

    def event(self, event: HealthEvent, now: float) -> tuple[Change, ...]:
        """Take in an error that the driver reported at `now`."""
        gpus = self._gpus if event.gpu is None else (event.gpu,)
        self._count(gpus, event.xid)
        if self._filter.skips(event.xid):
            return ()
        changes = (self._mark(gpu, describe(event), now) for gpu in gpus if gpu in self._gpus)
        return tuple(change for change in changes if change)

    def tick(self, now: float, recovery: Mapping[str, str]) -> tuple[Change, ...]:
        """Take in what recovery the driver asks for, and let time pass.

        Args:
            now: the time on the caller's clock, in seconds.
            recovery: UUID → the action, empty if none. A GPU that is missing could not be asked:
                it stays as it is.
        """
        return tuple(self._ticked(now, recovery))

    def _ticked(self, now: float, recovery: Mapping[str, str]) -> Iterator[Change]:
        for gpu in self._gpus:
            if gpu not in recovery:
                continue
            if recovery[gpu]:
                if not (self._filter.off or gpu in self._out):
                    yield self._went(gpu, f"the driver asks for recovery: {recovery[gpu]}", now)
            elif (out := self._out.get(gpu)) and now - out.last_sign >= self._quiet:
                del self._out[gpu]
                yield Change(gpu, True, f"well again after: {out.reason}", now - out.since)

    def _count(self, gpus: Iterable[str], xid: int) -> None:
        for gpu in gpus if xid else ():
            self._xids[gpu][xid] += 1
            self._last[gpu] = xid

    def _mark(self, gpu: str, reason: str, now: float) -> Change | None:
        if out := self._out.get(gpu):
            self._out[gpu] = Outage(reason, out.since, max(now, out.last_sign))
            return None
        return self._went(gpu, reason, now)

    def _went(self, gpu: str, reason: str, now: float) -> Change:
        self._out[gpu] = Outage(reason, now, now)
        return Change(gpu, False, reason)


def describe(event: HealthEvent) -> str:
    """An event in words."""
    if not event.xid:
        return event.detail or "the driver reports an error"
    name = _NAMES.get(event.xid)
    return f"Xid {event.xid}: {name}" if name else event.detail or f"Xid {event.xid}"
