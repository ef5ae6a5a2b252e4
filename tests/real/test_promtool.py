"""Prometheus' own promtool takes the metrics, the alerting rules and the dashboard's queries."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from pbs_filter.metrics import text

from ..test_metrics import GRAFANA, NAMES, queries
from ..test_status import NOW, values
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
