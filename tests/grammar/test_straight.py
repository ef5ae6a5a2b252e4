"""The straight expression of a login reads a line as the general way does, or leaves it."""

from __future__ import annotations

import json
from functools import lru_cache

import pyparsing as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.addresses import canonical
from pbs_filter.grammar import (
    ADDRESS,
    IPV4,
    NUMBER,
    TEXT,
    Matcher,
    Rule,
    Server,
    line,
    samples,
    token,
)
from pbs_filter.grammar.attacks import CANARY
from pbs_filter.grammar.disjoint import are_disjoint, flat, without_front
from pbs_filter.grammar.matcher import Match
from pbs_filter.grammar.observe import protocol_of
from pbs_filter.grammar.reading import behind, within_a_line
from pbs_filter.grammar.straight import straight
from pbs_filter.grammar.tokens import name
from pbs_filter.model import Accepted, Reason, Record, Refused
from pbs_filter.servers import SERVERS
from pbs_filter.syslog.message import nil
from pbs_filter.syslog.scanner import (
    GROUPS_BEFORE,
    HOST_AT,
    LINE_AT,
    RFC5424_HOST_AT,
    Scanner,
    usual_tag,
)

from ..reading import read

MATCHER = Matcher(SERVERS)
LOGINS = [
    pytest.param(server, rule, id=f"{server.name}-{rule.name}")
    for server in SERVERS
    for rule in server.rules
    if rule.kind is Accepted and not rule.off
]
MESSAGES = sorted(
    {sample.parts()[2] for server in SERVERS for rule in server.rules for sample in rule.samples}
)
RFC5424 = "<22>1 2026-11-20T09:11:13.123456+01:00"
STAMPS = (
    RFC5424,
    "Nov 20 09:11:13",
    "<22>2026-11-20T09:11:13.123456+01:00",
    "2026 Nov  2 09:11:13,1",
)
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            " ",
            "\r",
            "\n",
            '"',
            "\\",
            ">",
            ", rip=" + CANARY,
            "::ffff:",
            "%eth0",
            ":",
            ".",
            "TLS",
            "\udc80",
        ]
    ),
    st.sampled_from(MESSAGES),
)


def in_text(stamp: str, program: str, pid: str, message: str) -> bytes:
    if stamp == RFC5424:
        line = f"{stamp} mx1 {program} {pid or '-'} - - {message}"
        return line.encode("utf-8", "surrogatepass")
    tag = f"{program}[{pid}]" if pid else program
    return f"{stamp} mx1 {tag}: {message}".encode("utf-8", "surrogatepass")


def in_json(program: str, pid: str, message: str) -> bytes:
    text = json.dumps(" " + message, ensure_ascii=False)
    return (
        '{"t":"2026-11-20T09:11:13.123456+01:00", "s":"2026-11-20T09:11:13+01:00", "h":"mx1", '
        f'"p":"{program}:", "pid":"{pid or "-"}", "in":"imuxsock", "from":"127.0.0.1", "uid": 0, '
        f'"msg":{text}}}'
    ).encode("utf-8", "surrogatepass")


@lru_cache(None)
def reader(server: Server, rule: Rule, program: str):
    """What reads lines of text in a block, and where their results stand."""
    made = MATCHER.straight(program, server, rule)
    before = GROUPS_BEFORE + 2
    read = Scanner([program]).reader(usual_tag(program) + behind(made.in_block, before))
    groups = (each and each + before for each in made.block_groups)
    return read, (GROUPS_BEFORE + 1, GROUPS_BEFORE + 2, *groups)


def said_in_text(made, read, groups, lines):
    """Yield each line of text that is read straight, in a block of all, and what is read in it."""
    block = b"".join(b"\n" + each for each in lines).decode("utf-8", "surrogateescape")
    for found in read(block):
        pid, other_pid, message, *results = (found[group - 1] if group else "" for group in groups)
        if message:
            line = found[LINE_AT].encode("utf-8", "surrogateescape")
            yield (
                line,
                meant(
                    made,
                    found[HOST_AT] or nil(found[RFC5424_HOST_AT]),
                    pid or nil(other_pid),
                    message,
                    *results,
                ),
            )


def said_in_json(made, line: bytes):
    """What the straight expression reads in a line of the feed; None: it does not."""
    text = line.decode("utf-8", "surrogateescape")
    match = made.in_json(text, 0, len(text) - 2) if text.endswith('"}') else None
    if match is None:
        return None
    host, tag_pid, pid, *_ = match.group(*made.json_groups)[4:]
    results = match.group(*made.json_groups)[10:]
    return meant(made, host, tag_pid or pid.replace("-", ""), *results)


def meant(made, host, pid, message, user, address, spelt, local, service, key):
    """The header, the message, and the login."""
    address = address or canonical(spelt)
    session = {"": None, "pid": pid or None, "key": key or None}.get(
        made.session, f"{user},{address},{key}" if user and key else None
    )
    return (
        host,
        pid or "",
        message,
        user,
        address,
        canonical(local) if made.has_local and local else None,
        protocol_of(service) if made.has_protocol and service else None,
        session,
    )


def compare(server: Server, rule: Rule, program: str, lines) -> int:
    """How many of `lines` the straight expression reads, each as the general way does."""
    made = MATCHER.straight(program, server, rule)
    if made is None:
        return 0
    texts = [each for each in lines if not each.startswith(b"{")]
    feed = [each for each in lines if each.startswith(b"{") and b"\n" not in each]
    found = [*said_in_text(made, *reader(server, rule, program), texts)]
    found += [(each, said_in_json(made, each)) for each in feed]
    count = 0
    for found_line, said in found:
        if said is None:
            continue
        host, pid, message, user, address, local, service, session = said
        record = read(found_line)
        assert isinstance(record, Record)
        assert (host, pid, message, program) == (
            record.host,
            record.pid,
            record.message,
            record.program,
        )
        reading = MATCHER.read(record)
        if address is None:  # as written, it is not one
            assert not isinstance(reading, Match)
            continue
        assert isinstance(reading, Match)
        assert (server, rule) == (reading.server, reading.rule)
        login = reading.observation
        assert isinstance(login, Accepted)
        spoken = rule.protocol or MATCHER.protocol_of(program, server)
        assert (user, address, local, service or spoken, session) == (
            login.user,
            login.address,
            login.local,
            login.protocol,
            login.session,
        )
        count += 1
    return count


def carried(program: str, message: str):
    for pid in ("", "4711"):
        yield from (in_text(stamp, program, pid, message) for stamp in STAMPS)
        yield in_json(program, pid, message)
        yield in_json(program, pid, message).replace(b'"uid": 0, ', b"").replace(b"imux", b"imf")


@pytest.mark.parametrize(("server", "rule"), LOGINS)
def test_samples_are_read_as_the_general_way_reads_them(server: Server, rule: Rule) -> None:
    for program in sorted(server.programs)[:2]:
        lines = [each for message in MESSAGES for each in carried(program, message)]
        count = compare(server, rule, program, lines)
        if server.name in ("dovecot", "courier", "uw") and rule.name == "login":
            assert count > 3 * len(STAMPS), "else the test would compare nothing"


USUAL = [
    (server, rule, program, sample.parts()[2])
    for server in SERVERS
    if server.name in ("dovecot", "courier", "cyrus", "uw", "vpopmail", "stalwart-journal")
    for rule in server.rules
    if rule.kind is Accepted and not rule.off
    for program in sorted(server.programs)[:1]
    for sample in rule.samples
]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(USUAL),
    TEXTS,
    st.integers(0, 200),
    st.integers(0, 200),
    st.sampled_from(["", "7"]),
    st.sampled_from(STAMPS),
)
def test_what_is_read_of_a_changed_line_is_what_the_general_way_reads(
    usual, text, start, length, pid, stamp
) -> None:
    server, rule, program, message = usual
    changed = message[:start] + text + message[start + length :]
    try:
        lines = [in_text(stamp, program, pid, changed), in_json(program, pid, changed)]
    except UnicodeEncodeError:
        return
    compare(server, rule, program, lines)
    whole = in_text(stamp, program, pid, message)
    compare(
        server,
        rule,
        program,
        [whole[:start] + text.encode("utf-8", "replace") + whole[start + length :]],
    )


def rule_of(expression: pp.ParserElement, **more) -> Rule:
    return Rule("login", Accepted, expression, samples(""), **more)


@pytest.mark.parametrize(
    "rule",
    [
        rule_of(line("{user} from {address}"), escaped=True),
        rule_of(line("{user} from {address}"), session=("address",)),
        rule_of(pp.Opt(line("{user} ")) + "from " + ADDRESS("address")),
        rule_of(line("{user} from ") + IPV4("address")),
        rule_of(
            pp.Opt("(" + NUMBER("key") + ") ") + line("Login: {user} from {address}"),
            session=("key",),
        ),
        rule_of(
            line("{user} from {address}")
            + pp.Opt((" to " + ADDRESS("local")) | (" by " + ADDRESS("local")))
        ),
    ],
)
def test_a_rule_of_another_kind_has_no_straight_expression(rule: Rule) -> None:
    assert straight(rule, (), "acmepop") is None


@pytest.mark.parametrize(
    "rule",
    [
        rule_of(line("{user} from {address}") + pp.Opt(" as " + token("x{0,3}+", "x")("protocol"))),
        rule_of(line("{user} from {address} ") + token("x{0,3}+", "x")("key"), session=("key",)),
    ],
)
def test_a_result_that_may_be_empty_is_for_the_general_way(rule: Rule) -> None:
    assert straight(rule, (), "acmepop") is None


@pytest.mark.parametrize("pattern", [r"(?<!\S)bob", "(?<! )bob", r"\Abob", "^bob", r"\Bbob"])
def test_what_looks_in_front_of_the_message_is_for_the_general_way(pattern: str) -> None:
    login = rule_of(line("{user} from {address}"))
    assert straight(login, (rule_of(token("bob", "bob") + TEXT),), "acmepop") is not None
    assert straight(login, (rule_of(token(pattern, "bob") + TEXT),), "acmepop") is None
    own = token(f"(?:{pattern}|[a-z]{{1,9}}+)", "a name")("user") + line(" from {address}")
    assert straight(rule_of(own), (), "acmepop") is None


def test_a_rival_that_looks_in_front_bars_on_each_way() -> None:
    rival = Rule("refused", Refused, token(r"(?<!\S)bob", "bob") + TEXT, samples(""))
    rules = rule_of(line("{user} from {address}")), rival
    own = Server(name="own", title="", versions="", programs={"acmepop": "pop3"}, rules=rules)
    read_line = in_json("acmepop", "", "bob from 203.0.113.66").replace(b'" bob', b'"bob')
    record = read(read_line)
    matcher = Matcher([own])
    assert isinstance(record, Record)
    assert Reason.TWO_RULES is matcher.read(record)
    made = matcher.straight("acmepop", own, rules[0])
    assert made is None or said_in_json(made, read_line) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"a\s",
        "[^x]",
        r"[\s]",
        "a$",
        "(?s:a.)",
        "(?m:a)",
        r"\x0a",
        "\n",
        "\\\n",
        r"\W",
    ],
)
def test_what_might_read_more_than_a_line_is_for_no_block(pattern: str) -> None:
    assert within_a_line(pattern) is None
    made = straight(rule_of(line("{user} from {address}") + token(pattern, "x")), (), "acmepop")
    assert made is not None
    assert made.in_block is None


def test_in_a_block_the_end_of_a_line_is_its_newline() -> None:
    pattern = r"\\Z(?i:[^\n]){2}(?s:.)\Z"
    assert r"\\Z(?i:[^\n]){2}.$" == within_a_line(pattern)


BEGIN = pp.Literal("LOGIN, user=")
WORD = token("[a-z]{1,9}+", "a word")


@pytest.mark.parametrize(
    ("usual", "rival"),
    [
        (BEGIN, pp.Literal("LOGOUT")),
        (BEGIN, pp.Opt("INFO: ") + "LOGOUT"),
        (BEGIN, pp.Opt("LOGIN, ") + "LOGIN"),
        (BEGIN, pp.Literal("LOGIN") | "LOGIN"),
        (BEGIN, token("(?!LOGIN|x)[A-Z](?:a|b)", "no login") + "y"),
        (BEGIN, token("[A-Z]{1,9}+", "a word") + " "),
        (BEGIN, "LOG" + name() + " ["),
        (BEGIN, "LOGIN, " + name("=") + " "),
        (BEGIN + WORD + ", port=", BEGIN + WORD + pp.Opt(", protocol=") + pp.StringEnd()),
        (BEGIN + WORD + ", port=", BEGIN + WORD + ~pp.Literal("x") + "."),
    ],
)
def test_two_that_no_line_fits_are_told_apart(usual, rival) -> None:
    assert are_disjoint(flat(usual), rival)


@pytest.mark.parametrize(
    ("usual", "rival"),
    [
        (BEGIN, BEGIN),
        (BEGIN, pp.Literal("LOGIN, user=x")),
        (BEGIN, token("(?!LOGIN)x|L", "one of two") + "OGIN, user="),
        (BEGIN, token("(?!LOGIN(?!,))[A-Z]{5,5}+", "LOGIN only before a comma") + ", user="),
        (BEGIN, token("(?i:login)", "any case")),
        (BEGIN, token("[A-Z, a-z=]{1,99}+", "a word")),
        (BEGIN, "LOGIN" + name(";") + " "),
        (BEGIN, name("x") + "user="),
        (BEGIN, token("[A-Z]{9,99}+", "a long word")),
        (BEGIN, pp.Each([pp.Literal("LOGIN, user=")])),
        (BEGIN, pp.FollowedBy("L") + "LOGIN, user="),
    ],
)
def test_two_that_a_line_may_fit_are_not(usual, rival) -> None:
    assert not are_disjoint([usual], rival)


def test_what_may_stand_in_front_is_left_out_only_if_it_begins_otherwise() -> None:
    info, name = pp.Opt("INFO: "), pp.Literal("LOGIN")
    assert [name] == without_front([info, name])
    again = pp.Opt("LOG")
    assert [again, name] == without_front([again, name])
    assert [info] == without_front([info])
