"""The database of countries: real files, read by the real library; errors are logged."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pbs_filter.errors import ConfigError
from pbs_filter.service.geoip import country_of

from ..running import Running, login, run, wait_for

COUNTRIES = {
    "192.0.2.0/24": {"country": {"iso_code": "DE"}},
    "198.51.100.0/24": {"country": {"iso_code": "FR"}},
    "203.0.113.0/24": {"country": {"iso_code": "US"}},
    "2001:db8::/32": {"country": {"iso_code": "DE"}},
    "100.64.0.0/10": {"country": "CH"},
    "100.0.0.0/16": {"country_code": "AT"},
    "100.1.0.0/16": {"registered_country": {"iso_code": "AT"}},
    "100.2.0.0/16": {"country": {"iso_code": "a\tb"}},
}


def database(path: Path, countries: dict[str, object] | None = None) -> Path:
    """A small one, in MaxMind's format."""
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True)
    for network, record in (countries or COUNTRIES).items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    os.chmod(tmp_path, 0o750)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database(tmp_path_factory.mktemp("geoip") / "Country.mmdb")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "DE"),
        ("2001:db8::7", "DE"),
        ("2001:db8:1::/64", "DE"),
        ("100.64.0.7", "CH"),
        ("100.0.0.7", "AT"),
        ("100.1.0.7", ""),
        ("100.2.0.7", ""),
        ("10.0.0.7", ""),
    ],
)
def test_the_country_of_an_address_in_each_form_of_database(made, address, expected):
    assert expected == country_of(str(made), pytest.fail)(address)


def test_a_look_up_that_fails_is_said_and_gives_no_country(made, tmp_path):
    """The tree is whole, and what it points to is not."""
    data = bytearray(made.read_bytes())
    at = data.index(b"iso_code")
    data[at - 1 : at + 8] = b"\xff" * 9
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(data)
    said: list[str] = []
    look_up = country_of(str(broken), said.append)
    assert "" == look_up("192.0.2.7")
    assert f"{str(broken)!r}: no country for 192.0.2.7" in said[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read"), (b"", "is no MaxMind database"), (b"x" * 9000, "is no MaxMind")],
)
def test_a_database_that_is_missing_or_broken_is_named(place, content, message):
    path = place / "Country.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        country_of(str(path), pytest.fail)
    done = run("--check", "--config=/dev/null", f"--geoip-database={path}")
    assert 78 == done.returncode
    assert message.encode() in done.stderr
    assert str(path).encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_missing_library_is_said_by_check(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(ConfigError, match="python3-maxminddb"):
        country_of(str(made), pytest.fail)


def test_a_stolen_password_from_abroad_lets_nobody_in_and_a_restart_forgets_nothing(place, made):
    path = place / "Country.mmdb"
    shutil.copy(made, path)
    options = (f"--geoip-database={path}", "--geoip-days=30")
    with Running(place, *options) as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.ask(login("203.0.113.66"))
        wait_for(lambda: "new for this user, refused: US" in pipeline.log.read_text())
        assert {"192.0.2.7"} == pipeline.addresses()
        pipeline.kill()
    with Running(place, *options) as pipeline:
        pipeline.reply()
        pipeline.ask(login("203.0.113.66"))
        pipeline.ask(login("2001:db8::7"))
        assert {"192.0.2.7", "2001:db8::7"} == pipeline.addresses()
        # A new database is read on SIGHUP; a broken one leaves the old one in use.
        path.write_bytes(b"")
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "is no MaxMind database" in pipeline.log.read_text())
        pipeline.ask(login("203.0.113.66"))
        assert {"192.0.2.7", "2001:db8::7"} == pipeline.addresses()
        moved = {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}
        database(path, moved | {"198.51.100.0/24": {"country": {"iso_code": "DE"}}})
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "networks and accounts read again" in pipeline.log.read_text())
        pipeline.ask(login("198.51.100.7"))
        assert "198.51.100.7" in pipeline.addresses()
        reasons = pipeline.status()["reasons"]
        assert 2 == reasons["new_country"]["count"]
