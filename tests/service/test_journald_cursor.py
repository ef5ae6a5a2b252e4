"""The cursor keeps the last acknowledged entry of systemd's journal."""

from __future__ import annotations

import json

import pytest

from pbs_filter.log import Log
from pbs_filter.service.journald_cursor import Cursor

from ..running import Running, wait_for


def entry(number: int, message: str = "x", **more: str) -> bytes:
    values = {
        "__CURSOR": f"s=1;i={number:x};b=2",
        "__REALTIME_TIMESTAMP": "1795162273600000",
        "_UID": "0",
        "SYSLOG_IDENTIFIER": "sshd",
        "MESSAGE": message,
        **more,
    }
    return json.dumps(values).encode() + b"\n"


@pytest.fixture
def log(tmp_path):
    return Log(str(tmp_path / "log"))


def test_the_newest_cursor_is_written(tmp_path, log):
    cursor = Cursor(str(tmp_path / "cursor"), log)
    cursor.taken(entry(1) + entry(2))
    cursor.taken(entry(3) + entry(4))
    cursor.save()
    assert "s=1;i=4;b=2\n" == (tmp_path / "cursor").read_text()


def test_text_of_a_message_is_no_cursor(tmp_path, log):
    cursor = Cursor(str(tmp_path / "cursor"), log)
    cursor.taken(entry(1, '{"__CURSOR":"s=9"}', MORE='"__CURSOR" : "s=9;x'))
    cursor.save()
    assert "s=1;i=1;b=2\n" == (tmp_path / "cursor").read_text()


@pytest.mark.parametrize("block", [b"", b"{}\n", b'{"__CURSOR":5}\n', b'"__CURSOR":"\xff"', b"x\n"])
def test_without_a_cursor_nothing_is_written(tmp_path, log, block):
    cursor = Cursor(str(tmp_path / "cursor"), log)
    cursor.taken(block)
    cursor.save()
    assert not (tmp_path / "cursor").exists()


def test_trouble_is_said_once_and_it_is_tried_again(tmp_path, log):
    directory = tmp_path / "missing"
    cursor = Cursor(str(directory / "cursor"), log)
    for number in (1, 2):
        cursor.taken(entry(number))
        cursor.save()
    assert 1 == (tmp_path / "log").read_text().count("cannot write")
    directory.mkdir()
    cursor.save()
    assert "s=1;i=2;b=2\n" == (directory / "cursor").read_text()
    assert "can be written again" in (tmp_path / "log").read_text()


def test_the_filter_keeps_it_while_it_runs_and_at_its_end(tmp_path):
    tmp_path.chmod(0o750)
    path = tmp_path / "cursor"
    with Running(tmp_path, f"--journal-cursor={path}", confirm="no") as pipeline:
        pipeline.send(entry(1))
        wait_for(path.exists, "the cursor")
        assert "s=1;i=1;b=2\n" == path.read_text()
        pipeline.send(entry(2))
        assert 0 == pipeline.end()
    assert "s=1;i=2;b=2\n" == path.read_text()
