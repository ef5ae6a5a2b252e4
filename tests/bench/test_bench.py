"""The benchmark works: its figures are for people to look at, and are not judged here."""

from __future__ import annotations

import json

import pytest

from pbs_filter.model import Reason

from . import __main__, inputs, stages
from .measure import ROOT
from .rows import Row


def test_the_short_form_measures_every_row_and_writes_them(tmp_path, capsys):
    path = tmp_path / "results.json"
    assert 0 == __main__.main(["--short", f"--json={path}", "--peer=cat", f"--old={ROOT}"])
    result = json.loads(path.read_text())
    found = {row["what"] for row in result["rows"]}
    for what in (
        "mixed log, journal and map",
        "mixed log of 20,000 lines: this / 1.41 live",
        "confirmed over pipes, a login, store on a tmpfs: this / old",
        "start of --list",
        "mixed log: this / the peer",
        "logins only, new addresses, durable",
        "--reprocess: this / 1.41",
        "all servers: CPU time / one server",
        "a login to the ledger, new address",
        "memory, 2,000 addresses",
        "start with 2,000 addresses",
    ):
        assert what in found
    assert len(result["rows"]) == len(found) == len(capsys.readouterr().out.splitlines())
    assert {"date", "commit", "machine_was_idle"} <= set(result)


def test_a_directory_without_the_program_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--short", f"--compiled={tmp_path}"])
    assert "has no pbs_filter in it" in capsys.readouterr().err


def test_every_run_reads_the_same_bytes():
    assert inputs.text(inputs.mixed(100, 30, 10**9)) == inputs.text(inputs.mixed(100, 30, 10**9))


def test_each_shape_of_the_log_has_the_same_logins():
    for shape in inputs.SHAPES.values():
        made = stages.new_filter()
        made.block(inputs.text(inputs.mixed(1000, 30, stages.NOW), shape), stages.NOW)
        assert {"dovecot": 100} == made.counts.logins
        assert {Reason.OTHER_PROGRAM: 900} == made.counts.by_reason()


def test_every_login_of_the_other_logs_counts():
    made = stages.new_filter()
    made.block(inputs.text(inputs.logins(50, stages.NOW, inputs.courier)), stages.NOW)
    made.block(inputs.text(inputs.sessions(200, 10, stages.NOW)), stages.NOW)
    assert {"courier": 50, "dovecot": 100} == made.counts.logins
    assert 100 == made.counts.logouts


def test_a_row_says_whether_its_target_is_met():
    assert Row("", 1, "", 0).met is None
    assert Row("", 2, "", 1, at_least=True).met
    assert not Row("", 2, "", 1).met
