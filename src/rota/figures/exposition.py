"""A snapshot in Prometheus's text format, by the catalogue.

Written here and not by prometheus-client, which takes five times as long: it puts each label of each
line together anew, and a full node has ten thousand lines. Here the labels of a client are put
together once. The tests read the text with prometheus-client's parser and with promtool.

Clients that have gone are told once more, at rest, so that their counters end at their last value;
the next scrape does not have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def _family(metric: Metric[T], things: Sequence[tuple[str, T]]) -> list[str]:
    """All lines of one metric. A full node has thousands, so the common kinds come first."""
    name, value_of = metric.name, metric.value
    lines = list(_head(name, metric.kind, metric.meaning))
    for labels, thing in things:
        value = value_of(thing)
        if isinstance(value, float | int):
            lines.append(f"{name}{_braced(labels)} {_number(value)}")
        elif isinstance(value, Histogram):
            lines += _histogram(name, labels, value)
        elif value is not None:
            lines += _by_label(name, labels, metric.extra, value)
    return lines


def _by_label(
    name: str, labels: str, extra: str, values: Mapping[str, float | Times]
) -> Iterator[str]:
    for key, each in values.items():
        more = _with(labels, extra, key)
        if isinstance(each, Times):
            yield f"{name}_count{{{more}}} {each.count}"
            yield f"{name}_sum{{{more}}} {each.seconds!r}"
        else:
            yield f"{name}{{{more}}} {_number(each)}"


def _histogram(name: str, labels: str, value: Histogram) -> list[str]:
    counts = list(accumulate(value.counts))
    start = f"{name}_bucket{{{labels},le="
    lines = [
        f'{start}"{bound!r}"}} {count}'
        for bound, count in zip(value.bounds, counts, strict=False)
    ]  # fmt: skip
    lines.append(f'{start}"+Inf"}} {counts[-1]}')
    lines.append(f"{name}_count{{{labels}}} {counts[-1]}")
    lines.append(f"{name}_sum{{{labels}}} {value.seconds!r}")
    return lines


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _with(labels: str, name: str, value: str) -> str:
    own = label_text((name,), (value,))
    return f"{labels},{own}" if labels else own


def _number(value: float | int) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)
