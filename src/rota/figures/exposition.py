"""A snapshot in Prometheus's text format, by the catalogue.

Written here and not by prometheus-client, which takes five times as long: it puts each label of each
line together anew, and a full node has ten thousand lines. Here the labels of a client are put
together once. The tests read the text with prometheus-client's parser and with promtool.

Clients that have gone are told once more, at rest, so that their counters end at their last value;
the next scrape does not have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

from rota.figures import dcgm
from rota.figures.catalogue import (
    CLIENT,
    CLIENT_LABELS,
    GPU,
    GPU_LABELS,
    OWN,
    SCRAPE,
    SCRAPE_MEANING,
    Kind,
    Metric,
    Value,
)
from rota.figures.model import ClientFigures, Histogram, Snapshot, Times

T = TypeVar("T")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(
    snapshot: Snapshot,
    gone: Sequence[ClientFigures] = (),
    *,
    scrape_seconds: float = 0.0,
    dcgm_names: bool = False,
) -> bytes:
    """The text of one scrape.

    Args:
        snapshot: what is.
        gone: the clients that have gone since the last scrape.
        scrape_seconds: how long the last one took.
        dcgm_names: add dcgm-exporter's names for existing dashboards.
    """
    lines = list(_ours(snapshot, gone))
    if dcgm_names:
        lines += _dcgms(snapshot)
    lines += _head(SCRAPE, Kind.GAUGE, SCRAPE_MEANING)
    lines.append(f"{SCRAPE} {scrape_seconds!r}")
    return ("\n".join(lines) + "\n").encode()


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """Labels as they stand between the braces."""
    return ",".join(
        f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True)
    )


def _ours(snapshot: Snapshot, gone: Sequence[ClientFigures]) -> Iterator[str]:
    index = {gpu.uuid: str(gpu.index) for gpu in snapshot.gpus}
    clients = [
        (label_text(CLIENT_LABELS, _client_labels(one, index.get(one.gpu, ""))), one)
        for one in (*snapshot.clients, *gone)
    ]
    gpus = [(label_text(GPU_LABELS, (str(gpu.index), gpu.uuid)), gpu) for gpu in snapshot.gpus]
    for metric in CLIENT:
        yield from _family(metric, clients)
    for about_gpu in GPU:
        yield from _family(about_gpu, gpus)
    for own in OWN:
        yield from _family(own, [("", snapshot)])


def _client_labels(one: ClientFigures, index: str) -> tuple[str, ...]:
    return one.namespace, one.pod, one.container, one.client, index, one.gpu


def _dcgms(snapshot: Snapshot) -> Iterator[str]:
    for name, meaning, samples in dcgm.families(snapshot):
        yield from _head(name, Kind.GAUGE, meaning)
        for values, value in samples:
            yield f"{name}{{{label_text((*dcgm.LABELS, *dcgm.POD_LABELS), values)}}} {value!r}"


def _head(name: str, kind: Kind, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _family(metric: Metric[T], things: Iterable[tuple[str, T]]) -> Iterator[str]:
    yield from _head(metric.name, metric.kind, metric.meaning)
    for labels, thing in things:
        yield from _lines(metric.name, labels, metric.value(thing), metric.extra)


def _lines(name: str, labels: str, value: Value, extra: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, Histogram):
        yield from _histogram(name, labels, value)
    elif isinstance(value, float | int):
        yield f"{name}{_braced(labels)} {_number(value)}"
    else:
        for key, each in value.items():
            more = _with(labels, extra, key)
            if isinstance(each, Times):
                yield f"{name}_count{{{more}}} {each.count}"
                yield f"{name}_sum{{{more}}} {each.seconds!r}"
            else:
                yield f"{name}{{{more}}} {_number(each)}"


def _histogram(name: str, labels: str, value: Histogram) -> Iterator[str]:
    counts = list(accumulate(value.counts))
    for bound, count in zip(value.bounds, counts, strict=False):
        yield f'{name}_bucket{{{labels},le="{bound!r}"}} {count}'
    yield f'{name}_bucket{{{labels},le="+Inf"}} {counts[-1]}'
    yield f"{name}_count{{{labels}}} {counts[-1]}"
    yield f"{name}_sum{{{labels}}} {value.seconds!r}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _with(labels: str, name: str, value: str) -> str:
    own = label_text((name,), (value,))
    return f"{labels},{own}" if labels else own


def _number(value: float | int) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)
