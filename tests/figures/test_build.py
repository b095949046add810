"""What is made from the catalogue is in step with it, and Prometheus takes it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rota.figures.alerts import ALERTS
from rota.figures.build import files
from rota.figures.catalogue import every, names
from rota.figures.dashboard import dashboard
from rota.figures.query import UnknownMetric, checked

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (apt: prometheus)"
)


def promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(files()))
def test_every_made_file_is_in_step(name: str) -> None:
    made = files()[name]
    assert (ROOT / name).read_text() == made, "make it anew: python -m rota.figures.build"


def test_names_are_as_prometheus_wants_them() -> None:
    for metric in every():
        assert re.fullmatch(r"rota_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.meaning.endswith(".")
    assert len({metric.name for metric in every()}) == len(every())


def test_a_query_with_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UnknownMetric, match="rota_weather"):
        checked("rate(rota_weather[5m]) + rota_gpu_healthy")


def queries() -> list[str]:
    return [
        target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]  # fmt: skip


def test_every_panel_has_a_query_and_a_place_of_its_own() -> None:
    panels: list[dict[str, Any]] = dashboard()["panels"]
    assert len(queries()) == len([panel for panel in panels if panel["type"] != "row"]) > 15
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


def test_what_only_rota_knows_is_on_the_dashboard_or_in_an_alert() -> None:
    text = json.dumps(queries()) + json.dumps([alert.expression for alert in ALERTS])
    for name in ("gpu_seconds_total", "wait_seconds_total", "turns_total", "turn_wait_seconds"):
        assert f"rota_{name}" in text
    assert set(re.findall(r"rota_[a-z_]+", text)) <= names()


@needs_promtool
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "1m", "$instance": ".*", "$gpu": ".*", "$namespace": ".*"}
    rules = []
    for number, query in enumerate(queries()):
        for name, value in variables.items():
            query = query.replace(name, value)
        rules.append({"record": f"panel:{number}", "expr": query})
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


@needs_promtool
def test_each_alert_fires_for_what_it_is_for_and_for_nothing_else() -> None:
    cases = Path(__file__).with_name("rules.test.yaml")
    promtool("test", "rules", str(cases))
    text = cases.read_text()
    assert all(f"alertname: {alert.name}" in text for alert in ALERTS)
