"""Groups: which logins belong to them, and that each login has its own group's terms."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.groups import Group, Terms
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.authorisation.policy import Policy
from pbs_filter.model import Reason

from ..running import login
from .test_pipeline import NOW, new

START = 1_000_000
TERMS = {"bob": Terms(100, 450), "alice": Terms(40, 90), "scan": Terms(1000, 0)}
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
KEYS = ("mx dovecot a", "mx dovecot b", "mx dovecot c")


@pytest.mark.parametrize(
    ("users", "networks", "user", "address", "expected"),
    [
        (["scan*"], None, "SCANNER", "192.0.2.7", True),
        (["scan*"], None, "bob", "192.0.2.7", False),
        (None, ["192.0.2.0/24"], "bob", "192.0.2.7", True),
        (None, ["192.0.2.0/24"], "bob", "198.51.100.7", False),
        (["bob"], ["192.0.2.0/24"], "bob", "198.51.100.7", False),
        (["bob"], ["192.0.2.0/24"], "bob*root", "192.0.2.7", True),
        (None, ["2001:db8::/32"], "bob", "2001:db8:0:1::/64", True),
    ],
)
def test_a_group_has_its_users_from_its_networks(users, networks, user, address, expected):
    group = Group("office", users, networks, Terms(5, 5))
    assert expected == group.has(user, address)
    policy = Policy.of(groups=[group])
    assert (group if expected else None) is policy.group_of(user, address)
    assert (Terms(5, 5) if expected else None) == policy.terms(user, address)


DOVECOT = "dovecot: imap-login: Login: user=<{}>, method=PLAIN, rip={}, lip=192.0.2.1{}"


def test_where_tls_is_required_a_login_without_authorises_nobody_and_says_why():
    pipeline = new(require_tls=True)
    lines = [
        DOVECOT.format("bob", "192.0.2.1", ", TLS"),
        DOVECOT.format("bob", "192.0.2.2", ""),
        DOVECOT.format("bob, TLS", "192.0.2.3", ""),
        DOVECOT.format("bob", "192.0.2.4", ", secured"),
        "ipop3d[7]: Login user=bob host=[192.0.2.5] nmsgs=0/0",
        "ipop3sd[7]: Login user=bob host=[192.0.2.6] nmsgs=0/0",
    ]
    outcomes = [pipeline.line(f"Nov 20 10:00:00 mx1 {line}".encode(), NOW) for line in lines]
    none, unknown = "the line says that there was none", "the line cannot say"
    assert ["192.0.2.6"] == [*pipeline.ledger.authorisations]
    assert [Reason.OWN_ADDRESS, *[Reason.WITHOUT_TLS] * 4, None] == [o.reason for o in outcomes]
    assert [none, none, none, unknown, ""] == [outcome.detail for outcome in outcomes[1:]]


@pytest.mark.parametrize(
    ("everybodys", "groups", "expected"),
    [
        (True, False, ["192.0.2.7", "198.51.100.8"]),
        (False, True, ["198.51.100.7", "198.51.100.8"]),
        (True, None, ["198.51.100.8"]),
        (False, None, ["192.0.2.7", "198.51.100.7", "198.51.100.8"]),
    ],
)
def test_a_group_may_say_otherwise_of_tls(everybodys, groups, expected):
    """192.0.2.0/24 is the group's; only the login from 198.51.100.8 is by TLS."""
    office = Group("office", None, ["192.0.2.0/24"], Terms(5, 5), groups)
    pipeline = new(require_tls=everybodys, groups=[office])
    details = {}
    for address, tls in (("192.0.2.7", ""), ("198.51.100.7", ""), ("198.51.100.8", ", TLS")):
        line = "Nov 20 10:00:00 mx1 " + DOVECOT.format("eve", address, tls)
        details[address] = pipeline.line(line.encode(), NOW).detail
    assert expected == sorted(pipeline.ledger.authorisations)
    assert bool(groups) == details["192.0.2.7"].endswith("there was none; group office")


def test_the_first_group_that_fits_decides_and_none_is_no_terms():
    groups = [Group("a", ["bob"], None, Terms(1, 1)), Group("b", ["*"], None, Terms(2, 2))]
    policy = Policy.of(groups=groups)
    assert (1, 2) == tuple(policy.terms(user, "192.0.2.7")[0] for user in ("bob", "eve"))
    assert Policy.of().terms("bob", "192.0.2.7") is None


def new_ledger() -> Ledger:
    return Ledger(
        grace_seconds=100,
        max_session_seconds=450,
        terms_of=lambda user, _address: None if user == "bob" else TERMS[user],
        shortest_grace_seconds=40,
    )


@dataclass
class Oracle:
    """Everything that happened, and what follows from it by each user's terms."""

    grants: list[tuple[str, int]] = field(default_factory=list)  # address, end
    spans: list[list] = field(default_factory=list)  # user, address, key, opened, ended or None

    def login(self, user: str, address: str, key: str | None, at: int) -> None:
        self.grants.append((address, at + TERMS[user].grace_seconds))
        if key is None or not TERMS[user].max_session_seconds:
            return
        for span in self.spans:
            if span[2] == key and span[4] is None:
                if at >= span[3] + TERMS[span[0]].max_session_seconds:
                    span[4] = span[3] + TERMS[span[0]].max_session_seconds
                    continue
                if span[1] == address:
                    return
                span[4] = at
        self.spans.append([user, address, key, at, None])

    def logout(self, key: str, at: int) -> None:
        for span in self.spans:
            if span[2] == key and span[4] is None:
                span[4] = at

    def may_relay(self, address: str, now: int) -> bool:
        if any(a == address and now < end for a, end in self.grants):
            return True
        for user, a, _, opened, ended in self.spans:
            grace_seconds, longest = TERMS[user]
            end = min(now if ended is None else ended, opened + longest)
            if a == address and now < end + grace_seconds:
                return True
        return False


logins = st.tuples(
    st.sampled_from(tuple(TERMS)), st.sampled_from(ADDRESSES), st.sampled_from((None, *KEYS))
)
logouts = st.tuples(st.just(""), st.just(""), st.sampled_from(KEYS))
histories = st.lists(st.tuples(st.integers(0, 20), st.one_of(logins, logins, logouts)), max_size=30)


@settings(max_examples=300)
@given(histories)
def test_an_address_may_relay_exactly_as_long_as_each_logins_terms_say(history):
    ledger, oracle = new_ledger(), Oracle()
    now = START
    for wait, (user, address, key) in history:
        now += wait
        ledger.tick(now)
        if user:
            oracle.login(user, address, key, now)
            assert ledger.login(address, user, "dovecot", "imap", key, now, now) is None
        else:
            oracle.logout(key, now)
            ledger.logout(key, now, now)
    for _ in range(80):
        living = {a for a, auth in ledger.authorisations.items() if auth.until > now}
        assert {a for a in ADDRESSES if oracle.may_relay(a, now)} == living
        now += 20
        ledger.tick(now)


def test_after_a_start_the_terms_are_the_same():
    ledger = new_ledger()
    ledger.login(ADDRESSES[0], "alice", "dovecot", "imap", KEYS[0], START, START)
    ledger.login(ADDRESSES[1], "scan", "dovecot", "imap", KEYS[1], START, START)
    again = new_ledger()
    for payload in ledger.live_payloads():
        again.apply(payload)
    again.restored(START + 1)
    again.tick(START + 129)
    assert set(ADDRESSES[:2]) == set(again.authorisations)
    again.tick(START + 130)  # the session's 90 seconds, and the grace of 40
    assert {ADDRESSES[1]} == set(again.authorisations)


def test_the_pipeline_names_the_group_that_decided():
    made = new(groups=[Group("scanners", ["scan*"], None, Terms(1000, 0))])
    lines = [
        login(f"192.0.2.{n}", user=user).rstrip("\n").encode()
        for n, user in ((7, "scan-1"), (8, "bob"))
    ]
    assert ["group scanners", ""] == [made.line(line, NOW).detail for line in lines]
