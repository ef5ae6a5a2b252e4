"""--doctor follows a login at a real Dovecot, through rsyslog, to the answer of a real Postfix."""

from __future__ import annotations

import json
import os
import poplib
import pty
import re
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator

import pytest

from .daemons.process import wait_for
from .machines import PROGRAM
from .mtas import ENVIRONMENT, SERVER, STRANGER
from .scenario import BOB
from .test_setup import RsyslogPostfix

CONFIG = f"""\
protocols = imap pop3
listen = *
ssl = yes
ssl_cert = </etc/dovecot/mx1.pem
ssl_key = </etc/dovecot/mx1.key
mail_location = mbox:/home/%u/mail:INBOX=/var/mail/%u
first_valid_uid = 1000
default_vsz_limit = 0
auth_failure_delay = 0
passdb {{
  driver = static
  args = user={BOB.name} password={BOB.password}
}}
userdb {{
  driver = static
  args = uid={BOB.uid} gid={BOB.uid} home=/home/{BOB.name}
}}
"""
"""As Debian's: no password goes over the wire in clear, but from the server's own address."""


class MailHost(RsyslogPostfix):
    packages = (*RsyslogPostfix.packages, "dovecot-imapd", "dovecot-pop3d")
    accounts = (*RsyslogPostfix.accounts, ("dovecot", 61101), ("dovenull", 61102))

    def configure(self) -> None:
        super().configure()
        self.root.write("/etc/dovecot/dovecot.conf", CONFIG)
        place = self.root.path / "etc/dovecot"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx1",
             "-keyout", place / "mx1.key", "-out", place / "mx1.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        os.mknod(self.root.path / "dev/tty", stat.S_IFCHR, os.makedev(5, 0))
        (self.root.path / "dev/tty").chmod(0o666)

    def start(self) -> None:
        super().start()
        self.daemon("/usr/sbin/dovecot", "-F", name="dovecot")
        wait_for(lambda: self.network.inside(self._answers), "Dovecot")
        wait_for(lambda: "version" in self.filter("--status", status=None), "the filter")

    @staticmethod
    def _answers() -> bool:
        try:
            poplib.POP3(SERVER).close()
        except OSError:
            return False
        return True

    def log_in(self) -> None:
        """A client's login, from STRANGER."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def client() -> None:
            connection = socket.create_connection((SERVER, 995), 30, (STRANGER, 0))
            with context.wrap_socket(connection) as pop, pop.makefile("rw", newline="") as stream:
                for line in (f"USER {BOB.name}", f"PASS {BOB.password}", "QUIT"):
                    assert stream.readline().startswith("+OK")
                    stream.write(f"{line}\r\n")
                    stream.flush()
                stream.read()

        self.network.inside(client)


def on_terminal(machine: MailHost, *options: str, typed: str) -> tuple[str, int]:
    """What `pbs-filter OPTIONS` writes to a terminal where `typed` is the answer; its status."""
    argv = machine.command(PROGRAM, *options)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, ENVIRONMENT)
    said = b""
    is_asked = False
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        said += data
        if b"Password of" in said and not is_asked:
            is_asked = True
            os.write(terminal, typed.encode() + b"\n")
    os.close(terminal)
    return said.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with MailHost(tmp_path_factory.mktemp("doctor")) as host:
        host.filter("--setup", "--apply")
        host.start()
        yield host


def watched(machine: MailHost, *options: str) -> subprocess.Popen[str]:
    """`pbs-filter --doctor` with `options`, which waits for a login now."""
    process = subprocess.Popen(
        machine.command(PROGRAM, "--doctor", *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stderr is not None
    assert "for the next POP or IMAP login" in process.stderr.readline()
    return process


def test_a_login_that_the_doctor_makes_goes_the_whole_way(machine: MailHost) -> None:
    said, status = on_terminal(machine, "--doctor", "--login", BOB.name, typed=BOB.password)
    assert 0 == status, said
    assert said.endswith("\nall is well\n")
    subjects = [line.split()[1] for line in said.splitlines() if line.startswith(("ok", "note"))]
    way = ["login", "line", "rule", "decision", "journal", "map", "answer", "in", "relay", "after"]
    assert way == subjects[-len(way) :], said
    assert "to 127.0.0.1:110 (POP3), by TLS, in" in said
    assert re.search(r"dovecot on \S+, uid 0 wrote 'pop3-login: Login: user=<bob>", said), said
    assert f"dovecot, login: bob from {SERVER}" in said
    assert "postfix is told yes at /var/spool/postfix/private/pbs" in said
    assert f"postfix takes mail from {SERVER} to elsewhere: 250 2.1.5 Ok" in said
    # The password is nowhere, and nobody may relay afterwards who could not before.
    assert BOB.password not in said
    assert BOB.password not in (machine.root.path / "var/log/pbs-filter.log").read_text()
    assert machine.rcpt(SERVER).startswith("454 4.7.1")
    assert "Nobody has logged in." in machine.filter("--report"), "a trial is no use of it"


def test_a_wrong_password_is_told(machine: MailHost) -> None:
    said, status = on_terminal(machine, "--doctor", "--login", BOB.name, typed="wrong")
    assert 1 == status, said
    assert "wrong  login  bob could not log in: 127.0.0.1:110 (POP3) said" in said
    assert said.endswith("\n1 wrong\n")


def test_a_password_is_asked_for_on_a_terminal_only(machine: MailHost) -> None:
    done = subprocess.run(
        machine.command(PROGRAM, "--doctor", "--login", "bob"),
        start_new_session=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert 2 == done.returncode
    assert "--login asks for the password on a terminal, and there is none" in done.stderr


def test_the_next_login_of_a_client_is_followed(machine: MailHost) -> None:
    process = watched(machine, "--wait", "2m", "--json")
    machine.log_in()
    out, _ = process.communicate()
    found = {each["subject"]: each for each in json.loads(out)["findings"]}
    assert 0 == process.returncode, out
    assert {"line", "rule", "decision", "journal", "map", "answer", "in all"} <= found.keys()
    assert f"{STRANGER} may relay until" in found["decision"]["text"]
    machine.filter("--forget", STRANGER)


@pytest.mark.parametrize("number", [None, signal.SIGINT])
def test_the_wait_has_an_end(machine: MailHost, number: signal.Signals | None) -> None:
    process = watched(machine, "--wait", "1s" if number is None else "1h")
    if number is not None:
        process.send_signal(number)
    out, _ = process.communicate()
    assert 0 == process.returncode, out
    words = "no login came to the filter within 1 s" if number is None else "the wait was ended"
    assert words in out
    assert out.endswith("\nall is well\n")
