"""Prometheus rules: what somebody must be woken for, or should look at. Built from the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rota.figures.query import checked


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule.

    Attributes:
        name: of the alert.
        expression: in PromQL; every metric in it is in the catalogue.
        after: for how long it must hold.
        severity: `critical` for what stops work, `warning` for what spoils it, `info` for the rest.
        summary: one line, with labels.
        description: what it means, and what to do.
    """

    name: str
    expression: str
    after: str
    severity: str
    summary: str
    description: str


CLIENT = "{{ $labels.client }} on GPU {{ $labels.gpu }}"
GPU = "GPU {{ $labels.gpu }} ({{ $labels.gpu_uuid }})"

ALERTS = (
    Alert("RotaClientStarved", "rota_waiting_seconds > 10", "30s", "warning",
          f"{CLIENT} has been waiting for {{{{ $value | humanizeDuration }}}}",
          "Turns of a quantum come round to everybody within seconds. Somebody's gates do not close, "
          "or a drain never ends: see `rota turns` and `rota top` on that node."),
    Alert("RotaClientOverLimit", "rota_memory_used_bytes > rota_memory_limit_bytes", "1m", "warning",
          f"{CLIENT} uses more memory than its limit",
          "It holds {{ $value | humanize1024 }}B. Others find less than they were promised. Where limits are "
          "only watched (enforce: report) nothing stops it."),
    Alert("RotaGateFailures", "increase(rota_gate_failures_total[10m]) > 3", "0s", "warning",
          f"the gates of {CLIENT} fail",
          "They would not close or open {{ $value | humanize }} times in ten minutes. After three times in a row the "
          "client runs ungated."),
    Alert("RotaClientUngated",
          'rota_client_ungated{client!~"unmanaged/.*"} == 1 and on (instance, gpu_uuid) rota_gpu_turns_on == 1',
          "5m", "warning",
          f"{CLIENT} runs whoever's turn it is",
          "Its gates stay open, so others share their turns with it. `rota top` says why."),
    Alert("RotaGatekeeperDown", "rota_gatekeeper_up == 0", "1m", "critical",
          "no gatekeeper answers on {{ $labels.instance }}",
          "No turns are run there: every program uses the GPU at once, as without Rota."),
    Alert("RotaGatekeeperRestarts", "increase(rota_gatekeeper_starts_total[15m]) > 2", "0s", "warning",
          "the gatekeeper of {{ $labels.instance }} starts again and again",
          "Each time all gates are opened for a moment. Its log says why it ended."),
    Alert("RotaGpuUnhealthy", "rota_gpu_healthy == 0", "1m", "critical",
          f"{GPU} is not well",
          "Its replicas are not given out. The agent's log names the Xid; most want a reset of the GPU."),
    Alert("RotaTurnsOff", "rota_gpu_turns_off_info == 1", "10m", "info",
          f"no turns on {GPU}: {{{{ $labels.why }}}}",
          "Its clients share it by the driver's own slicing."),
    Alert("RotaConfigRefused", "rota_config_in_error == 1", "10m", "warning",
          "the config on {{ $labels.instance }} is refused",
          "The last good one is served. `rota check` explains the mistake."),
    Alert("RotaAgentDown", 'up{job="rota"} == 0', "5m", "critical",
          "the agent on {{ $labels.instance }} does not answer",
          "Pods run on; newcomers get no GPU there."),
)  # fmt: skip


def groups() -> dict[str, Any]:
    """A rules file."""
    return {"groups": [{"name": "rota", "rules": [_rule(alert) for alert in ALERTS]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": checked(alert.expression)}
    if alert.after != "0s":
        rule["for"] = alert.after
    return rule | {
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.description},
    }
