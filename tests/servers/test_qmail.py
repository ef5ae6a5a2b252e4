"""examples/qmail/checkpassword-log, run as qmail-popup runs a checkpassword: by way of fd 3."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.grammar import Matcher
from pbs_filter.model import Accepted, Ended, Observation, Reason
from pbs_filter.servers import qmail

from ..reading import read as read_line

WRAPPER = Path(__file__).parent.parent.parent / "examples/qmail/checkpassword-log"
CHECKPASSWORD = """\
#!/bin/sh
# As checkpassword: name, password and time from fd 3, each with a NUL behind; runs "$@" if right.
read=$(tr '\\0' '|' <&3)
exec 3<&-
case $read in *'|right|stamp|') exec "$@" ;; esac
exit 1
"""
RIGHT, WRONG = b"right", b"wrong"


class Qmail:
    """What qmail-popup and tcpserver are to a checkpassword, and the syslog daemon behind it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.checkpassword = directory / "checkpassword"
        self.checkpassword.write_text(CHECKPASSWORD)
        self.checkpassword.chmod(0o755)
        self.log = directory / "log"
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.bind(str(self.log))
        self.syslog.settimeout(20)

    def start(
        self, name: bytes, password: bytes, *program: str, address: str = "192.0.2.7"
    ) -> subprocess.Popen[bytes]:
        command = [WRAPPER, "--log", self.log, self.checkpassword, *program]
        session = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&0 </dev/null', "qmail-popup", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TCPREMOTEIP": address},
        )
        assert session.stdin is not None
        session.stdin.write(name + b"\0" + password + b"\0stamp\0")
        session.stdin.close()
        session.stdin = None
        return session

    def run(self, name: bytes, password: bytes, **options: str) -> tuple[int, bytes, bytes]:
        """A session of a program that says `mail` and ends with 7: status, stdout, stderr."""
        session = self.start(name, password, "sh", "-c", "echo mail; exit 7", **options)
        said, complained = session.communicate(timeout=300)
        return session.returncode, said, complained

    def logged(self) -> Observation | Reason:
        """What pbs-filter makes of the next line in the log; waits for it."""
        record = read_line(self.syslog.recv(4096))
        assert not isinstance(record, Reason)
        reading = Matcher([qmail.SERVER]).read(record)
        return reading if isinstance(reading, Reason) else reading.observation

    def logged_nothing(self) -> bool:
        self.syslog.setblocking(False)
        try:
            return not self.syslog.recv(4096)
        except BlockingIOError:
            return True


@pytest.fixture
def popup(tmp_path: Path) -> Iterator[Qmail]:
    made = Qmail(tmp_path)
    yield made
    made.syslog.close()


def test_a_session_is_logged_when_it_begins_and_when_it_ends(popup):
    gate = popup.directory / "gate"
    os.mkfifo(gate)
    session = popup.start(b"bob", RIGHT, "sh", "-c", 'read line <"$1"', "pop3d", str(gate))
    login = popup.logged()
    expected = Accepted(user="bob", address="192.0.2.7", protocol="pop3", session=str(session.pid))
    assert expected == login
    assert session.poll() is None
    gate.write_text("over\n")
    ended = Ended(user="bob", address="192.0.2.7", protocol="pop3", session=str(session.pid))
    assert ended == popup.logged()
    session.communicate(timeout=300)


def test_the_program_gets_its_arguments_and_its_status_is_passed_on(popup):
    status, said, complained = popup.run(b"bob", RIGHT)
    expected = 7, b"mail\n", b""
    assert expected == (status, said, complained)


def test_a_wrong_password_runs_and_logs_nothing(popup):
    expected = 1, b"", b""
    assert expected == popup.run(b"bob", WRONG)
    assert popup.logged_nothing()


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        ("bob@example.org", b"bob@example.org"),
        ("a?ip?203.0.113.66?user?bob", b"a ip=203.0.113.66 user=bob"),
        ("a??22?login?ip?203.0.113.66", b"a\n<22>login ip=203.0.113.66"),
        ("????", b'"$`\\'),
        ("b?b", b"b\xffb"),
        ("?", b""),
    ],
)
def test_of_a_name_only_plain_characters_are_logged(popup, expected, name):
    popup.run(name, RIGHT)
    login = popup.logged()
    assert isinstance(login, Accepted)
    assert (expected, "192.0.2.7") == (login.user, login.address)


def test_an_ipv6_client_is_logged_as_such(popup):
    address = "2001:db8::7"
    popup.run(b"bob", RIGHT, address=address)
    login = popup.logged()
    assert isinstance(login, Accepted)
    assert address == login.address


@pytest.mark.parametrize("address", ["", "203.0.113.66 user=x", "203.0.113", "unknown"])
def test_without_an_address_nothing_is_logged_but_mail_is_read(popup, address):
    status, said, complained = popup.run(b"bob", RIGHT, address=address)
    expected = 7, b"mail\n"
    assert expected == (status, said)
    assert repr(address).encode() in complained
    assert popup.logged_nothing()


def test_without_a_syslog_daemon_mail_is_read_all_the_same(popup):
    popup.syslog.close()
    popup.log.unlink()
    status, said, complained = popup.run(b"bob", RIGHT)
    expected = 7, b"mail\n"
    assert expected == (status, said)
    assert b"not logged" in complained


def test_credentials_too_long_for_a_checkpassword_are_refused(popup):
    expected = 1, b"", b""
    assert expected == popup.run(b"x" * 513, RIGHT)
    assert popup.logged_nothing()


def test_a_checkpassword_that_is_not_there_is_a_passing_fault(popup):
    popup.checkpassword.unlink()
    status, said, complained = popup.run(b"bob", RIGHT)
    expected = 111, b""
    assert expected == (status, said)
    assert b"is it installed" in complained
    assert popup.logged_nothing()


def test_wrong_use_is_said_and_has_checkpasswords_status_for_it():
    run = subprocess.run([WRAPPER, "checkpassword"], capture_output=True, check=False)
    expected = 2
    assert expected == run.returncode
    assert b"usage: checkpassword-log" in run.stderr
