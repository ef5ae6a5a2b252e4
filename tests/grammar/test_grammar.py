"""Tokens, samples and the matcher: the rule that reads a line, and its observation."""

from __future__ import annotations

import unicodedata

import pyparsing as pp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import GrammarError
from pbs_filter.grammar import (
    ADDRESS,
    ADDRESS_BEFORE_PORT,
    HOST,
    IPV4,
    NUMBER,
    PORT,
    TEXT,
    USER,
    WORD,
    Matcher,
    Rule,
    Server,
    name,
    name_before,
    observe,
    quoted_name,
)
from pbs_filter.grammar.compiler import translate
from pbs_filter.grammar.observe import protocol_of
from pbs_filter.model import Accepted, Connected, Ended, Ignored, Reason, Record, Refused
from pbs_filter.servers import SERVERS

from .sample import no

# ------------------------------------------------------------------ tokens

READ = [
    (USER, "bob"),
    (USER, "bob@example.org"),
    (USER, "élise+2"),
    (USER, "дима"),
    (USER, "x" * 255),
    (ADDRESS, "192.0.2.7"),
    (ADDRESS, "2001:DB8:0:0:0:0:0:7"),
    (ADDRESS, "::ffff:192.0.2.7"),
    (ADDRESS, "fe80::1%eth0"),
    (IPV4, "192.0.2.7"),
    (NUMBER, "0"),
    (PORT, "65535"),
    (HOST, "dsl-7.isp.example"),
    (HOST, "7/25.2.0.192.in-addr.arpa"),
    (WORD("a-f", 3), "abc"),
    (USER, "EXAMPLE\\o'brien={`x`}"),
    (USER, "用户\U0001f600"),
    (name(less="<>"), 'pat o\'neil, (x) [y] "z"; a:b'),
    (name(less="@"), "a-b^c]d\\e"),
    (name_before('" at (', " x"), 'a" at ["b'),
    (name_before(">,", last=">"), "a>b"),
    (quoted_name(), 'a\\\\b\\"c \\/'),
    (TEXT, ""),
    (TEXT, "anything\nat all \udc80"),
]
NOT_READ = [
    (USER, ""),
    (USER, "x" * 256),
    (USER, "a b"),
    (USER, "a\tb"),
    (USER, "a\nb"),
    (USER, "a\x85b"),
    (USER, "a\u2028b"),
    (USER, "a\u202eb"),
    (USER, "a\ufeffb"),
    (USER, "a\udc80b"),
    (USER, "a\U000e0001b"),
    *((USER, f"a{sign}b") for sign in '<>()[],;:"'),
    (name_before('" at (', " x"), 'a" at (b'),
    (name_before('" at (', " x"), "a xb"),
    (name_before("x", most=3), "abcd"),
    (name_before(">,", last=">"), "ab>"),
    (name_before("x"), "a\nb"),
    (quoted_name(), 'a"b'),
    (quoted_name(), "a\\b"),
    (quoted_name(most=3), "abcd"),
    (ADDRESS, "x"),
    (ADDRESS, "192.0.2.7 "),
    (ADDRESS, "a" * 46),
    (IPV4, "192.0.2"),
    (IPV4, "1920.0.2.7"),
    (NUMBER, "1" * 21),
    (NUMBER, "٣"),
    (PORT, "123456"),
    (HOST, "a b"),
    (HOST, "a[b"),
    (WORD("a-f", 3), "abcd"),
    (WORD("a-f", 3), ""),
    (name(less="@"), "bob@example.org"),
    (name(less="-^]"), "a]b"),
    (name(most=3), "abcd"),
    (name(most=3), "übcd"),
]


@pytest.mark.parametrize(("token", "text"), READ)
def test_token_reads(token: pp.Regex, text: str) -> None:
    assert token.re.fullmatch(text)


@pytest.mark.parametrize(("token", "text"), NOT_READ)
def test_token_does_not_read(token: pp.Regex, text: str) -> None:
    assert not token.re.fullmatch(text)


def test_no_character_that_people_do_not_see_is_part_of_a_user_name() -> None:
    unseen = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp")
    ]
    anything = name(less=""), name_before("\x00"), quoted_name()
    for token in anything:
        assert [" "] == [char for char in unseen if token.re.match(char)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7:110", "192.0.2.7"),
        ("2001:db8::7:110", "2001:db8::7"),
        ("::ffff:192.0.2.7:65535", "::ffff:192.0.2.7"),
        ("192.0.2.7", None),
        ("192.0.2.7:", None),
        ("192.0.2.7:123456", None),
    ],
)
def test_the_last_colon_is_the_ports(text: str, address: str | None) -> None:
    found = ADDRESS_BEFORE_PORT.re.match(text)
    assert address == (found.group() if found else None)


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("popa3d[7]: Session from x", ("popa3d", "7", "Session from x")),
        ("cyrus/imap: login: x", ("cyrus/imap", "", "login: x")),
        ("imapd: ", ("imapd", "", "")),
        ("x: a\nb", ("x", "", "a\nb")),
    ],
)
def test_a_sample_is_program_pid_and_message(line: str, parts: tuple[str, str, str]) -> None:
    assert parts == no(line, "").parts()


@pytest.mark.parametrize(
    "line", ["", "popa3d", "popa3d:x", "popa3d[x]: y", "Nov 20 mx1 a: b", ": x"]
)
def test_a_sample_of_another_shape_is_an_error(line: str) -> None:
    with pytest.raises(GrammarError, match="must look like"):
        no(line, "").parts()


# ------------------------------------------------------------------ the reader


def rule(name: str, kind, expression, **more) -> Rule:
    return Rule(name=name, kind=kind, expression=expression, samples=(), **more)


def server(*rules: Rule, name: str = "test", programs=None, **more) -> Server:
    return Server(
        name=name,
        title=name,
        versions="1",
        programs={"testd": None} if programs is None else programs,
        rules=rules,
        **more,
    )


def read(reader: Matcher | Server, message: str, program: str = "testd", pid: str = "7"):
    reader = Matcher([reader]) if isinstance(reader, Server) else reader
    reading = reader.read(Record(program, message, "mx1", pid))
    return reading if isinstance(reading, Reason) else reading.observation


LOGIN = rule(
    "login",
    Accepted,
    "in " + USER("user") + " " + ADDRESS("address") + pp.Opt(" at " + ADDRESS("local")),
)


def test_a_program_that_nobody_claims_is_another_program() -> None:
    assert Reason.OTHER_PROGRAM is read(server(LOGIN), "in bob 192.0.2.7", program="sshd")


def test_a_message_that_no_rule_reads() -> None:
    assert Reason.NO_RULE is read(server(LOGIN), "in bob 192.0.2.7 ")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("in bob 192.0.2.7", Accepted(user="bob", address="192.0.2.7")),
        ("in bob ::FFFF:192.0.2.7", Accepted(user="bob", address="192.0.2.7")),
        ("in bob 2001:DB8:0:0::7", Accepted(user="bob", address="2001:db8::7")),
        (
            "in bob 192.0.2.7 at ::ffff:192.0.2.1",
            Accepted(user="bob", address="192.0.2.7", local="192.0.2.1"),
        ),
        # The server's own address may be odd; it only ever takes addresses away.
        ("in bob 192.0.2.7 at 1.2", Accepted(user="bob", address="192.0.2.7")),
        ("in bob 192.0.2", Reason.NOT_AN_ADDRESS),
        ("in bob 192.0.2.777", Reason.NOT_AN_ADDRESS),
        ("in bob fe80::1%eth0", Reason.NOT_AN_ADDRESS),
    ],
)
def test_addresses_come_out_canonical_or_not_at_all(message: str, expected: object) -> None:
    assert expected == read(server(LOGIN), message)


def test_the_protocol_is_the_rules_then_the_lines_then_the_programs() -> None:
    said = pp.one_of(["POP3S", "imap-login", "smtp"])("protocol")
    line = "in " + ADDRESS("address") + pp.Opt(" by " + said)
    by_line = server(rule("login", Accepted, line), programs={"testd": "pop3", "x": None})
    by_rule = server(rule("login", Accepted, line, protocol="imap"), programs={"testd": "pop3"})

    def protocol(reader: Server, message: str, program: str = "testd") -> str | None:
        return read(reader, message, program).protocol

    assert "pop3" == protocol(by_line, "in 192.0.2.7")
    assert None is protocol(by_line, "in 192.0.2.7", "x")
    assert "pop3" == protocol(by_line, "in 192.0.2.7 by POP3S", "x")
    assert "imap" == protocol(by_line, "in 192.0.2.7 by imap-login")
    assert None is protocol(by_line, "in 192.0.2.7 by smtp")
    assert "imap" == protocol(by_rule, "in 192.0.2.7 by POP3S")


@pytest.mark.parametrize(
    ("text", "protocol"),
    [("pop3", "pop3"), ("POP3S", "pop3"), ("imap4d", "imap"), ("IMAPS", "imap"), ("ima", None)],
)
def test_names_of_services(text: str, protocol: str | None) -> None:
    assert protocol == protocol_of(text)


SESSIONS = [
    ((), None),
    (("pid",), "7"),
    (("id",), "x1"),
    (("address", "id"), "192.0.2.7,x1"),
    (("pid", "user", "id"), "7,bob,x1"),
]


@pytest.mark.parametrize(("parts", "session"), SESSIONS)
def test_a_sessions_key_is_made_of_its_parts(parts: tuple[str, ...], session: str | None) -> None:
    line = "in " + USER("user") + " " + ADDRESS("address") + pp.Opt(" " + WORD("a-z0-9", 9)("id"))
    one = server(rule("login", Accepted, line, session=parts))
    assert session == read(one, "in bob ::ffff:192.0.2.7 x1").session
    if "id" in parts:
        assert None is read(one, "in bob 192.0.2.7").session


def test_without_its_session_a_line_that_needs_one_is_not_read() -> None:
    one = server(
        rule("connected", Connected, "from " + ADDRESS("address"), session=("pid",)),
        rule("login", Accepted, "in " + USER("user"), session=("pid",)),
        rule("end", Ended, pp.Literal("bye"), session=("pid",)),
        rule("end-of", Ended, "bye " + USER("user"), session=("pid",)),
    )
    assert Connected(address="192.0.2.7", session="7") == read(one, "from 192.0.2.7")
    assert Reason.NOT_AN_ADDRESS is read(one, "from 192.0.2")
    assert Accepted(user="bob", session="7") == read(one, "in bob")
    assert Ended(session="7") == read(one, "bye")
    assert Ended(session="7", user="bob") == read(one, "bye bob")
    for message in ("from 192.0.2.7", "in bob", "bye"):
        assert Reason.NO_RULE is read(one, message, pid="")
    assert Ended(user="bob") == read(one, "bye bob", pid="")


def test_what_changes_nothing_is_told_as_far_as_it_goes() -> None:
    one = server(
        rule("refused", Refused, "no " + USER("user") + pp.Opt(" " + ADDRESS("address"))),
        rule("noise", Ignored, "# " + TEXT),
    )
    assert Refused(user="bob", address="192.0.2.7") == read(one, "no bob ::ffff:192.0.2.7")
    assert Refused(user="bob") == read(one, "no bob 192.0.2")
    assert Ignored() == read(one, "# anything [203.0.113.66]")


def test_a_result_may_be_in_one_of_several_places() -> None:
    places = "in " + ((ADDRESS("address") + "!") | ("[" + ADDRESS("address") + "]"))
    places = places | "ip " + ADDRESS("address")
    one = server(rule("login", Accepted, places))
    for message in ("in 192.0.2.7!", "in [192.0.2.7]", "ip 192.0.2.7"):
        assert "192.0.2.7" == read(one, message).address


def test_two_rules_of_different_meaning_are_nobodys_word() -> None:
    first = rule("login", Accepted, "in " + ADDRESS("address"))
    for kind, expression in (
        (Ignored, "in " + TEXT),
        (Accepted, "in " + ADDRESS("address") + pp.Opt(USER("user"))),
        (Accepted, pp.Regex("[a-z ]{1,9}+") + ADDRESS("address")),
    ):
        second = rule("other", kind, expression)
        expected = Accepted(user="", address="192.0.2.7")
        if kind is Ignored:
            expected = Reason.TWO_RULES
        assert expected == read(server(first, second), "in 192.0.2.7")
        assert expected == read(server(second, first), "in 192.0.2.7")


def test_two_servers_that_read_an_address_differently_are_nobodys_word() -> None:
    one = server(rule("login", Accepted, "in " + ADDRESS("address") + " " + ADDRESS), name="one")
    two = server(rule("login", Accepted, "in " + ADDRESS + " " + ADDRESS("address")), name="two")
    assert Reason.TWO_RULES is read(Matcher([one, two]), "in 192.0.2.7 198.51.100.7")
    assert "192.0.2.7" == read(Matcher([one, two]), "in 192.0.2.7 192.0.2.7").address


def test_rules_that_are_off_are_read_where_they_are_enabled() -> None:
    one = server(rule("proxy", Accepted, "in " + ADDRESS("address"), off=True))
    assert Reason.NO_RULE is read(Matcher([one]), "in 192.0.2.7")
    assert "192.0.2.7" == read(Matcher([one], enable=["test-proxy"]), "in 192.0.2.7").address


def test_more_programs_speak_what_the_servers_own_speak() -> None:
    one = server(LOGIN, name="one", programs={"a": "pop3", "b": "pop3"})
    two = server(LOGIN, name="two", programs={"c": "pop3", "d": "imap"})
    reader = Matcher([one, two], programs={"one": ["mypop"], "two": ["mymail"]})
    assert {"a", "b", "c", "d", "mypop", "mymail"} == reader.program_names
    assert "pop3" == read(reader, "in bob 192.0.2.7", "mypop").protocol
    assert None is read(reader, "in bob 192.0.2.7", "mymail").protocol


def test_an_instance_path_may_stand_before_the_program_where_the_server_has_instances() -> None:
    one = server(LOGIN, name="one", programs={"imap": "imap"}, instances=True)
    two = server(LOGIN, name="two", programs={"pop3": "pop3"})
    reader = Matcher([one, two])
    assert reader.claims("backend2/imap")
    assert not reader.claims("backend2/pop3")
    assert "imap" == read(reader, "in bob 192.0.2.7", "backend2/imap").protocol
    assert {"imap"} == reader.instance_names


def test_explain_says_how_far_each_rule_read() -> None:
    one = server(LOGIN, rule("end", Ended, "in " + USER("user") + " out"))
    best, second = Matcher([one]).explain(Record("testd", "in bob 192.0.2.7 and more"))
    assert ("login", 16, "Expected end of text") == (best.rule.name, best.position, best.expected)
    assert ("end", 6, "Expected ' out'") == (second.rule.name, second.position, second.expected)
    whole = Matcher([one]).explain(Record("testd", "in bob 192.0.2.7"))[0]
    assert ("login", 16, "") == (whole.rule.name, whole.position, whole.expected)


def test_only_the_rules_that_lines_come_to_are_compiled() -> None:
    broken = rule("broken", Ignored, pp.Literal("a") + pp.Regex("(?i)b"))
    reader = Matcher([server(LOGIN, broken), server(LOGIN, name="other", programs={"x": None})])
    assert "192.0.2.7" == read(reader, "in bob 192.0.2.7", "x").address
    assert "192.0.2.7" == read(reader, "in bob 192.0.2.7").address
    with pytest.raises(GrammarError, match="complete in itself"):
        read(reader, "ab")


ALL = Matcher(SERVERS)
MESSAGES = [
    (program, message)
    for one in SERVERS
    for each in one.rules
    for program, _, message in [sample.parts() for sample in each.samples]
]


@given(st.sampled_from(MESSAGES), st.text(max_size=20), st.integers(0, 80))
def test_the_table_of_beginnings_leaves_out_no_rule_that_fits(line, text, position) -> None:
    """What `read` finds among its candidates is what trying every rule finds."""
    program, message = line
    for record in (
        Record(program, message, "mx1", "7"),
        Record(program, message[:position] + text + message[position:], "mx1", "7"),
        Record(program, message[:position], "mx1", "7"),
    ):
        reading = ALL.read(record)
        fitting = ALL.all_fitting(record)
        if not isinstance(reading, Reason):
            assert reading.rule in [rule for _, rule in fitting]
        elif reading is Reason.NO_RULE:
            # A rule may fit and miss a part of its session; then it reads nothing.
            assert [] == [rule.name for _, rule in fitting if not rule.session]


LOGINS = [
    pytest.param(rule, id=f"{server.name}-{rule.name}")
    for server in SERVERS
    for rule in server.rules
    if rule.kind is Accepted
]


@pytest.mark.parametrize("rule", LOGINS)
def test_the_quick_way_to_a_logins_results_gives_what_the_general_one_gives(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = translate(rule.expression)
    quick = observe.builder(rule, pattern.groups, "imap")
    monkeypatch.setattr(observe, "_at_once", lambda *_: None)
    general = observe.builder(rule, pattern.groups, "imap")
    fullmatch = pattern.compile().fullmatch
    compared = 0
    for sample in rule.samples:
        _, pid, message = sample.parts()
        match = fullmatch(message)
        if match is not None:
            compared += 1
            assert general(match, pid) == quick(match, pid)
            assert general(match, "") == quick(match, "")
    assert compared


def test_most_logins_go_the_quick_way() -> None:
    """Else the test above would compare the general way with itself. (A compiled function has no
    `__name__`.)"""
    quick = [
        rule
        for (rule,) in (each.values for each in LOGINS)
        if "at_once" in repr(observe.builder(rule, translate(rule.expression).groups, None))
    ]
    assert len(quick) > len(LOGINS) / 2
