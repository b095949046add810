"""The Grafana dashboard: who has the GPUs, who waits, who uses what. Built from the catalogue.

One row for the node's GPUs, one for their clients, one for Rota itself. The data source is a
variable, so that the same file works with any Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rota.figures.query import checked

WIDTH, HEIGHT = 12, 8
"""Of a panel, in Grafana's grid of 24 columns."""

GPUS = '{instance=~"$instance", gpu=~"$gpu"}'
CLIENTS = '{instance=~"$instance", gpu=~"$gpu", namespace=~"$namespace"}'
NODE = '{instance=~"$instance"}'
WHO = "{{client}} on {{gpu}}"
WHICH = "{{instance}} GPU {{gpu}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        expression: in PromQL.
        legend: of each series.
        unit: Grafana's name of the unit.
        stacked: series are parts of a whole.
        kind: `timeseries`, `stat` or `table`.
    """

    title: str
    expression: str
    legend: str
    unit: str
    stacked: bool = False
    kind: str = "timeseries"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Clients", (
        Panel("GPU time by client", f"rate(rota_gpu_seconds_total{CLIENTS}[$__rate_interval])", WHO, "percentunit", stacked=True),
        Panel("Time spent waiting, by client", f"rate(rota_wait_seconds_total{CLIENTS}[$__rate_interval])", WHO, "percentunit"),
        Panel("Wait before a turn, 95th percentile",
              f"histogram_quantile(0.95, sum by (le, client, gpu) (rate(rota_turn_wait_seconds_bucket{CLIENTS}[$__rate_interval])))", WHO, "s"),
        Panel("Turns by how they ended", f"sum by (end) (rate(rota_turns_total{CLIENTS}[$__rate_interval]))", "{{end}}", "ops", stacked=True),
        Panel("Memory by client", f"rota_memory_used_bytes{CLIENTS}", WHO, "bytes", stacked=True),
        Panel("Memory over limit", f"rota_memory_used_bytes{CLIENTS} / rota_memory_limit_bytes{CLIENTS}", WHO, "percentunit"),
        Panel("Power by client (an estimate: by GPU time)", f"rota_power_estimate_watts{CLIENTS}", WHO, "watt", stacked=True),
        Panel("Ungated clients", f"rota_client_ungated{CLIENTS} == 1", WHO, "none", kind="table"),
    )),
    ("GPUs", (
        Panel("Utilization", f"rota_gpu_utilization_ratio{GPUS}", WHICH, "percentunit"),
        Panel("Busy time", f"rate(rota_gpu_busy_seconds_total{GPUS}[$__rate_interval])", WHICH, "percentunit"),
        Panel("Memory used", f"rota_gpu_memory_used_bytes{GPUS} - rota_gpu_ballast_bytes{GPUS}", WHICH, "bytes"),
        Panel("Ballast", f"rota_gpu_ballast_bytes{GPUS}", WHICH, "bytes"),
        Panel("Temperature", f"rota_gpu_temperature_celsius{GPUS}", WHICH, "celsius"),
        Panel("Power", f"rota_gpu_power_watts{GPUS}", WHICH, "watt"),
        Panel("Clock", f"rota_gpu_sm_clock_hertz{GPUS}", WHICH, "hertz"),
        Panel("Clients that wait", f"rota_gpu_waiting_clients{GPUS}", WHICH, "none"),
        Panel("Xids", f"increase(rota_gpu_xids_total{GPUS}[$__rate_interval])", WHICH + " Xid {{xid}}", "none"),
        Panel("Why there are no turns", f"rota_gpu_turns_off_info{GPUS}", WHICH + ": {{why}}", "none", kind="table"),
    )),
    ("Rota itself", (
        Panel("Processor", f"rate(rota_cpu_seconds_total{NODE}[$__rate_interval])", "{{instance}} {{process}}", "percentunit"),
        Panel("Memory", f"rota_resident_memory_bytes{NODE}", "{{instance}} {{process}}", "bytes"),
        Panel("Closing a client's gates, on average",
              'rate(rota_gate_seconds_sum{op="close", instance=~"$instance"}[$__rate_interval]) / rate(rota_gate_seconds_count{op="close", instance=~"$instance"}[$__rate_interval])', WHO, "s"),
        Panel("Gatekeeper starts", f"increase(rota_gatekeeper_starts_total{NODE}[$__rate_interval])", "{{instance}}", "none"),
    )),
)  # fmt: skip
"""What is on the dashboard, row by row."""


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append(_row(title, top, len(panels)))
        top += 1
        for place, panel in enumerate(row):
            x, y = place % 2 * WIDTH, top + place // 2 * HEIGHT
            panels.append(_panel(panel, x, y, len(panels)))
        top += -(-len(row) // 2) * HEIGHT
    return {
        "uid": "rota",
        "title": "Rota: who has the GPUs",
        "tags": ["gpu", "rota"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _variables() -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    return [
        source,
        _variable("instance", "Node", "label_values(rota_gpu_info, instance)"),
        _variable("gpu", "GPU", 'label_values(rota_gpu_info{instance=~"$instance"}, gpu)'),
        _variable("namespace", "Namespace", 'label_values(rota_share_ratio{instance=~"$instance"}, namespace)'),
    ]  # fmt: skip


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _source(),
        "query": {"query": checked(query), "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _source() -> dict[str, str]:
    return {"type": "prometheus", "uid": "${datasource}"}


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    place = {"h": 1, "w": 2 * WIDTH, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}


def _panel(panel: Panel, x: int, y: int, number: int) -> dict[str, Any]:
    table = panel.kind == "table"
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal"}} if panel.stacked else {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _source(),
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": {} if table else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": "A",
                "datasource": _source(),
                "expr": checked(panel.expression),
                "legendFormat": panel.legend,
                "instant": table,
                "format": "table" if table else "time_series",
            }
        ],
    }
