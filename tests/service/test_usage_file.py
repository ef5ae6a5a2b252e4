"""The usage file for --report survives restarts, and its errors stop nothing."""

from __future__ import annotations

import os
import stat
import tracemalloc

import pytest

from pbs_filter import files
from pbs_filter.errors import StoreBusy
from pbs_filter.log import Log
from pbs_filter.monitor.usage import Totals
from pbs_filter.service import usage_file
from pbs_filter.service.usage_file import SAVE_SECONDS, UsageFile, read

from ..lookup.test_programs import run as lookup
from ..running import Running, login, wait_for

NOW = 1_800_000_000
NOTHING = Totals({}, {}, 0)


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o750)
    return tmp_path


def opened(place) -> UsageFile:
    return UsageFile(f"{place}/map.usage", "", 30, NOW, Log(f"{place}/log"))


def used(file: UsageFile, address: str) -> None:
    file.usage.take(NOW, "2027-01-15", {}, {address: NOW}, NOTHING)


def test_it_is_written_once_in_minutes_and_at_the_end(place):
    file = opened(place)
    used(file, "192.0.2.7")
    file.save(1000)
    wait_for(lambda: os.path.exists(f"{place}/map.usage"))
    assert 0o640 == stat.S_IMODE(os.stat(f"{place}/map.usage").st_mode)
    used(file, "192.0.2.8")
    file.save(1000 + SAVE_SECONDS - 1)
    assert {"192.0.2.7"} == set(read(f"{place}/map.usage", 30).used)
    file.save(1000 + SAVE_SECONDS - 1, last=True)
    assert {"192.0.2.7", "192.0.2.8"} == set(opened(place).usage.used)
    os.unlink(f"{place}/map.usage")
    file.save(9999, last=True)
    assert not os.path.exists(f"{place}/map.usage"), "nothing has changed"


def test_without_a_path_nothing_is_read_or_written(place):
    file = UsageFile("", "", 30, NOW, Log(f"{place}/log"))
    used(file, "192.0.2.7")
    file.save(0, last=True)
    assert ["log"] == os.listdir(place)


def test_a_file_that_is_not_one_is_told_and_begun_anew(place):
    for content in (b"", b"{", b"[" * 100_000, b'{"format":1}', b"\xff"):
        (place / "map.usage").write_bytes(content)
        assert {} == opened(place).usage.used
        assert f"'{place}/map.usage' is begun anew" in (place / "log").read_text()
        (place / "log").unlink()
    (place / "map.usage").unlink()
    (place / "map.usage").symlink_to("/etc/passwd")
    assert {} == opened(place).usage.used
    assert "begun anew" in (place / "log").read_text()


def test_a_file_that_cannot_be_written_is_told_and_tried_again(place, monkeypatch):
    file = opened(place)
    used(file, "192.0.2.7")

    def full(_fd: int, _data: bytes, _offset: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        file.save(0)
        file.save(0, last=True)
    with monkeypatch.context() as patch:
        patch.setattr(files, "create", lambda *_: full(0, b"", 0))
        file.save(0, last=True)
    assert "cannot write" in (place / "log").read_text()
    file.save(0, last=True)
    assert "can be written again" in (place / "log").read_text()
    assert {"192.0.2.7"} == set(opened(place).usage.used)


def test_an_erasure_that_cannot_be_written_is_none(place, monkeypatch):
    file = opened(place)
    used(file, "192.0.2.7")
    file.save(0, last=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(StoreBusy, match=r"map\.usage': the log has the cause"):
            file.erase({"address": "192.0.2.7"}, NOW)
    file.erase({"address": "192.0.2.7", "user": ""}, NOW)
    assert {} == opened(place).usage.used


def test_a_save_that_takes_long_keeps_nobody_waiting(place, monkeypatch):
    file = opened(place)
    used(file, "192.0.2.7")
    read_end, write_end = os.pipe()
    sync = os.fsync
    monkeypatch.setattr(usage_file.os, "fsync", lambda fd: (os.read(read_end, 1), sync(fd)))
    file.save(0)
    used(file, "192.0.2.8")
    file.save(SAVE_SECONDS)
    assert not os.path.exists(f"{place}/map.usage")
    os.write(write_end, b"xx")
    file.save(SAVE_SECONDS, last=True)
    assert {"192.0.2.7", "192.0.2.8"} == set(read(f"{place}/map.usage", 30).used)
    os.close(read_end)
    os.close(write_end)


def test_the_last_use_outlives_the_authorisation_and_the_filter(place):
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        wait_for(pipeline.addresses)
        assert 0 == lookup("check", f"--map={place}/map", "192.0.2.7").returncode
        pipeline.mode("--forget", "192.0.2.7")
        wait_for(lambda: not pipeline.addresses(), "its end")
        assert 0 == pipeline.end()
    kept = read(f"{place}/map.usage", 30)
    at = kept.used["192.0.2.7"]
    assert [("192.0.2.7", "bob", "dovecot", "imap")] == list(kept.devices)
    assert kept.since <= at
    with Running(place) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.8", user="alice"))
        wait_for(pipeline.addresses)
        assert 0 == pipeline.end()
    kept = read(f"{place}/map.usage", 30)
    assert {"192.0.2.7": at} == kept.used
    assert {"bob", "alice"} == {device.user for device in kept.devices}
    assert 2 == sum(day.logins for day in kept.days.values())
    assert 1 == sum(day.answers.get("yes", 0) for day in kept.days.values())
    assert 1 == max(day.most for day in kept.days.values())


def test_with_nowrite_there_is_no_file(place):
    with Running(place, "--nowrite") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        assert 0 == pipeline.end()
    assert not os.path.exists(f"{place}/map.usage")


def test_no_more_memory_is_claimed_than_the_file_is_long(place):
    """A small machine's filter could not start."""
    file = opened(place)
    used(file, "192.0.2.7")
    file.save(0, last=True)
    tracemalloc.start()
    try:
        assert read(f"{place}/map.usage", 30) is not None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
