"""The benchmarks with real daemons work; their figures are for people, and not judged here."""

from __future__ import annotations

import json
import os

import pytest

from . import chain, system_calls, transports

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, to install or unpack"
)


@needs_root
def test_the_short_form_measures_each_daemon_and_writes_it(tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert 0 == transports.main(["--short", f"--json={path}"])
    rows = json.loads(path.read_text())["rows"]
    assert 14 == len(rows)
    assert {"rsyslog confirmed", "rsyslog unconfirmed", "syslog-ng unconfirmed"} <= {
        row["what"].partition(",")[0] for row in rows
    }
    assert 14 == len(capsys.readouterr().out.splitlines())
    assert all(row["value"] > 0 for row in rows)


@needs_root
def test_the_short_form_follows_logins_to_the_lookup(tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert 0 == chain.main(["--short", f"--json={path}"])
    rows = json.loads(path.read_text())["rows"]
    assert 2 == len(rows) == len(capsys.readouterr().out.splitlines())
    assert all(row["value"] > 0 for row in rows)


@needs_root
def test_the_short_form_counts_system_calls(tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert 0 == system_calls.main(["--short", f"--json={path}"])
    rows = json.loads(path.read_text())["rows"]
    assert 2 == len(rows) == len(capsys.readouterr().out.splitlines())
    nothing, login = (row["value"] for row in rows)
    # poll, read and write; where two lines have come at once, one poll does for both.
    assert 2 <= nothing <= login
