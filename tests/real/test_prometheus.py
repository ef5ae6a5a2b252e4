"""Prometheus' own programs: promtool takes the metrics, the alerting rules and the dashboard's
queries, and node_exporter serves what a running filter writes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.request import urlopen

from pbs_filter.monitor.prometheus import METRICS, text

from ..monitor.test_prometheus import GRAFANA, NAMES, queries
from ..pipelines import NOW, values
from ..running import Running, login, wait_for
from .daemons.process import Process, free_port, listening
from .packages import launch, unpack


def promtool(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it, from Debian's package."""
    program = launch(unpack("prometheus"), "usr/bin/promtool")
    return subprocess.run(
        [*program, *map(str, words)], input=stdin, capture_output=True, text=True, check=False
    )


def test_the_metrics_are_in_the_format_and_follow_the_conventions() -> None:
    page = text(values(last_input=NOW), [*NAMES, 'a "strange" name\\'])
    done = promtool("check", "metrics", stdin=page)
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)
    broken = promtool("check", "metrics", stdin=page.replace("_total{", "_total{{"))
    assert 0 != broken.returncode, "promtool does look"


def test_the_alerting_rules_are_rules() -> None:
    done = promtool("check", "rules", GRAFANA / "pbs-filter.rules.yml")
    assert "SUCCESS: 6 rules found" in done.stdout, done.stderr


def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_node_exporter_serves_what_a_running_filter_writes(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o750)
    collected = tmp_path / "collected"
    collected.mkdir()
    port = free_port()
    command = [
        *launch(unpack("prometheus-node-exporter"), "usr/bin/prometheus-node-exporter"),
        f"--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={collected}",
    ]
    exporter = Process(
        "node_exporter", command, output=tmp_path / "said", ready=lambda: listening(port)
    )
    with Running(tmp_path, f"--metrics={collected}/pbs-filter.prom") as pipeline, exporter:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for((collected / "pbs-filter.prom").exists)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            page = answer.read().decode()
    assert "\nnode_textfile_scrape_error 0\n" in page
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.about}\n" in page or metric.name.endswith(
            ("_last_line_timestamp_seconds", "_lag_seconds")
        ), "these are not known before the first line"
