"""Whole sessions of the servers whose lines the samples cannot show alone: several lines, woven
together with other sessions', and what clients can do to them from outside."""

from __future__ import annotations

import pytest

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar import Matcher
from pbs_filter.model import Accepted, Reason, Record, Refused
from pbs_filter.servers import (
    SERVERS,
    apple,
    cucipop,
    imapproxy,
    mailfront,
    nginx,
    perdition,
    qmail,
    solid_pop3d,
    stalwart,
    teapop,
    tpop3d,
    vm_pop3d,
    zimbra,
)

NOW = 1_800_000_000
CANARY = "203.0.113.66"
BOBS, ALICES = "192.0.2.7", "198.51.100.7"
MODULES = (
    apple,
    cucipop,
    imapproxy,
    mailfront,
    nginx,
    perdition,
    qmail,
    solid_pop3d,
    stalwart,
    teapop,
    tpop3d,
    vm_pop3d,
    zimbra,
)
READER = Matcher(SERVERS)


class Host:
    """A mail host's log, and what the filter makes of it."""

    def __init__(self, **policy: list[str]) -> None:
        self.ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
        correlator = Correlator(self.ledger, patience_seconds=600)
        self.pipeline = Pipeline(
            reader=READER,
            policy=Policy.of(**policy),
            ledger=self.ledger,
            correlator=correlator,
        )

    def logs(self, *lines: str) -> Host:
        for line in lines:
            self.pipeline.block(f"Nov 20 10:00:00 mx1 {line}\n".encode(), NOW)
        return self

    @property
    def authorised(self) -> dict[str, str]:
        """Address -> user."""
        return {address: auth.user for address, auth in self.ledger.authorisations.items()}

    def has(self, *, authorised: dict[str, str], in_session: set[str]) -> None:
        """Assert who may relay, and where sessions are open from."""
        assert authorised == self.authorised
        assert in_session == {session.address for session in self.ledger.sessions.values()}


# ------------------------------------------------------------------ vm-pop3d


def test_vm_pop3d_ties_each_login_to_its_own_connection():
    host = Host().logs(
        f"vm-pop3d[81]: Connect from {BOBS}",
        f"vm-pop3d[82]: Connect from {ALICES}",
        "vm-pop3d[82]: User 'alice' of 'example.org' logged in",
        "vm-pop3d[81]: User 'bob' logged in",
        "vm-pop3d[81]: Session ended for user: bob",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})


def test_vm_pop3d_connection_without_an_address_does_not_get_an_older_ones():
    host = Host().logs(
        f"vm-pop3d[81]: Connect from {CANARY}",
        "vm-pop3d[81]: Incoming connection opened",
        "vm-pop3d[81]: User 'bob' logged in",
    )
    assert not host.authorised
    assert Reason.UNKNOWN_SESSION in host.pipeline.counts.reasons


def test_vm_pop3d_ipv6_client_written_as_zeros_is_nobody():
    host = Host().logs("vm-pop3d[81]: Connect from 0.0.0.0", "vm-pop3d[81]: User 'bob' logged in")
    assert not host.authorised
    assert Reason.SPECIAL_ADDRESS in host.pipeline.counts.reasons


# ------------------------------------------------------------------ solid-pop3d


def test_solid_pop3d_without_logextend_ties_each_login_to_its_own_connection():
    host = Host().logs(
        f"spop3d[81]: connect from {BOBS} ({BOBS})",
        f"spop3d[81]: connect from dsl7.example.net ({BOBS})",
        f"spop3d[82]: connect from {CANARY} ({ALICES})",
        "spop3d[82]: mapped user alice authenticated",
        "spop3d[81]: user bob authenticated through APOP",
        "spop3d[83]: session ended",
        "spop3d[82]: session ended for mapped user alice",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={BOBS})


def test_solid_pop3d_root_is_let_go_of_again_when_it_is_refused():
    host = Host().logs(
        f"solid-pop3d[81]: user root authenticated - {BOBS}",
        f"solid-pop3d[81]: root login not allowed - {BOBS}",
    )
    host.has(authorised={BOBS: "root"}, in_session=set())


# ------------------------------------------------------------------ tpop3d


def test_tpop3d_child_ends_the_session_its_parent_wrote_about():
    began = "began session for `bob' with pam"
    host = Host().logs(
        f"tpop3d[80]: listeners_post_select: client [9]{BOBS}/192.0.2.1: connected to local "
        "address 192.0.2.1:110",
        f"tpop3d[80]: authcontext_new_user_pass: {began}; uid 1000, gid 8",
        f"tpop3d[80]: fork_child: [9]bob({BOBS}): {began}; child PID is 81",
        f"tpop3d[80]: fork_child: [9]bob({ALICES}): {began}; child PID is 82",
        f"tpop3d[81]: connections_post_select: client [9]bob({BOBS}): finished session for `bob' "
        "with pam",
        f"tpop3d[81]: connections_post_select: client [9]bob({BOBS}): disconnected; 6/40 bytes "
        "read/written",
    )
    host.has(authorised={BOBS: "bob", ALICES: "bob"}, in_session={ALICES})
    assert not host.pipeline.counts.unread


# ------------------------------------------------------------------ mailfront


def test_mailfront_ties_by_the_pid_in_the_text():
    host = Host().logs(
        f"pop3front: tcpserver: pid 81 from {BOBS}",
        f"pop3front: tcpserver: ok 81 0:192.0.2.1:110 dsl7.example.net:{BOBS}::50001",
        "pop3front: pop3front-auth[81]: +OK ",
        f"pop3front: tcpserver: ok 82 0:192.0.2.1:110 {CANARY}:{ALICES}:bob:50001",
        "pop3front: pop3front-auth[82]: USER alice",
        "pop3front: pop3front-auth[82]: +OK ",
        "pop3front: pop3front-auth[81]: PASS XXXXXXXX",
        "pop3front: pop3front-auth[81]: -ERR Authentication failed",
        "pop3front: pop3front-maildir[82]: +OK ",
        "pop3front: pop3front-maildir[82]: STAT",
        "pop3front: pop3front-maildir[82]: +OK 1 42",
        "pop3front: tcpserver: end 81 status 0",
    )
    host.has(authorised={ALICES: ""}, in_session={ALICES})
    assert not host.pipeline.counts.unread
    host.logs("pop3front: tcpserver: end 82 status 0")
    host.has(authorised={ALICES: ""}, in_session=set())


@pytest.mark.parametrize(
    "command",
    [
        f"tcpserver: ok 82 0:192.0.2.1:110 :{CANARY}::50001",
        "pop3front-maildir[81]: +OK ",
        "USER x#015pop3front-maildir[81]: +OK ",
        "USER x^Jpop3front-maildir[81]: +OK ",
    ],
)
def test_mailfront_commands_that_look_like_its_lines_are_only_commands(command):
    host = Host().logs(
        f"pop3front: tcpserver: ok 81 0:192.0.2.1:110 :{CANARY}::50001",
        f"pop3front: pop3front-auth[81]: {command}",
    )
    assert not host.authorised


def test_mailfront_connection_that_tcpserver_denies_is_none():
    host = Host().logs(
        f"pop3front: tcpserver: deny 81 0:192.0.2.1:110 :{CANARY}::50001",
        "pop3front: pop3front-maildir[81]: +OK ",
    )
    assert not host.authorised


# ------------------------------------------------------------------ proxies


def test_imapproxy_descriptor_is_somebody_elses_after_the_logout():
    host = Host().logs(
        f"in.imapproxyd[80]: LOGIN: 'bob' ({BOBS}:50001) no previous connection: creating a new "
        "one",
        f"in.imapproxyd[80]: LOGIN: 'bob' ({BOBS}:50001) on new sd [9]",
        "in.imapproxyd[80]: LOGOUT: 'bob' from server sd [9]",
        f"in.imapproxyd[80]: LOGIN: 'bob' ({ALICES}:50001) on existing sd [9]",
    )
    host.has(authorised={BOBS: "bob", ALICES: "bob"}, in_session={ALICES})


def test_nginx_connection_numbers_belong_to_a_worker():
    def line(worker: int, what: str, address: str, user: str) -> str:
        return (
            f"nginx: 2026/11/20 10:00:00 [info] {worker}#{worker}: *42 {what}, client: {address}, "
            f'server: 0.0.0.0:143, login: "{user}", upstream: 10.0.0.5:143'
        )

    host = Host().logs(
        line(81, "client logged in", BOBS, "bob"),
        line(82, "client logged in", ALICES, "alice"),
        line(81, "proxied session done", BOBS, "bob"),
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})


def test_perdition_relogs_a_session_and_ends_it_once():
    auth = (
        f"perdition.imap4[81]: Auth: {BOBS}:50001->192.0.2.1:143 client-secure=plaintext "
        'authorisation_id=NONE authentication_id="bob" server="10.0.0.5:143" protocol=IMAP4 '
        'server-secure=plaintext status="ok"'
    )
    host = Host().logs(f"perdition.imap4[81]: Connect:  {BOBS}:50001->192.0.2.1:143", auth, auth)
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("perdition.imap4[81]: Fatal error piping data. Exiting child.")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_stalwart_session_is_the_clients_address_and_port():
    def span(port: int) -> str:
        return f'listenerId = "imaptls", localPort = 993, remoteIp = {BOBS}, remotePort = {port}'

    def login(port: int) -> str:
        return (
            f"stalwart: 2026-11-20T10:00:00Z INFO Authentication successful (auth.success) "
            f'{span(port)}, accountName = "bob", accountId = 9'
        )

    def end(port: int) -> str:
        return (
            "stalwart: 2026-11-20T10:00:00Z INFO IMAP connection ended (imap.connection-end) "
            f"{span(port)}, elapsed = 618ms"
        )

    host = Host().logs(login(50001), login(50002), end(50001))
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(end(50002))
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_a_backends_line_with_the_proxys_address_authorises_nobody():
    host = Host(proxy_networks=["192.0.2.7/32"]).logs(
        f"solid-pop3d[81]: user bob authenticated - {BOBS}"
    )
    assert not host.authorised
    assert Reason.PROXY in host.pipeline.counts.reasons


# ------------------------------------------------------------------ all of them

SAMPLES = [
    pytest.param(sample, id=f"{module.SERVER.name}-{rule.name}-{number}")
    for module in MODULES
    for rule in module.SERVER.rules
    for number, sample in enumerate(rule.samples)
]
REFUSALS = [param for param in SAMPLES if isinstance(param.values[0].observation, Refused)]


@pytest.mark.parametrize("sample", REFUSALS)
def test_a_refusal_that_was_cut_anywhere_is_no_login(sample):
    program, pid, message = sample.parts()
    for length in range(len(message)):
        reading = READER.read(Record(program, message[:length], "mx1", pid))
        assert isinstance(reading, Reason) or not isinstance(reading.observation, Accepted)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_address_outside_a_samples_own_place_is_ever_taken(sample):
    """The canary stands in names, reverse names and agents of the samples, and never gets in."""
    program, pid, message = sample.parts()
    reading = READER.read(Record(program, message, "mx1", pid))
    if not isinstance(reading, Reason) and isinstance(reading.observation, Accepted):
        assert reading.observation.address != CANARY


@pytest.mark.parametrize("joint", ["\n", "\r", "\x00", "\u2028", "\x85", "\v", " ", "#012", "^J"])
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.SERVER.name)
def test_a_login_behind_a_line_break_in_a_name_is_not_the_lines_own(module, joint):
    """As the user of every login sample: a break in each form it may have, and another login."""
    logins = [
        sample
        for rule in module.SERVER.rules
        for sample in rule.samples
        if isinstance(sample.observation, Accepted) and sample.observation.user
    ]
    for sample in logins:
        program, pid, message = sample.parts()
        user = sample.observation.user
        forged = message.replace(sample.observation.address or BOBS, CANARY)
        text = message.replace(user, f"{user}{joint}{forged}")
        reading = READER.read(Record(program, text, "mx1", pid))
        assert isinstance(reading, Reason) or not isinstance(reading.observation, Accepted)
