"""Dovecot, Cyrus, UW, mailutils, Qpopper, vpopmail: sessions, and what samples cannot show."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.correlator import Correlator
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.grammar import Matcher, matcher
from pbs_filter.model import Accepted, Connected, Ended, Ignored, Reason, Record
from pbs_filter.servers import SERVERS, cyrus, dovecot, mailutils, qpopper, uw, vpopmail

NOW = 1_800_000_000
CANARY = "203.0.113.66"
BOBS, ALICES = "192.0.2.7", "198.51.100.7"
MODULES = (cyrus, dovecot, mailutils, qpopper, uw, vpopmail)
READER = Matcher(SERVERS)


class Host:
    """A mail host's log, and what the filter makes of it."""

    def __init__(self, enable: tuple[str, ...] = ()) -> None:
        self.now = NOW
        self.ledger = Ledger(grace_seconds=1800, max_session_seconds=43200)
        self.pipeline = Pipeline(
            reader=Matcher(SERVERS, enable=enable) if enable else READER,
            policy=Policy.of(),
            ledger=self.ledger,
            correlator=Correlator(self.ledger, patience_seconds=600),
        )

    def logs(self, *lines: str) -> Host:
        for line in lines:
            self.now += 1
            self.pipeline.block(f"Nov 20 10:00:00 mx1 {line}\n".encode(), self.now)
        return self

    def has(self, *, authorised: dict[str, str], in_session: set[str]) -> None:
        """Assert who may relay, and from where sessions are open."""
        found = {address: auth.user for address, auth in self.ledger.authorisations.items()}
        assert authorised == found
        assert in_session == {session.address for session in self.ledger.sessions.values()}


def read(program: str, message: str, pid: str = "4711"):
    """What all servers together say of a message."""
    reading = READER.read(Record(program, message, "mx1", pid))
    return reading if isinstance(reading, Reason) else reading.observation


# ---------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.SERVER.name)
def test_all_servers_together_read_a_sample_as_its_own_server_does_alone(module):
    alone = Matcher([module.SERVER])
    for rule in module.SERVER.rules:
        if rule.off:
            continue
        for sample in rule.samples:
            program, pid, message = sample.parts()
            own = alone.read(Record(program, message, "mx1", pid))
            if isinstance(own, Reason):
                assert not isinstance(read(program, message, pid), Accepted | Connected | Ended)
            else:
                assert own.observation == read(program, message, pid), sample.line


def test_the_rules_of_an_instance_are_prepared_once(monkeypatch):
    prepared = []
    dispatch = matcher._dispatch
    monkeypatch.setattr(matcher, "_dispatch", lambda c: prepared.append(1) or dispatch(c))
    fresh = Matcher(SERVERS)
    line = "login: [192.0.2.7] bob plaintext User logged in"
    for number in range(5):
        reading = fresh.read(Record(f"backend{number}/imap", line, "mx1", "4711"))
        assert not isinstance(reading, Reason)
        assert reading.observation.address == "192.0.2.7"
    assert prepared == [1]


def test_an_instance_path_alone_is_no_program():
    READER.read(Record("backend2/imap", "login: [192.0.2.7] bob plaintext", "mx1", ""))
    for name in ("/imap", "imap/", "backend2/", "backend2/sieve", "backend2/imap/x"):
        assert Reason.OTHER_PROGRAM is READER.read(
            Record(name, "login: [192.0.2.7] bob plaintext", "mx1", "")
        )


# ---------------------------------------------------------------------------------- Dovecot

ELEMENTS = (
    "user=<bob>",
    "method=PLAIN",
    "lip=192.0.2.1",
    "mpid=4711",
    "TLS",
    "session=<8n+hC7Ng>",
    "TLSv1.2 with cipher ECDHE-RSA-AES128-GCM-SHA256 (128/128 bits)",
)


@given(
    st.lists(st.sampled_from(ELEMENTS), unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from((", ", ",", " ", "\t")),
    st.sampled_from(("Login", "Logged in")),
)
def test_dovecots_elements_may_stand_in_any_order_and_number(chosen, random, separator, words):
    elements = ["rip=192.0.2.7", *chosen]
    random.shuffle(elements)
    assert Accepted(
        user="bob" if "user=<bob>" in chosen else "",
        address="192.0.2.7",
        protocol="imap",
        session="8n+hC7Ng" if "session=<8n+hC7Ng>" in chosen else None,
        local="192.0.2.1" if "lip=192.0.2.1" in chosen else None,
    ) == read("dovecot", f"imap-login: {words}: {separator.join(elements)}")


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_a_second_address_in_dovecots_line_leads_to_nothing(order):
    parts = ("user=<bob>", "rip=192.0.2.7", f"rip={CANARY}")
    elements = ", ".join(parts[i] for i in order)
    assert Reason.NO_RULE is read("dovecot", f"imap-login: Login: {elements}")


@given(st.text(max_size=40), st.sampled_from((f"rip={CANARY}", f", rip={CANARY}, lip=", CANARY)))
def test_the_user_element_never_supplies_dovecots_address(text, forged):
    for user in (text + forged, forged + text, f"bob>, {forged}, x=<{text}"):
        line = f"imap-login: Login: user=<{user}>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1"
        said = read("dovecot", line)
        assert isinstance(said, Reason) or said.address == "192.0.2.7"


@pytest.mark.parametrize(
    "service",
    ["managesieve", "submission", "lmtp", "smtp", "doveadm", "imap-urlauth", "sieve", "POP3"],
)
@pytest.mark.parametrize("words", ["Login", "Logged in"])
def test_dovecots_words_from_other_services_authorise_nobody(service, words):
    said = read("dovecot", f"{service}-login: {words}: user=<bob>, rip={CANARY}")
    assert Ignored() == said or Reason.NO_RULE is said


DOVECOT_LOGIN = (
    "dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, "
    "mpid=4711, session=<{}>"
)
DOVECOT_END = "dovecot: imap(bob)<4711><{}>: Disconnected: Logged out in=1 out=2"


def test_dovecots_session_is_held_until_its_own_end():
    host = Host().logs(DOVECOT_LOGIN.format("aa"), DOVECOT_LOGIN.format("bb"))
    host.logs(DOVECOT_END.format("aa"), DOVECOT_END.format("cc"))
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(DOVECOT_END.format("bb"))
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("end", [DOVECOT_END.format("aa"), "dovecot: imap(bob): Logged out in=1"])
def test_an_end_that_dovecot_writes_before_the_login_is_not_forgotten(end):
    host = Host().logs(end, DOVECOT_LOGIN.format("aa"))
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_dovecot_22_ends_the_oldest_session_of_the_user_in_that_service():
    host = Host().logs(
        DOVECOT_LOGIN.format("aa"),
        DOVECOT_LOGIN.format("bb").replace("192.0.2.7", "192.0.2.8"),
        "dovecot: pop3(bob): Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0",
        "dovecot: imap(alice): Logged out in=1 out=2",
    )
    host.has(authorised={BOBS: "bob", "192.0.2.8": "bob"}, in_session={BOBS, "192.0.2.8"})
    host.logs("dovecot: imap(bob): Connection closed in=1 out=2")
    host.has(authorised={BOBS: "bob", "192.0.2.8": "bob"}, in_session={"192.0.2.8"})


PROXIED = (
    "dovecot: imap-login: proxy(bob): started proxying to 198.51.100.9:143: user=<bob>, "
    "method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<aa>"
)
UNPROXIED = (
    "dovecot: imap-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle, "
    "in=1, out=2)): user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<aa>"
)


def test_a_proxied_login_of_dovecot_counts_only_where_it_is_enabled():
    Host().logs(PROXIED).has(authorised={}, in_session=set())
    host = Host(enable=("dovecot-proxy",)).logs(PROXIED)
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs(UNPROXIED).has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize(
    "line",
    [
        "Nov 20 09:11:13 imap-login: Info: Login: user=<bob>, rip=192.0.2.7, lip=192.0.2.1",
        "2026-11-20 09:11:13 imap-login: Info: Login: user=<bob>, rip=192.0.2.7",
        "Nov 20 09:11:13 Info: imap-login: Login: user=<bob>, rip=192.0.2.7",
        "dovecot: 2026-11-20 09:11:13 Info: imap-login: Login: user=<bob>, rip=192.0.2.7",
        "imap-login: Nov 20 09:11:13 Info: Login: bob [192.0.2.7]",
        "@40000000671f5d3300000000 imap-login: Info: Login: user=<bob>, rip=192.0.2.7",
        "Nov 20 09:11:13 mx1 imap-login: Login: bob [192.0.2.7]",
    ],
)
def test_dovecots_own_log_files_are_read(line):
    host = Host()
    host.pipeline.block(line.encode() + b"\n", NOW)
    host.has(authorised={BOBS: "bob"}, in_session=set())


# ---------------------------------------------------------------------------------- Cyrus

CYRUS = "login: client.example.org [192.0.2.7] bob plaintext User logged in SESSIONID=<mx1-1-1>"
LOGFMT = "event=login.good sessionid=mx1-1-1 r.clienthost=[192.0.2.7] u.username=bob login.tls=1 "


@pytest.mark.parametrize(
    "program",
    [
        "imap",
        "imaps",
        "imapd",
        "cyrus/imap",
        "cyrus/imaps",
        "cyrus/imapd",
        "pop3",
        "pop3s",
        "pop3d",
        "cyrus/pop3",
        "cyrus/pop3s",
        "cyrus/pop3d",
        "backend2/imap",
        "backend2/pop3s",
    ],
)
def test_the_services_of_cyrus_that_deliver_mail_authorise(program):
    protocol = "pop3" if "pop3" in program else "imap"
    said = read(program, CYRUS)
    assert Accepted(user="bob", address="192.0.2.7", protocol=protocol, session="4711") == said


@pytest.mark.parametrize(
    "program",
    [
        "sieve",
        "timsieved",
        "nntp",
        "nntpd",
        "http",
        "httpd",
        "mupdate",
        "lmtpd",
        "csync",
        "cyrus/sieve",
        "cyrus/nntp",
        "cyrus/http",
        "cyrus/mupdate",
        "cyrus/lmtpunix",
        "cyrus/csync",
        "cyrus",
        "backend2/sieve",
        "master",
    ],
)
def test_the_other_services_of_cyrus_authorise_nobody(program):
    assert Reason.OTHER_PROGRAM is read(program, CYRUS)
    assert Reason.OTHER_PROGRAM is read(program, LOGFMT + "login.magic=~null~")


def test_cyrus_before_313_holds_nothing_since_imaps_end_may_never_be_logged():
    host = Host().logs(f"cyrus/imap[4711]: {CYRUS}")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_cyrus_313_holds_an_imap_session_until_its_id_ends():
    host = Host().logs(f"cyrus/imap[4711]: {LOGFMT}login.magic=~null~")
    host.logs("cyrus/imap[4711]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("cyrus/imap[4711]: session ended: sessionid=<mx1-1-1> userid=<bob> id.name=<x>")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_cyrus_313_holds_a_pop_session_until_its_process_is_through_with_it():
    host = Host().logs(f"cyrus/pop3[4711]: {LOGFMT}pop.subfolder=~null~")
    host.logs("cyrus/pop3[4712]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("cyrus/pop3[4711]: USAGE bob user: 0.004000 sys: 0.012001")
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("password", ["x", "plaintext", f"x [{CANARY}] bob plaintext", ""])
def test_an_anonymous_login_to_cyrus_is_none_whatever_the_password(password):
    said = read("imap", f"login: client.example.org [192.0.2.7] anonymous {password}")
    assert Ignored() == said or Reason.NO_RULE is said


# ---------------------------------------------------------------------------------- UW

UW_LOGIN = "imapd[4711]: Login user=bob host=client.example.org [192.0.2.7]"


def test_uws_session_is_held_until_its_process_ends():
    host = Host().logs(UW_LOGIN, "imapd[4712]: Logout user=bob host=[192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("imapd[4711]: Logout user=bob host=client.example.org [192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session=set())


def test_uws_logout_after_a_refused_login_proves_nothing():
    host = Host().logs(
        "imapd[4711]: Login failed user=bob auth=bob host=[203.0.113.66]",
        "imapd[4711]: Logout user=bob host=[203.0.113.66]",
    )
    host.has(authorised={}, in_session=set())


@pytest.mark.parametrize(
    "end",
    [
        "Autologout",
        "Killed",
        "Killed (lost mailbox lock)",
        "Hangup",
        "Mailbox closed (no more mail)",
        "Command stream end of file, while reading line",
        "Command stream end of file while reading line",
        "Connection reset by peer, while reading line",
        "Connection timed out, while reading auth char",
        "Unexpected client disconnect, while reading line",
        "Broken pipe, while reading line",
        "No route to host, while reading line",
        "-ERR Can't get lock.  Mailbox in use",
    ],
)
def test_every_way_out_of_a_uw_session_ends_it(end):
    host = Host().logs(UW_LOGIN, f"imapd[4711]: {end} user=bob host=[192.0.2.7]")
    host.has(authorised={BOBS: "bob"}, in_session=set())


@pytest.mark.parametrize("host", [CANARY, f"{CANARY}.evil.example", "UNKNOWN", f"[{CANARY}"])
def test_a_host_name_is_never_taken_for_uws_address(host):
    assert Reason.NO_RULE is read("imapd", f"Login user=bob host={host}")


# ---------------------------------------------------------------------------------- mailutils


def test_mailutils_ties_the_address_to_the_login_by_session_id_across_processes():
    host = Host().logs(
        "pop3d[100]: 2AK8nIji 192.0.2.7",
        "pop3d[100]: 2AK8nIjj 2001:DB8:0:0:0:0:0:7",
        "pop3d[102]: 2AK8nIjj user `alice' logged in with mailbox `/var/mail/alice' (0 messages)",
        "pop3d[101]: 2AK8nIji user `bob' logged in with mailbox `/var/mail/bob' (0 messages)",
    )
    host.has(authorised={BOBS: "bob", "2001:db8::7": "alice"}, in_session={BOBS, "2001:db8::7"})
    host.logs("pop3d[101]: 2AK8nIji session ended for user: bob", "pop3d[102]: 2AK8nIjj I/O error")
    host.has(authorised={BOBS: "bob", "2001:db8::7": "alice"}, in_session=set())


def test_mailutils_without_session_ids_authorises_nobody():
    host = Host().logs(
        "pop3d[100]: 192.0.2.7",
        "pop3d[100]: user `bob' logged in with mailbox `/var/mail/bob' (0 messages)",
    )
    host.has(authorised={}, in_session=set())


def test_another_connections_session_id_does_not_help():
    host = Host().logs(
        f"imap4d[100]: 2AK8nIji {CANARY}",
        "imap4d[101]: 2AK8nIjj user `bob' logged in (source: system)",
    )
    host.has(authorised={}, in_session=set())


@pytest.mark.parametrize("size", [480, 1024, 2048, 8192])
def test_a_line_of_mailutils_that_a_daemon_cut_is_no_login(size):
    for name in ("bob' logged in with mailbox `", "bob' logged in (source: "):
        refusal = f"2AK8nIji user `{name}" + "a" * size
        for end in ("", "'", "' (0 messages)", ")"):
            cut = refusal[: size - len(end)] + end
            said = read("pop3d", cut)
            assert not isinstance(said, Accepted), cut


def test_old_mailutils_ties_the_address_to_the_login_by_pid():
    host = Host().logs(
        "gnu-pop3d[100]: connect from 192.0.2.7",
        "gnu-pop3d[101]: connect from 198.51.100.7",
        "gnu-pop3d[101]: User 'alice' logged in with mailbox '/var/mail/alice' (2 msgs)",
        "gnu-pop3d[100]: User 'bob' logged in with mailbox '/var/mail/bob' (2 msgs)",
        "gnu-pop3d[100]: Session ended for user: bob",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})


# ---------------------------------------------------------------------------------- Qpopper

CVE = f'POP login by user "admin" at ({CANARY}) {CANARY}'


@pytest.mark.parametrize(
    "line",
    [
        f"sendmail[4711]: uAK9: ruleset=check_mail, arg1={CVE}@example.org, relay=x [198.51.100.7]",
        f'postfix/smtpd[4711]: NOQUEUE: reject: MAIL from x[198.51.100.7]: from=<"{CVE}">',
        f"popper[4711]: {CVE}",
        f"popper[4711]: {CVE}@example.org",
        f"popper[4711]: {CVE} at client.example.org (198.51.100.7): -ERR no",
        f"popper[4711]: (v4.0.9) {CVE} at client.example.org (198.51.100.7): -ERR no",
        f'popper[4711]: (v4.0.9) POP login by user "{CVE}" at (x) 192.0.2.7',
        f"popper[4711]: (v4.0.9) {CVE}@example.org",
    ],
)
def test_cve_2001_1075_authorises_nobody(line):
    Host().logs(line).has(authorised={}, in_session=set())


def test_qpoppers_statistics_at_the_end_count_once_more():
    host = Host().logs(
        'popper[4711]: (v4.0.9) POP login by user "bob" at (client.example.org) 192.0.2.7',
        "popper[4711]: Stats: bob 0 0 4 4711 client.example.org 192.0.2.7",
        "popper[4712]: Stats: alice 0 0 0 0 198.51.100.7",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session=set())


@pytest.mark.parametrize(
    "line",
    [
        "Fri Nov 20 09:11:13 2026 [4711]  Stats: bob 0 0 0 0 client.example.org 192.0.2.7",
        'Nov 20 09:11:13 [popper] (v4.0.9) POP login by user "bob" at (x) 192.0.2.7',
    ],
)
def test_qpoppers_own_log_files_are_read(line):
    host = Host()
    host.pipeline.block(line.encode() + b"\n", NOW)
    host.has(authorised={BOBS: "bob"}, in_session=set())


# ---------------------------------------------------------------------------------- vpopmail


@pytest.mark.parametrize("service", ["pop3", "pop3s", "imap", "imaps"])
@pytest.mark.parametrize("words", ["(PLAIN) login success ", "system password login success "])
def test_the_pop_and_imap_services_of_vchkpw_authorise(service, words):
    said = read("vpopmail", f"vchkpw-{service}: {words}bob@example.org:192.0.2.7")
    assert (
        Accepted(user="bob@example.org", address="192.0.2.7", protocol=service.removesuffix("s"))
        == said
    )


@pytest.mark.parametrize("service", ["smtp", "smtps", "submission", "webmail", "25", "587", "1110"])
@pytest.mark.parametrize("words", ["(PLAIN) login success ", "system password login success "])
def test_the_other_services_of_vchkpw_authorise_nobody(service, words):
    said = read("vpopmail", f"vchkpw-{service}: {words}bob@example.org:{CANARY}")
    assert Ignored() == said


def test_vchkpw_without_a_service_counts_only_where_it_is_enabled():
    line = "vpopmail[4711]: vchkpw: login success bob@example.org:192.0.2.7"
    Host().logs(line).has(authorised={}, in_session=set())
    host = Host(enable=("vpopmail-unnamed",)).logs(line)
    host.has(authorised={BOBS: "bob@example.org"}, in_session=set())
