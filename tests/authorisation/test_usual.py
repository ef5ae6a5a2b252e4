"""Usual logins lead to the same as on the general way, and only they go the straight one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation.lines import PART_BYTES, Lines
from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.authorisation.policy import Policy
from pbs_filter.authorisation.ways import ENOUGH
from pbs_filter.grammar import Matcher, Rule, samples, token
from pbs_filter.grammar import line as wording
from pbs_filter.grammar.carriage import SYSLOG
from pbs_filter.model import Accepted, Reason
from pbs_filter.servers import SERVERS, apple
from pbs_filter.syslog.records import MAX_LINE_BYTES

from ..pipelines import NOW, new

HEAD = "Nov 20 10:00:00 mx1 "
DOVECOT = (
    "imap-login: Login: user=<{user}>, method=PLAIN, rip={address}, lip=192.0.2.1, mpid=4711, TLS, "
    "session=<{key}>"
)
COURIER = "LOGIN, user={user}, ip=[::ffff:{address}], port=[{key}]"
PIECE = "LOGIN FAILED, user=" + "x" * 600
UW = "Login user={user} host=mail.example.org [{address}]"
STAMP = "2027-01-15T08:00:00.5+00:00"


def as_json(program: str, message: str, **fields: Any) -> str:
    """A line of rsyslog's template."""
    values = {
        "t": STAMP, "s": STAMP, "h": "mx1", "p": program + ":", "pid": "-", "in": "imuxsock",
        "from": "127.0.0.1", "uid": 0, "msg": " " + message,
    }  # fmt: skip
    values |= fields
    values["msg"] = values.pop("msg")
    told = {name: value for name, value in values.items() if value is not None}
    return json.dumps(told, ensure_ascii=False, separators=(", ", ":"))


def dovecot(user: str = "bob", address: str = "192.0.2.7", key: str = "Ab1") -> str:
    return HEAD + "dovecot: " + DOVECOT.format(user=user, address=address, key=key)


def warm(made: Pipeline, *lines: str) -> Pipeline:
    """`made` after as many logins as open the straight way."""
    for line in lines or (
        dovecot(),
        as_json("pop3d", COURIER.format(user="bob", address="192.0.2.7", key=1)),
    ):
        made.block((line + "\n").encode() * ENOUGH, NOW)
    made.state.journaled()
    return made


def general(made: Pipeline) -> Pipeline:
    """`made`, whose lines all go the general way."""
    made.usual.ways = {}
    return made


def result(made: Pipeline) -> tuple[object, ...]:
    """What lines have led to."""
    counts = made.counts
    return (
        made.state.journal_payloads(),
        made.state.map_changes(1000),
        counts.reasons,
        counts.logins,
        counts.candidates,
        counts.logouts,
        counts.examples,
        counts.take_logins(),
        made.noticed.shared,
        made.noticed.over_limit,
        made.pieces._loggers.keys(),
        [
            (list(logger.granted), logger.left, logger.until_epoch)
            for logger in made.pieces._loggers.values()
        ],
        made.ledger.events.take(),
    )


def is_straight(made: Pipeline, line: str, now: int = NOW) -> bool:
    """Whether the straight way takes `line`; it leads to what it leads to on the general one."""
    if not line.startswith("{"):
        read = made.usual.reader()
        return read is not None and made.usual.take_found(*read("\n" + line), now, now)
    _, program = made.scanner.named(line.encode() + b"\n")[0]
    way = made.usual.open_ways().get(program)
    return way is not None and made.usual.take(line.encode(), way, now)


KINDS: list[dict[str, Any]] = [
    {},
    {"max_addresses_per_user": 2},
    {"deny_networks": ["192.0.2.9"], "deny_users": ["eve"]},
    {"require_vouched": True},
    {"trusted_uids": {"dovecot": frozenset({97})}},
]
LINES = st.builds(
    lambda text, user, address, key, fields: (
        (HEAD + ("pop3d: " + COURIER if fields is None else "dovecot: " + DOVECOT)).format(
            user=user, address=address, key=key
        )
        if text
        else as_json(
            "pop3d" if "uid" not in fields else "dovecot",
            (COURIER if "uid" not in fields else DOVECOT).format(
                user=user, address=address, key=key
            ),
            **fields,
        )
        if fields is not None
        else HEAD + "pop3d: " + PIECE
    ),
    st.booleans(),
    st.sampled_from(["bob", "alice", "eve", "j\u00fcrgen", "a b", 'q"uote', ""]),
    st.sampled_from(
        ["192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.1", "127.0.0.1", "0.1.2.3", "192.0.2.07",
         "198.51.100.7", "2001:db8::7", "2001:DB8::7", "::ffff:192.0.2.5", "fe80::1%eth0"]
    ),
    st.integers(1, 4),
    st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {},
            optional={
                "uid": st.sampled_from([0, 97, 1000, None]),
                "juid": st.sampled_from([0, 97]),
                "t": st.sampled_from(["2027-01-15T07:59:00+00:00", "2027-13-15T07:59:00Z", "x"]),
                "s": st.sampled_from(["2027-01-15T07:59:30Z"]),
                "in": st.sampled_from(["imjournal", "imudp", "imuxsock", ""]),
                "from": st.sampled_from(["", "::1", "192.0.2.50"]),
                "proto": st.sampled_from([0, 17]),
                "pid": st.sampled_from(["-", "7", "a b"]),
                "h": st.sampled_from(["-", "mx2"]),
            },
        ),
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.tuples(LINES, st.integers(0, 3000)), max_size=6))
def test_lines_lead_to_the_same_as_on_the_general_way(kind, lines) -> None:
    left, right = warm(new(**kind)), general(warm(new(**kind)))
    assert left.usual.ways.keys() == (
        {b"dovecot", b"pop3d"} if not kind.get("require_vouched") else {b"pop3d"}
    )
    now = NOW
    for line, seconds in lines:
        now += seconds
        block = line.encode("utf-8", "surrogatepass") + b"\n"
        left.block(block, now)
        right.usual.ways = {}
        right.block(block, now)
        assert result(right) == result(left)


def test_usual_logins_go_the_straight_way() -> None:
    made = warm(new())
    assert is_straight(made, dovecot("alice", "192.0.2.8"))
    assert is_straight(made, dovecot("alice", "2001:db8::8", "Ab3"))
    assert is_straight(
        made, as_json("dovecot", DOVECOT.format(user="x", address="192.0.2.6", key=1))
    )
    by_courier = COURIER.format(user="x", address="192.0.2.6", key=1)
    assert is_straight(made, as_json("pop3d", by_courier, s="2027-01-15T07:59:30+00:00"))
    assert NOW - 30 == made.ledger.sessions["mx1 courier x,192.0.2.6,1"].opened
    assert {"192.0.2.6", "192.0.2.7", "192.0.2.8", "2001:db8::8"} == set(made.ledger.authorisations)


@pytest.mark.parametrize(
    "line",
    [
        dovecot(address="2001:db8::g"),
        dovecot(address="127.0.0.1"),
        dovecot(address="0.1.2.3"),
        dovecot(address="192.0.2.1"),
        dovecot("b\u200bob"),
        dovecot() + "\r",
        dovecot() + " x",
        HEAD + "pop3d[7]: " + COURIER.format(user="bob", address="192.0.2.7", key=1),
        HEAD + "pop3d: LOGIN, user=" + "x" * 250 + "y" * 250 + ", ip=[192.0.2.7], port=[1]",
        # Two lines that courierlogger has put into one, and what its buffer may have cut.
        *(
            line
            for message in (
                "LOGIN, user=aliceINFO: LOGIN FAILED, user=x, ip=[::ffff:203.0.113.66], "
                "port=[4711]",
                "LOGIN, user=aliceINFO: Connection, ip=[::ffff:203.0.113.66], port=[4711]",
                "LOGIN, user=" + "\u00e9" * 240 + ", ip=[192.0.2.99], port=[1]",
            )
            for line in (HEAD + "pop3d: " + message, as_json("pop3d", message))
        ),
        as_json("dovecot", DOVECOT.format(user="bob", address="192.0.2.7", key=1), uid=1000),
        as_json("pop3d", COURIER.format(user="bob", address="192.0.2.7", key=1), juid=0),
        as_json(
            "pop3d",
            COURIER.format(user="bob", address="192.0.2.7", key=1),
            t="2027-13-15T08:00:00+00:00",
        ),
        # A day ago, by a daemon that gives it this year.
        as_json(
            "dovecot",
            DOVECOT.format(user="bob", address="192.0.2.7", key=1),
            s="2027-12-31T23:59:59+00:00",
        ),
        as_json(
            "dovecot",
            DOVECOT.format(user="bob", address="192.0.2.7", key=1),
            s="2027-07-14T08:00:00.9+00:00",
        ),
        # Two zones: see `json_records.older_of`.
        as_json(
            "dovecot", DOVECOT.format(user="bob", address="192.0.2.7", key=1), s=STAMP[:-6] + "Z"
        ),
        as_json("pop3d", COURIER.format(user="bob", address="192.0.2.7", key=1)) + " ",
        as_json(
            "pop3d",
            COURIER.format(user="bob", address="192.0.2.7", key=1),
            # Newer Pythons read the hour 24, but not with a fraction.
            t="2027-01-15T24:00:00.5+00:00",
        ),
        as_json("pop3d", COURIER.format(user="bob", address="192.0.2.7", key=1), pid="7"),
        as_json(
            "dovecot",
            DOVECOT.format(user="bob", address="192.0.2.7", key=1),
            **{"in": "i" * MAX_LINE_BYTES},
        ),
    ],
)
def test_what_is_to_be_weighed_goes_the_general_way(line: str) -> None:
    made = warm(new(local_networks=["127.0.0.0/8"]))
    before = result(made)
    assert not is_straight(made, line)
    assert before[:2] == result(made)[:2]


def test_an_old_line_of_json_among_lines_of_text_authorises_nobody() -> None:
    old = "2027-01-15T07:00:00+00:00"
    late = as_json("dovecot", DOVECOT.format(user="eve", address="192.0.2.9", key=9), t=old, s=old)
    made = warm(new())
    made.block((dovecot("alice", "192.0.2.8") + "\n" + late + "\n").encode(), NOW)
    assert 1 == made.counts.reasons[Reason.TOO_LATE]
    assert {"192.0.2.7", "192.0.2.8"} == set(made.ledger.authorisations)


def test_a_session_may_go_by_the_pid() -> None:
    line = HEAD + "teapop[{}]: Successful login for bob [192.0.2.1] from a.example [192.0.2.7]"
    made = warm(new(), line.format(1))
    assert is_straight(made, line.format(2))
    assert {"mx1 teapop 1", "mx1 teapop 2"} == set(made.ledger.sessions)


def test_behind_a_sign_nothing_goes_the_straight_way() -> None:
    made = warm(new(), HEAD + "pop3d: " + COURIER.format(user="bob", address="192.0.2.7", key=1))
    line = HEAD + "pop3d: " + COURIER.format(user="eve", address="203.0.113.66", key=1)
    assert not is_straight(warm(made, HEAD + "pop3d: " + PIECE), line)
    made.block(line.encode() + b"\n", NOW)
    assert 1 == made.counts.reasons[Reason.PIECE]
    assert {"192.0.2.7"} == set(made.ledger.authorisations)


@pytest.mark.parametrize(
    "policy", [{"require_tls": True}, {"require_vouched": True}], ids=lambda each: next(iter(each))
)
def test_what_the_site_asks_of_each_login_is_asked(policy: dict[str, Any]) -> None:
    made = warm(
        new(**policy), as_json("dovecot", DOVECOT.format(user="bob", address="192.0.2.7", key=1))
    )
    assert not is_straight(made, dovecot())
    no_uid = as_json("dovecot", DOVECOT.format(user="x", address="192.0.2.6", key=1), uid=None)
    assert not is_straight(made, no_uid)


def test_where_somebody_looks_at_outcomes_each_line_has_one() -> None:
    made = warm(new())
    made.trace.ask(NOW)
    made.block(dovecot().encode() + b"\n", NOW)
    assert 1 == len(made.trace.ask(NOW))
    made.trace.is_on = False
    made.ledger.events.debugging = True
    assert {} == made.usual.open_ways()


def test_a_new_configuration_is_heard_before_the_next_login() -> None:
    made = warm(new(trusted_uids={"dovecot": frozenset({97})}))
    by_97 = as_json("dovecot", DOVECOT.format(user="x", address="192.0.2.6", key=1), uid=97)
    assert is_straight(made, by_97)
    made.follow(new().policy)
    assert not is_straight(made, by_97)
    assert is_straight(warm(made), dovecot())
    assert not is_straight(made, by_97)


def test_another_rule_of_a_program_takes_its_way_over() -> None:
    made = warm(new())
    old = HEAD + "dovecot: imap-login: Login: bob [192.0.2.7]"
    assert not is_straight(made, old)
    assert is_straight(warm(made, old), old)
    assert not is_straight(made, dovecot())


@pytest.mark.parametrize(
    "line",
    [
        # Two servers of this name, only one of which has a logger that cuts.
        HEAD + "imapd: " + UW.format(user="bob", address="192.0.2.7"),
        # It shows no pieces, and is not named.
        HEAD + "inst/imap[7]: login: mail.example.org [192.0.2.7] bob plaintext User logged in",
        HEAD + "popa3d[7]: Authentication passed for bob",
    ],
)
def test_some_programs_have_no_straight_way(line: str) -> None:
    made = warm(new(), HEAD + "popa3d[7]: Session from 192.0.2.7", line)
    assert {} == made.usual.ways


def pipeline(matcher: Matcher, **policy: Any) -> Pipeline:
    made = new()
    return Pipeline(
        matcher=matcher,
        policy=Policy.of(**policy),
        ledger=made.ledger,
        correlator=made.correlator,
    )


def test_a_program_that_the_site_names_once_more_speaks_what_it_spoke() -> None:
    line = (
        HEAD + "imaps[7]: login: mail.example.org [192.0.2.7] {} plaintext+TLS User logged in "
        "SESSIONID=<mx1-1-1-1>"
    )
    made = warm(pipeline(Matcher(SERVERS, {"cyrus": ["imaps"]})), line.format("bob"))
    assert is_straight(made, line.format("alice"))
    protocols = {login.protocol for login in made.counts.take_logins()}
    assert {"imap"} == protocols


def test_a_server_whose_pieces_look_like_lines_has_no_way_beside_one_that_is_off() -> None:
    own = replace(apple.SERVER, name="own")
    made = pipeline(Matcher((own, apple.SERVER)), named=["own"])
    message = apple.SERVER.rules[0].samples[0].parts()[2]
    for number in range(2 * ENOUGH):
        line = f"Nov 20 10:00:00 mx{number} AppleMailServer: {message}\n"
        made.block(line.encode(), NOW)
    assert {"own": 2 * ENOUGH} == made.counts.logins
    assert {} == made.usual.ways


def test_a_block_is_worked_on_in_parts() -> None:
    made = new()
    long_one = HEAD + "dovecot: " + "x" * PART_BYTES
    logins = [dovecot(f"user{n}", f"192.0.{n // 200}.{n % 200 + 3}", f"K{n}") for n in range(900)]
    made.block("\n".join([*logins, long_one, *logins[:2], "no header"]).encode(), NOW)
    assert 900 == len(made.ledger.authorisations)
    assert {"dovecot": 900} == made.counts.logins
    assert 2 == made.counts.reasons[Reason.TOLD_TWICE]
    assert 1 == made.counts.reasons[Reason.TOO_LONG]
    assert {b"dovecot"} == made.usual.ways.keys()


class Alarm(BaseException):
    pass


def test_an_alarm_while_lines_are_read_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = warm(new())

    def rings(_text: str) -> list[tuple[str, ...]]:
        raise Alarm

    monkeypatch.setattr(made.usual, "reader", lambda: rings)
    made._lines = Lines(made.scanner, made.usual.reader)
    made.take((dovecot("alice", "192.0.2.8") + "\n" + dovecot("eve", "192.0.2.9")).encode())
    with pytest.raises(Alarm):
        made.work(NOW)
    made.work(NOW)
    assert {"192.0.2.7", "192.0.2.8", "192.0.2.9"} == set(made.ledger.authorisations)


def test_an_alarm_while_the_reader_is_made_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(first: int) -> bytes:
        by_courier = COURIER.format(user="bob", address=f"192.0.2.{first + 1}", key=1)
        lines = dovecot("alice", f"192.0.2.{first}"), HEAD + "pop3d: " + by_courier
        return "".join(line + "\n" for line in lines).encode()

    def rings(_messages: str) -> None:
        raise Alarm

    made = warm(new(), dovecot())
    made.block(dovecot().encode() + b"\n", NOW)
    warm(made, HEAD + "pop3d: " + COURIER.format(user="bob", address="192.0.2.7", key=1))
    with monkeypatch.context() as patched:
        patched.setattr(made.scanner, "reader", rings)
        made.take(both(8))
        with pytest.raises(Alarm):
            made.work(NOW)
        made.work(NOW)
    made.block(both(10), NOW)
    assert {f"192.0.2.{last}" for last in range(7, 12)} == set(made.ledger.authorisations)
    assert Reason.FAILED not in made.counts.reasons


def test_a_rule_that_may_read_more_than_a_line_has_a_way_for_the_feed_alone() -> None:
    of_a_site = Rule(
        "login",
        Accepted,
        wording("{user} from {address}") + token(r"\s{0,1}+", "a blank"),
        samples(""),
    )
    server = replace(apple.SERVER, name="own", programs={"acmepop": "pop3"}, rules=(of_a_site,),
                     carriage=SYSLOG, own_logs=())  # fmt: skip
    made = warm(pipeline(Matcher((server,))), HEAD + "acmepop: bob from 192.0.2.7")
    assert {b"acmepop"} == made.usual.ways.keys()
    assert made.usual.reader() is None
    assert is_straight(made, as_json("acmepop", "bob from 192.0.2.8"))


def test_a_line_that_stops_it_stops_no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    made = warm(new())

    def fails(*_arguments: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(made.usual, "take_found", fails)
    made.replay(dovecot("alice", "192.0.2.8").encode() + b"\n", lambda _line: NOW, NOW)
    assert 1 == made.counts.reasons[Reason.FAILED]
    assert "ZeroDivisionError" in made.failures[0].error


def test_a_replay_goes_it_too() -> None:
    made = warm(new())
    made.replay(dovecot("alice", "192.0.2.8").encode() + b"\n", lambda _line: None, NOW)
    assert "192.0.2.8" not in made.ledger.authorisations
    assert 1 == made.counts.reasons[Reason.NO_TIME]
    made.replay(dovecot("alice", "192.0.2.8").encode() + b"\n", lambda _line: NOW - 5, NOW)
    assert NOW - 5 == made.ledger.authorisations["192.0.2.8"].last
    by_json = as_json("dovecot", DOVECOT.format(user="x", address="192.0.2.6", key=7))
    made.replay(by_json.encode() + b"\n", lambda _line: NOW - 6, NOW)
    assert NOW - 6 == made.ledger.authorisations["192.0.2.6"].last
