"""What a running filter says of a configuration that was changed since."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pbs_filter.monitor.configuration import not_in_use
from pbs_filter.service import control

from ..running import Running, login, run, wait_for

GRAMMAR = """\
from pbs_filter.grammar import Rule, Server, line, samples
from pbs_filter.model import Accepted

LOGIN = line("user {user} logged in from {address}")
LINES = samples('''
acmepop[7]: user bob logged in from 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3
acmepop[7]: user x logged in from 203.0.113.66 logged in from 192.0.2.7
    not: a name that holds a login
''')
SERVER = Server(
    name="acme",
    title="Acme",
    versions="2",
    programs={"acmepop": "pop3"},
    rules=(Rule("login", Accepted, LOGIN, LINES),),
)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that only we may write."""
    tmp_path.chmod(0o750)
    return tmp_path


def test_a_change_is_told_until_the_filter_has_it(place: Path) -> None:
    main, denied, grammar = place / "pbs.toml", place / "denied", place / "acme.py"
    denied.write_text("eve\n")
    grammar.write_text(GRAMMAR)

    def write(more: str = "") -> None:
        main.write_text(
            f'servers = ["dovecot"]\ndeny_users = ["{denied}"]\n{more}'
            f'[[server]]\npython = "{grammar}"\n',
        )

    write()
    with Running(place, f"--config={main}") as pipeline:
        pipeline.reply()

        def told() -> tuple[list[str], list[str], str | None]:
            answer = control.ask(f"{pipeline.map}.control", {"do": "status"})
            found = answer["status"]["configuration"]
            return found["restart"], found["reload"], found["error"]

        assert ([], [], None) == told()
        assert b"configuration    as in the files\n" in pipeline.mode("--status").stdout

        write("grace_seconds = 60\n")
        assert (["grace_seconds"], [], None) == told()
        denied.write_text("eve\nmallory\n")
        assert (["grace_seconds"], [str(denied)], None) == told()
        shown = pipeline.mode("--status").stdout.decode()
        assert (
            "configuration    changed since the filter read it: grace_seconds (in use after a "
            f"restart of rsyslog, syslog-ng or pbs-filter-journal); {denied} (in use after "
            f"kill -HUP {pipeline.process.pid}, or a restart)\n"
        ) in shown
        assert b"refused" not in pipeline.ask(login("192.0.2.7", user="mallory"))
        assert {"192.0.2.7"} == pipeline.addresses()

        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: told() == (["grace_seconds"], [], None), "SIGHUP to be enough for users")
        waits = "SIGHUP: changed since the filter read it: grace_seconds (in use after a restart of"
        wait_for(lambda: waits in pipeline.log.read_text(), "what SIGHUP is not enough for")
        grammar.write_text(GRAMMAR.replace("Acme", "Acme POP"))
        assert (["grace_seconds", str(grammar)], [], None) == told()
        (place / "pbs.d").mkdir()
        (place / "pbs.d/90-local.toml").write_text('max_addresses = 7\nproxy_networks = ["::1"]\n')
        assert (
            ["grace_seconds", "max_addresses", str(grammar)],
            ["proxy_networks"],
            None,
        ) == told()
        checked = run(f"--dbfile={pipeline.map}", f"--config={main}", "--check")
        assert 0 == checked.returncode
        assert (
            b"configuration changed since the filter read it: grace_seconds, max" in checked.stderr
        )

        main.write_text("grace = soon\n")
        restart, reload, error = told()
        assert [] == restart == reload
        assert error is not None
        assert "not TOML" in error
        assert not_in_use({"configuration": {"error": error}}).endswith(f"again: {error}")
        pipeline.signal(signal.SIGHUP)
        wait_for(lambda: "going on with the old" in pipeline.log.read_text(), "SIGHUP to fail")
        assert 0 == pipeline.end()


def test_an_unchanged_configuration_is_told_as_such_also_by_options(place: Path) -> None:
    with Running(place, "--grace=60") as pipeline:
        pipeline.reply()
        answer = control.ask(f"{pipeline.map}.control", {"do": "status"})
        assert {"restart": [], "reload": [], "error": None} == answer["status"]["configuration"]


@pytest.mark.parametrize("values", [{}, {"configuration": {}}, {"configuration": None}])
def test_an_older_filter_says_nothing(values: dict[str, object]) -> None:
    assert "" == not_in_use(values)
