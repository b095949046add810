"""Makes what is made from the catalogue: `python -m rota.figures.build [FOLDER]`.

The reference of metrics, the Grafana dashboard, the Prometheus rules, and the objects that bring
them into a cluster. The files are kept in the repository; a test says when they are out of step.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from rota.figures import dcgm
from rota.figures.alerts import ALERTS, groups
from rota.figures.catalogue import (
    CLIENT,
    CLIENT_LABELS,
    GPU,
    GPU_LABELS,
    OWN,
    SCRAPE,
    SCRAPE_MEANING,
    Metric,
)
from rota.figures.dashboard import dashboard
from rota.generated import write

HEAD = "# Made by `python -m rota.figures.build`: change src/rota/figures, not this file.\n"

NAMES = {"app.kubernetes.io/name": "rota"}


def files() -> dict[str, str]:
    """Path in the repository → text, of everything that is made."""
    drawn = json.dumps(dashboard(), indent=2) + "\n"
    return {
        "docs/reference/metrics.md": reference(),
        "deploy/monitoring/dashboard.json": drawn,
        "deploy/monitoring/dashboard-configmap.yaml": HEAD + _yaml(_config_map(drawn)),
        "deploy/monitoring/rules.yaml": HEAD + _yaml(groups()),
        "deploy/monitoring/prometheusrule.yaml": HEAD + _yaml(_object("PrometheusRule", groups())),
        "deploy/monitoring/servicemonitor.yaml": HEAD + _yaml(_monitor()),
        "deploy/monitoring/kustomization.yaml": HEAD + _yaml(_component()),
    }


def reference() -> str:
    """The reference page of all metrics."""
    parts = [
        "# Metrics\n",
        "Made from the catalogue: `python -m rota.figures.build`.\n",
        "`rota agent --listen` serves them on `/metrics` in Prometheus's text format. Times are seconds, sizes",
        "bytes, parts 0 to 1. A figure that the driver does not tell has no series. The series of a client that",
        "ended are told once more, at their last value, and are gone from the next scrape on.\n",
        _section("Of each client on each GPU", CLIENT_LABELS, CLIENT),
        "`client` is `<namespace>/<pod>/<container>`, `job/<name>` for a local job, and `unmanaged/<gpu>` for all processes",
        "of a GPU that hold no replica of it, taken as one.\n",
        "**GPU seconds and turn seconds.** GPU seconds are the time in which a client's kernels ran: the driver's account of those",
        "that took turns, divided by their turns. They add up to the time in which the GPU was busy. Turn seconds are the time in its own turns: more by",
        "the gaps between its kernels and by the milliseconds until it is seen idle. NVML accounts five times a second, so on a",
        "real GPU up to the last 0.2 s of a process that ends are missing; the emulated GPU knows to the slice.\n",
        _section("Of each GPU", GPU_LABELS, GPU),
        _section("Of Rota itself, once a node", (), OWN),
        _table([(f"`{SCRAPE}`", "gauge", SCRAPE_MEANING)], ("metric", "kind", "meaning")),
        "",
        _dcgm(),
        _alerts(),
    ]
    return "\n".join(parts)


def _section(title: str, labels: Sequence[str], metrics: Iterable[Metric[Any]]) -> str:
    rows = [(f"`{m.name}`{_extra(m)}", str(m.kind), m.meaning) for m in metrics]
    with_labels = "Labels: " + ", ".join(f"`{label}`" for label in labels) + ".\n" if labels else ""
    return f"## {title}\n\n{with_labels}\n{_table(rows, ('metric', 'kind', 'meaning'))}\n"


def _extra(metric: Metric[Any]) -> str:
    return f" {{`{metric.extra}`}}" if metric.extra else ""


def _dcgm() -> str:
    rows = [
        (f"`{name.name}`", name.meaning, "devices, pods" if name.client else "devices")
        for name in dcgm.NAMES
    ]
    return (
        "## With `--dcgm-names`\n\n"
        "dcgm-exporter's names and labels, for dashboards made for it: "
        + ", ".join(f"`{label}`" for label in (*dcgm.LABELS, *dcgm.POD_LABELS))
        + ".\nThe value of a device has no pod: on a shared GPU it belongs to no single one.\n\n"
        + _table(rows, ("metric", "meaning", "told of"))
        + "\n"
    )


def _alerts() -> str:
    rows = [
        (f"`{alert.name}`", f"`{alert.expression.replace('|', chr(92) + '|')}`", alert.after, alert.severity)
        for alert in ALERTS
    ]  # fmt: skip
    return "## Alerts\n\n" + _table(rows, ("alert", "when", "for", "severity")) + "\n"


def _table(rows: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _config_map(text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "rota-dashboard", "labels": {**NAMES, "grafana_dashboard": "1"}},
        "data": {"rota.json": LiteralScalarString(text)},
    }


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": {"name": "rota", "labels": dict(NAMES)},
        "spec": spec,
    }


def _monitor() -> dict[str, Any]:
    """Rota's own namespace, pod and container are those of the client: they must not be renamed."""
    return _object(
        "ServiceMonitor",
        {
            "selector": {"matchLabels": dict(NAMES)},
            "endpoints": [{"port": "metrics", "interval": "15s", "honorLabels": True}],
        },
    )


def _component() -> dict[str, Any]:
    """For an overlay: `components: [../../monitoring]`."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["dashboard-configmap.yaml", "prometheusrule.yaml", "servicemonitor.yaml"],
    }


def _yaml(*objects: dict[str, Any]) -> str:
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump_all(objects, stream)
    return stream.getvalue()


if __name__ == "__main__":
    write(files())
