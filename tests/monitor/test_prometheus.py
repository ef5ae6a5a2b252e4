"""The metrics: Prometheus' format, names that are documented, a file that is whole."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from pbs_filter.errors import ConfigError
from pbs_filter.log import Log
from pbs_filter.model import Reason
from pbs_filter.monitor.prometheus import ASKED, METRICS, text
from pbs_filter.monitor.warnings import KINDS
from pbs_filter.servers import SERVERS
from pbs_filter.service.metrics_file import INTERVAL_SECONDS, MetricsFile

from ..pipelines import NOW, feed, new, values
from ..running import Running, login, wait_for

NAMES = [server.name for server in SERVERS]
GRAFANA = Path(__file__).parent.parent.parent / "examples" / "grafana"

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"([a-z_]+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+)")


def parsed(page: str) -> dict[str, dict[str, int]]:
    """Metric to (label value to number); fails where the text is not strictly in the format."""
    assert page.endswith("\n")
    found: dict[str, dict[str, int]] = {}
    kinds: dict[str, str] = {}
    helped = []
    for row in page.splitlines():
        if row.startswith("# HELP "):
            name, about = row.removeprefix("# HELP ").split(" ", 1)
            assert about.endswith(".")
            assert "\\" not in about
            helped.append(name)
        elif row.startswith("# TYPE "):
            name, kind = row.removeprefix("# TYPE ").split(" ")
            assert name == helped[-1], "help, type, samples: in this order"
            assert name not in kinds, "all series of a metric stand together"
            kinds[name] = kind
        else:
            sample = SAMPLE.fullmatch(row)
            assert sample, row
            name, labels, number = sample.groups()
            assert name == list(kinds)[-1]
            of_name = found.setdefault(name, {})
            pairs = re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or "")
            value = " ".join(text for _, text in pairs)
            assert value not in of_name, "each series once"
            of_name[value] = int(number)
            metric = next(m for m in METRICS if m.name == name)
            assert metric.label.split() == [label for label, _ in pairs]
    assert list(kinds) == list(found)
    return found


def test_every_metric_is_there_and_every_series_from_the_start():
    found = parsed(text(values(last_input=NOW), NAMES))
    absent = {"pbs_filter_lag_seconds"}
    assert {metric.name for metric in METRICS} - absent == set(found)
    assert dict.fromkeys(NAMES, 0) == found["pbs_filter_logins_total"]
    assert {reason.name.lower() for reason in Reason} == set(
        found["pbs_filter_lines_without_effect_total"]
    )
    assert dict.fromkeys(KINDS, 0) == found["pbs_filter_warnings"]
    assert {"journal": 0, "map": 0} == found["pbs_filter_store_trouble"]


def test_what_happened_is_counted():
    lines = [login("192.0.2.7", session="x").rstrip("\n"), login("127.0.0.1").rstrip("\n")]
    made = feed(new(local_networks=["127.0.0.0/8"]), *lines)
    made.counts.forged[12345, "pop3d"] = 1
    found = parsed(text(values(made, troubles={"map": "locked"}), NAMES))
    assert (2, 1, 1, 4096) == tuple(
        found[f"pbs_filter_{name}"][""]
        for name in ("lines_total", "authorised_addresses", "open_sessions", "journal_bytes")
    )
    assert 1 == found["pbs_filter_logins_total"]["dovecot"]
    assert 1 == found["pbs_filter_lines_without_effect_total"]["local_network"]
    assert 1 == found["pbs_filter_warnings"]["forged"]
    assert {"journal": 0, "map": 1} == found["pbs_filter_store_trouble"]
    assert NOW == found["pbs_filter_written_timestamp_seconds"][""]


def test_lookups_are_told_by_mta_and_protocol_and_those_known_beforehand_are_there_at_0():
    lookups = {
        "exim": {"socketmap": {"yes": 3, "no": 2, "not_now": 1}},
        "sendmail": {"policy": {"yes": 1}},
    }
    found = parsed(text(values(lookups=lookups), NAMES))["pbs_filter_lookups_total"]
    assert {
        "yes exim socketmap": 3,
        "no exim socketmap": 2,
        "not_now exim socketmap": 1,
        "yes sendmail policy": 1,
    } == {name: number for name, number in found.items() if number}
    assert found.keys() > {f"no {mta} {protocol}" for mta, protocol in ASKED}


@pytest.mark.parametrize(("expected", "why"), [(1, "cannot be reached"), (0, "")])
def test_a_redis_that_is_away_is_trouble_with_the_map_and_one_that_lags_is_not(expected, why):
    behind = {"waiting": 5, "away_since": NOW if why else None, "trouble": why}
    found = parsed(text(values(behind=behind), NAMES))
    assert {"journal": 0, "map": expected} == found["pbs_filter_store_trouble"]


def test_what_is_not_known_is_left_out():
    found = parsed(text(values(last_input=0, journal=None), NAMES))
    for name in ("last_line_timestamp_seconds", "lag_seconds", "journal_bytes"):
        assert f"pbs_filter_{name}" not in found


def test_a_sites_own_server_may_have_any_name():
    page = text(values(), ['a"b\\c\nd'])
    assert 'pbs_filter_logins_total{server="a\\"b\\\\c\\nd"} 0\n' in page
    assert parsed(page)


def test_names_follow_the_conventions():
    for metric in METRICS:
        assert re.fullmatch("pbs_filter_[a-z]+(?:_[a-z]+)*", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.about.endswith(".")


# ---------------------------------------------------------------------- the file


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def test_the_file_is_whole_readable_for_all_and_not_written_too_often(place):
    path = place / "pbs.prom"
    said = MetricsFile(str(path), NAMES, Log(str(place / "log")))
    before = os.umask(0o077)
    try:
        said.run(values, 1000)
    finally:
        os.umask(before)
    assert parsed(path.read_text())
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert {path, place / "log"} == set(place.iterdir())
    path.unlink()
    said.run(values, 1000 + INTERVAL_SECONDS - 1)
    assert not path.exists()
    said.run(values, 1000 + INTERVAL_SECONDS)
    assert path.exists()


def test_without_the_option_nothing_is_asked_or_written(place):
    def never():
        raise AssertionError("asked")

    MetricsFile("", NAMES, Log(str(place / "log"))).run(never, 1000)


def test_a_file_that_cannot_be_written_is_said_once_a_minute_and_again_when_it_can(place):
    path, log = place / "missing" / "pbs.prom", place / "log"
    said = MetricsFile(str(path), NAMES, Log(str(log)))
    for uptime in range(0, 60, INTERVAL_SECONDS):
        said.run(values, uptime)
    (line,) = log.read_text().splitlines()
    assert f"the metrics '{path}' cannot be written: No such file or directory; " in line
    path.parent.mkdir()
    said.run(values, 60)
    assert "can be written again" in log.read_text()


def test_a_draft_that_cannot_be_renamed_does_not_stay(place):
    path, log = place / "pbs.prom", place / "log"
    path.mkdir()
    MetricsFile(str(path), NAMES, Log(str(log))).run(values, 0)
    assert "cannot be written" in log.read_text()
    assert not (place / "pbs.prom.new").exists()


def test_a_name_that_the_collector_would_pass_over_is_refused(place):
    with pytest.raises(ConfigError, match=r"does not end in \.prom"):
        MetricsFile("/tmp/pbs.txt", NAMES, Log(str(place / "log")))


def test_a_running_filter_writes_them(place):
    path = place / "pbs.prom"
    with Running(place, f"--metrics={path}") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        found = parsed(wait_for(lambda: path.exists() and path.read_text()))
    assert set(NAMES) == set(found["pbs_filter_logins_total"])


# ---------------------------------------------------------------------- dashboard and alerts


KNOWN = {metric.name for metric in METRICS}


def asked(query: str) -> set[str]:
    """The metrics of a query: words that no bracket, quote or function makes something else."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|(?:by|without) \([^)]*\)', " ", query)
    return set(re.findall(r"[a-z_][a-z0-9_]*\b(?! *\()", bare))


def queries() -> list[str]:
    """All queries of the dashboard."""
    board = json.loads((GRAFANA / "pbs-filter.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    variables = [v for v in board["templating"]["list"] if v["type"] == "query"]
    return found + [
        re.sub(r"label_values\((\w+), \w+\)", r"\1", v["definition"]) for v in variables
    ]


def alerts() -> list[str]:
    """All expressions of the alerting rules."""
    return re.findall(r"(?m)^ +expr: (.*)$", (GRAFANA / "pbs-filter.rules.yml").read_text())


def test_every_query_and_alert_names_metrics_that_exist():
    assert len(queries()) > 10
    assert len(alerts()) > 3
    for query in queries() + alerts():
        assert asked(query), query
        assert asked(query) <= KNOWN, query


def test_every_metric_has_a_panel():
    assert set().union(*map(asked, queries())) == KNOWN


def test_labels_in_queries_are_the_metrics_own():
    own = {label for metric in METRICS for label in metric.label.split()} | {"instance"}
    for query in queries() + alerts():
        for selector in re.findall(r"\{([^}]*)\}", query):
            assert set(re.findall(r"([a-z]+)[=!]", selector)) <= own
        for names in re.findall(r"by \(([^)]*)\)", query):
            assert set(names.split(", ")) <= own


def test_reasons_and_kinds_in_queries_exist():
    known = {reason.name.lower() for reason in Reason} | set(KINDS)
    for query in queries() + alerts():
        for value in re.findall(r'(?:reason|kind)[=!~]+"([^"]*)"', query):
            assert set(value.split("|")) <= known, query


def test_panels_do_not_lie_on_each_other():
    board = json.loads((GRAFANA / "pbs-filter.json").read_text())
    seen: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & seen
        assert at["x"] + at["w"] <= 24
        seen |= cells
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(set(ids)) == ids
