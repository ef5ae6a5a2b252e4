"""Ports: where Postfix asks, where the relay is closed, and the findings on each."""

from __future__ import annotations

import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pbs_filter.doctor import probe, run
from pbs_filter.integrations import feeds, lookups, mtas, postfix, postfix_ports
from pbs_filter.integrations.machine import Machine

MACHINE = Machine(
    program="/p", lookup="/l", share="/s", map="/m", state="/", versions={}, answers={}, files={}
)
ASKS = "check_client_access socketmap:unix:private/pbs:pbs"
BY_POLICY = "check_policy_service { unix:private/pbs-policy, timeout=3s }"
CLOSED = "permit_mynetworks, reject_unauth_destination"
AUTH = "permit_sasl_authenticated,reject"
SERVICES = """\
smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       y       -       -       smtpd -o smtpd_relay_restrictions=...
127.0.0.1:10025 inet n   -       y       -       -       smtpd
pbs        unix  -       n       n       -       0       spawn user=pbs-lookup argv=/l/pbs-lookup
"""


def machine(relay: str, recipient: str = "", *, own: str | None = None, also: str = "") -> Machine:
    """A Postfix whose submission has `own` relay restrictions, and `also` of recipients."""
    overrides = "" if own is None else f"submission/inet/smtpd_relay_restrictions = {own}\n"
    if also:
        overrides += f"submission/inet/smtpd_recipient_restrictions = {also}\n"
    return Machine(
        program="/p", lookup="/l", share="/s", map="/m", state="/", versions={"postfix": "3.7"},
        files={postfix.MAIN: f"smtpd_relay_restrictions = {relay}\n", postfix.MASTER: ""},
        answers={
            postfix_ports.RELAY: relay,
            postfix_ports.RECIPIENT: recipient,
            postfix_ports.SERVICES: SERVICES,
            postfix_ports.OVERRIDES: overrides,
            postfix.MYNETWORKS: "127.0.0.0/8",
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "asking", "others"),
    [
        (machine(f"{ASKS}, reject"), "smtp and submission", ""),
        (machine(f"{BY_POLICY}, reject", own=AUTH), "smtp", "submission"),
        (machine(CLOSED, own=f"permit_mynetworks, {ASKS}, reject"), "submission", "smtp"),
        (machine(CLOSED, own=f"reject, {ASKS}"), "", "smtp and submission"),
        # An empty list, and the other refuses; or asks, too.
        (machine(f"{ASKS}, reject", own="", also=AUTH), "smtp", "submission"),
        (machine(f"{ASKS}, reject", own="", also=f"{ASKS}, reject"), "smtp and submission", ""),
        (machine(f"{ASKS}, reject", own=f"{ASKS}, reject", also=AUTH), "smtp", "submission"),
        (machine(CLOSED), "", "smtp and submission"),
    ],
)
def test_a_port_asks_by_its_own_restrictions(known: Machine, asking: str, others: str) -> None:
    assert (asking, others) == postfix_ports.told(postfix_ports.ports(known))


def test_without_postconfs_words_the_one_port_is_that_of_main_cf() -> None:
    words = {postfix_ports.OVERRIDES: "postconf: warning: of what we do not know"}
    (port,) = postfix_ports.ports(replace(MACHINE, answers=words))
    assert ("smtp", (), False, False) == (port.name, port.relay, port.own, port.asks)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (machine(CLOSED, own=AUTH), []),
        (machine(CLOSED, own="", also=AUTH), []),
        (machine(CLOSED, own=f"permit_mynetworks, {ASKS}"), ["of submission in /etc/postfix/mast"]),
        (machine(CLOSED, own="permit, reject"), ["of submission in /etc/postfix/master.cf"]),
        (machine(ASKS), ["OPEN: smtpd_relay_restrictions does not end"] * 2),
    ],
)
def test_each_port_must_be_closed(known: Machine, words: list[str]) -> None:
    findings = postfix.settings(known)
    assert ["wrong"] * len(words) == [finding.state for finding in findings]
    assert all(word in each.text for word, each in zip(words, findings, strict=True))


def test_the_doctor_tells_the_ports_at_which_nobody_asks() -> None:
    asked = postfix.lookups(machine(f"{ASKS}, reject", own=AUTH))
    assert isinstance(asked, lookups.LookupConfig)
    finding = lookups.some_ports(asked)
    assert finding is not None
    assert "postfix does not ask at submission" in finding.text
    asked = postfix.lookups(machine(f"{ASKS}, reject"))
    assert isinstance(asked, lookups.LookupConfig)
    assert lookups.some_ports(asked) is None


def test_where_only_the_submission_port_asks_setup_leaves_main_cf() -> None:
    known = machine(CLOSED, own=f"{ASKS}, reject")
    shipped = {name: Path(__file__).parents[2].joinpath(name).read_text() for name in
               postfix.SHIPPED}  # fmt: skip
    plan = postfix.plan(known, shipped)
    assert [postfix.MASTER] == [change.path for change in plan.changes]
    assert any("asks at submission, and not at smtp" in text for text in plan.notes)
    assert ("asks", "at submission, not at smtp") in postfix.facts(known)
    plan = postfix.plan(machine(CLOSED, own=AUTH), shipped)
    assert postfix.MAIN in [change.path for change in plan.changes]
    assert any("submission in /etc/postfix/master.cf" in text for text in plan.notes)


# ---------------------------------------------------------------------- conversations


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl is not installed"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx1.lab.test",
         "-keyout", directory / "key", "-out", directory / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    (directory / "both").write_text(
        (directory / "key").read_text() + (directory / "cert").read_text()
    )
    return directory / "both"


@pytest.fixture
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[int]:
    """An SMTP server's port; its kind: `plain`, `tls` from the first byte, or `starttls`."""
    kind = request.param
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sock = self.request
            secure = kind == "plain"
            if kind == "tls":
                sock, secure = context.wrap_socket(sock, server_side=True), True
            sock.sendall(b"220 x\r\n")
            while data := sock.recv(1000):
                verb = data[:4].upper()
                if verb == b"STAR":
                    sock.sendall(b"220 go\r\n")
                    sock, secure = context.wrap_socket(sock, server_side=True), True
                    continue
                reply = {
                    b"EHLO": b"250-x\r\n250 STARTTLS",
                    b"MAIL": b"250 ok" if secure else b"530 5.7.0 Must issue a STARTTLS command",
                    b"RCPT": b"554 5.7.1 no",
                    b"QUIT": b"221 bye",
                }.get(verb, b"250 ok")
                sock.sendall(reply + b"\r\n")
            sock.close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield listener.server_address[1]
        listener.shutdown()
        thread.join()


@pytest.mark.parametrize("server", ["plain", "tls", "starttls"], indirect=True)
def test_each_kind_of_port_is_spoken_to(
    server: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "[tls]" in request.node.name:
        monkeypatch.setattr(probe, "TLS_PORT", server)
    assert "554 5.7.1 no" == probe.rcpt("127.0.0.1", server)
    monkeypatch.setattr(probe, "PORTS", (server, 1))
    assert [server] == probe.listening()


def test_each_port_that_listens_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {25: "554 no", 465: "", 587: "250 Ok"}
    monkeypatch.setattr(probe, "listening", lambda: [25, 465, 587])
    monkeypatch.setattr(probe, "own_addresses", lambda: ["192.0.2.1"])
    monkeypatch.setattr(probe, "rcpt", lambda source, port: said[port])
    monkeypatch.setattr(run, "_may_relay", lambda config, address: False)
    known = machine(f"{ASKS}, reject")
    found = list(run._relay(None, known, mtas()["postfix"]))  # type: ignore[arg-type]
    assert ["ok", "note", "wrong"] == [finding.state for finding in found]
    assert "OPEN: at port 587" in found[2].text
    said.update(dict.fromkeys(said, ""))
    (finding,) = run._relay(None, known, mtas()["postfix"])  # type: ignore[arg-type]
    assert mtas()["postfix"].untried == finding


def test_exim_plays_a_session_for_each_port(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def answer(argv: list[str], *, text: str) -> tuple[int, str]:
        commands.append(argv[3:])
        return 0, "220 x\n250 x\n250 x\n550 relay not permitted\n221 x\n"

    monkeypatch.setattr(probe, "listening", lambda: [25, 587])
    monkeypatch.setattr(run.discover, "run_command", answer)
    found = list(run._relay(None, MACHINE, mtas()["exim"]))  # type: ignore[arg-type]
    assert [[], ["-oMi", "127.0.0.1.587"]] == commands
    assert ["at port 25", "at port 587"] == [each.text[22:].split(":")[0] for each in found]


def test_a_syslog_daemon_that_was_not_restarted_behind_setup_is_noted() -> None:
    rsyslog = feeds()["rsyslog"]
    path = rsyslog.drop_in(MACHINE)
    known = replace(
        MACHINE,
        versions={"rsyslog": "8.2302.0"},
        running=frozenset({"rsyslog"}),
        started={"rsyslog": 1000},
        files={path: "old"},
        changed={path: 1001},
    )
    found = list(run._drop_in(known, rsyslog))
    assert ("note", ("systemctl restart rsyslog",)) == (found[-1].state, found[-1].todo)
    assert "was changed after rsyslog was started" in found[-1].text
    later = replace(known, started={"rsyslog": 1002})
    assert len(found) - 1 == len(list(run._drop_in(later, rsyslog)))
