"""--report from a running filter, from its usage file, and from the journal alone."""

from __future__ import annotations

import json
import os
import stat
import time
from datetime import datetime

import pytest

from pbs_filter.commands import report
from pbs_filter.config.load import build
from pbs_filter.config.options import Config
from pbs_filter.errors import StoreBusy
from pbs_filter.report.summary import JournalLogins
from pbs_filter.service import control

from ..lookup.test_programs import run as lookup
from ..running import Running, login, run, wait_for


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def config_of(place) -> Config:
    return build({}, {"map": f"{place}/map"})


def test_a_running_filter_its_file_and_a_journal_alone_give_the_same(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.ask(login("192.0.2.8", user="alice"))
        pipeline.ask("Nov 20 10:00:00 mx1 popa3d[9]: brand new words\n")
        wait_for(lambda: len(pipeline.addresses()) == 2)
        assert 0 == lookup("check", "--mta=exim", f"--map={place}/map", "192.0.2.7").returncode

        def used() -> dict:
            told = json.loads(pipeline.mode("--report", "--json").stdout)
            return {device["address"]: device["last_used"] for device in told["devices"]}

        at = wait_for(lambda: used()["192.0.2.7"])
        assert {"192.0.2.7": at, "192.0.2.8": None} == used()
        assert abs(at - datetime.now().timestamp()) < 1000
        page = place / "report.html"
        done = pipeline.mode("--report", f"--html={page}")
        assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
        assert 0o600 == stat.S_IMODE(page.stat().st_mode)
        assert "<bdi>alice</bdi>" in page.read_text("utf-8")
        text = pipeline.mode("--report").stdout
        assert 0 == pipeline.end()
    options = (f"--dbfile={place}/map", "--config=/dev/null", "--report")
    assert text == run(*options).stdout
    os.unlink(f"{place}/map.usage")
    said = run(*options).stdout.decode()
    assert "2 devices of 2 users logged in from 2 addresses." in said
    assert "Nothing has been counted yet" in said


def test_a_login_of_the_doctor_is_in_no_report(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.ask(login("192.0.2.8", user="alice"))
        path = f"{place}/map.control"
        tried = {"do": "tried", "address": "192.0.2.7"}
        assert {"changed": True} == control.ask(path, tried)
        assert control.ask(path, {"do": "forget", "address": "192.0.2.7"})["changed"]
        summary = report.summary_of(config_of(place), int(time.time()))
        assert ["alice"] == [device.login.user for device in summary.devices]
        assert 0 == pipeline.end()
    summary = report.summary_of(config_of(place), int(time.time()))
    assert ["alice"] == [device.login.user for device in summary.devices]


def test_where_there_never_was_a_filter_nobody_has_logged_in(place):
    done = run(f"--dbfile={place}/map", "--config=/dev/null", "--report")
    assert 0 == done.returncode
    assert done.stdout.decode().startswith("Nobody has logged in.\n")


def test_what_cannot_be_read_or_written_is_said(place):
    config = config_of(place)
    (place / "map.usage").write_text("x")
    with pytest.raises(StoreBusy, match=r"map\.usage' has counted: it is not as pbs-filter"):
        report.summary_of(config, 1000)
    (place / "map.usage").unlink()
    (place / "map.usage").symlink_to("elsewhere")
    with pytest.raises(StoreBusy, match=r"cannot read '.*map\.usage'"):
        report.summary_of(config, 1000)
    done = run(f"--dbfile={place}/none", "--config=/dev/null", "--report", "--html=/nonexistent/x")
    assert 2 == done.returncode
    assert b"--html: cannot write '/nonexistent/x': No such file" in done.stderr
    assert 2 == run("--list", "--html=x").returncode


def test_an_older_filter_cannot_tell(place, monkeypatch):
    monkeypatch.setattr(control, "ask", lambda *_: {"error": "unknown request 'report'"})
    with pytest.raises(StoreBusy, match="of an older version: restart the syslog daemon"):
        report.summary_of(config_of(place), 1000)


def test_a_journal_that_is_renamed_while_it_is_read_is_read_again(place, monkeypatch):
    asked = []
    monkeypatch.setattr(report, "_inode", lambda _: asked.append(1) or len(asked))
    assert [] == list(report._journal(f"{place}/map.journal", lambda: JournalLogins(0)).logins)
    assert 2 * report.ATTEMPTS == len(asked)
