"""The conversations with MTAs: tables of (request, reply), each cut in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.errors import ConfigError, ProtocolError
from pbs_filter.lookup.answer import NO, NOT_NOW, YES
from pbs_filter.lookup.protocols import opensmtpd, policy, relaylock, socketmap
from pbs_filter.lookup.senders import Binding
from pbs_filter.lookup.trace import xtext
from pbs_filter.map_format import check, entry

KNOWN = {b"192.0.2.7": YES, b"2001:db8::7": YES, b"192.0.2.66": NOT_NOW}
TROUBLE = "map M: locked by a writer"


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def talk(
    conversation: socketmap.Conversation | policy.Conversation, blocks: list[bytes]
) -> tuple[bytes, bool]:
    """The replies to `blocks`, and whether the conversation is to be closed after them."""
    replies = b""
    for block in blocks:
        conversation.feed(block)
        try:
            while question := conversation.question():
                answer = KNOWN.get(question[0], NO)
                replies += conversation.reply(answer, TROUBLE)
        except ProtocolError as error:
            return replies + error.reply, True
    return replies, False


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    for size in (1, 2, 3, 7, 16, 128):
        yield pieces(data, size)
    for at in range(1, min(len(data), 400)):
        yield [data[:at], data[at:]]


# ------------------------------------------------------------------ socketmap

OK, NOTFOUND, TEMP = b"5:OK OK,", b"9:NOTFOUND ,", b"30:TEMP map M: locked by a writer,"

SOCKETMAP = [
    ("granted", b"13:pbs 192.0.2.7,", OK),
    ("IPv6", b"15:pbs 2001:db8::7,", OK),
    ("not there", b"13:pbs 192.0.2.8,", NOTFOUND),
    ("cannot say", b"14:pbs 192.0.2.66,", TEMP),
    ("no key", b"4:pbs ,", NOTFOUND),
    ("no name", b"10: 192.0.2.7,", OK),
    ("another name", b"19:mynetwork 192.0.2.7,", OK),
    ("a host name", b"25:pbs mail.evil.example.com,", NOTFOUND),
    ("a key with a blank", b"15:pbs 192.0.2.7 x,", NOTFOUND),
    ("two blanks", b"14:pbs  192.0.2.7,", NOTFOUND),
    ("a key with a comma", b"14:pbs 192.0.2.7,,", NOTFOUND),
    ("bytes that are no text", b"7:pbs \xff\x00\n,", NOTFOUND),
    ("the longest", b"1024:pbs " + b"x" * 1020 + b",", NOTFOUND),
    ("in a row", b"13:pbs 192.0.2.7,13:pbs 192.0.2.8,14:pbs 192.0.2.66,", OK + NOTFOUND + TEMP),
    ("half", b"13:pbs 192.0.2.", b""),
    ("without its comma", b"13:pbs 192.0.2.7", b""),
    ("a length alone", b"13", b""),
    ("nothing", b"", b""),
]


@pytest.mark.parametrize(("request_", "expected"), [row[1:] for row in SOCKETMAP],
                         ids=[row[0] for row in SOCKETMAP])  # fmt: skip
def test_socketmap_answers_however_the_request_is_cut(request_: bytes, expected: bytes) -> None:
    for blocks in every_cut(request_):
        assert (expected, False) == talk(socketmap.Conversation(), blocks)


SOCKETMAP_VIOLATIONS = [
    ("no number", b"pbs 192.0.2.7\n", "begins with its length"),
    ("a negative number", b"-1:x,", "begins with its length"),
    ("a sign", b"+13:pbs 192.0.2.7,", "begins with its length"),
    ("a blank", b" 13:pbs 192.0.2.7,", "begins with its length"),
    ("a leading zero", b"013:pbs 192.0.2.7,", "begins with its length"),
    ("no length at all", b":pbs 192.0.2.7,", "begins with its length"),
    ("a line feed between", b"13:pbs 192.0.2.7,\n13:pbs 192.0.2.7,", "begins with its length"),
    ("too long", b"1025:", "at most 1024"),
    ("much too long", b"99999999999999999999", "at most 1024"),
    ("no comma", b"13:pbs 192.0.2.7;", "comma"),
    ("a length too short", b"12:pbs 192.0.2.7,", "comma"),
    ("no blank", b"9:192.0.2.7,", "blank"),
    ("empty", b"0:,", "blank"),
    ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n", "begins with its length"),
    ("the policy protocol", b"request=smtpd_access_policy\n\n", "begins with its length"),
]


@pytest.mark.parametrize(("request_", "why"), [row[1:] for row in SOCKETMAP_VIOLATIONS],
                         ids=[row[0] for row in SOCKETMAP_VIOLATIONS])  # fmt: skip
def test_socketmap_ends_a_broken_conversation_with_not_now(request_: bytes, why: str) -> None:
    for blocks in every_cut(request_):
        replies, closed = talk(socketmap.Conversation(), blocks)
        assert closed
        length, _, rest = replies.removeprefix(OK).partition(b":")
        assert int(length) == len(rest) - 1
        assert rest.startswith(b"TEMP protocol error: ")
        assert rest.endswith(b",")
        assert why.encode() in rest


@given(st.text(max_size=400))
def test_a_socketmap_reply_is_one_line_of_ascii_whatever_went_wrong(trouble: str) -> None:
    length, _, rest = socketmap.reply(NOT_NOW, trouble).partition(b":")
    assert int(length) == len(rest) - 1 <= 205
    assert rest.isascii()
    assert rest.decode().isprintable()


@given(st.lists(st.sampled_from(SOCKETMAP[:14]), max_size=20), st.integers(1, 50))
def test_socketmap_answers_in_order_over_one_connection(
    rows: list[tuple[str, bytes, bytes]], size: int
) -> None:
    asked = b"".join(row[1] for row in rows)
    expected = b"".join(row[2] for row in rows)
    assert (expected, False) == talk(socketmap.Conversation(), pieces(asked, size))


# ------------------------------------------------------------------ policy

MAY, MAY_NOT = b"action=OK\n\n", b"action=DUNNO\n\n"
LATER = b"action=451 4.3.0 Cannot check now whether you may relay, try again later\n\n"


def request(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in (b"request=smtpd_access_policy", *lines)) + b"\n"


POSTFIX_ASKS = request(
    b"protocol_state=RCPT",
    b"protocol_name=ESMTP",
    b"client_address=192.0.2.7",
    b"client_name=mail.evil.example.com",
    b"helo_name=client_address=203.0.113.66",
    b"sender=bob@example.org",
    b"recipient=a=b=c@remote.example",
    b"instance=123.456.7",
)

POLICY = [
    ("granted", POSTFIX_ASKS, MAY),
    ("granted, short", request(b"client_address=192.0.2.7"), MAY),
    ("not there", request(b"client_address=192.0.2.8"), MAY_NOT),
    ("cannot say", request(b"client_address=192.0.2.66"), LATER),
    ("no address", request(b"client_name=192.0.2.7"), MAY_NOT),
    ("an empty address", request(b"client_address="), MAY_NOT),
    ("an address as a name", request(b"client_address=unknown", b"client_name=192.0.2.7"), MAY_NOT),
    ("names with capitals are other names", request(b"Client_Address=192.0.2.7"), MAY_NOT),
    ("names with blanks are other names", request(b" client_address=192.0.2.7"), MAY_NOT),
    ("in a row", POSTFIX_ASKS + request(b"client_address=192.0.2.66"), MAY + LATER),
    ("the longest", request(b"x=" + b"y" * (32768 - 30)), MAY_NOT),
    ("half", POSTFIX_ASKS[:-1], b""),
    ("nothing", b"", b""),
]


@pytest.mark.parametrize(("request_", "expected"), [row[1:] for row in POLICY],
                         ids=[row[0] for row in POLICY])  # fmt: skip
def test_policy_answers_however_the_request_is_cut(request_: bytes, expected: bytes) -> None:
    cuts = every_cut(request_) if len(request_) < 1000 else [pieces(request_, 4096)]
    for blocks in cuts:
        assert (expected, False) == talk(policy.Conversation(), blocks)


POLICY_VIOLATIONS = [
    ("another request", b"request=junk\nclient_address=192.0.2.7\n\n", "smtpd_access_policy"),
    ("no request", b"client_address=192.0.2.7\n\n", "smtpd_access_policy"),
    ("two requests", request(b"request=smtpd_access_policy"), "request is given twice"),
    (
        "two addresses",
        request(b"client_address=203.0.113.66", b"client_address=192.0.2.7"),
        "client_address is given twice",
    ),
    ("two senders", request(b"sender=a@example.org", b"sender=b@example.org"), "sender is given"),
    ("a line without =", request(b"client_address"), "'='"),
    ("an empty line first", b"\n" + POSTFIX_ASKS, "'='"),
    ("too long", request(b"x=" + b"y" * 32768), "32768"),
    ("too long, without an end", b"x" * 32769, "32768"),
    ("the socketmap protocol", b"13:pbs 192.0.2.7,\n\n", "'='"),
]


@pytest.mark.parametrize(("request_", "why"), [row[1:] for row in POLICY_VIOLATIONS],
                         ids=[row[0] for row in POLICY_VIOLATIONS])  # fmt: skip
def test_policy_ends_a_broken_conversation_with_not_now(request_: bytes, why: str) -> None:
    cuts = every_cut(request_) if len(request_) < 1000 else [pieces(request_, 4096)]
    for blocks in cuts:
        assert (LATER, True) == talk(policy.Conversation(), blocks)
    conversation = policy.Conversation()
    conversation.feed(request_)
    with pytest.raises(ProtocolError, match=why):
        conversation.question()


def test_policy_reads_the_sender_too() -> None:
    conversation = policy.Conversation()
    conversation.feed(POSTFIX_ASKS + request(b"client_address=192.0.2.7"))
    assert (b"192.0.2.7", b"bob@example.org") == conversation.question()
    assert (b"192.0.2.7", None) == conversation.question()


@given(st.sampled_from([YES, NO, NOT_NOW]), st.text(max_size=50))
def test_no_policy_action_defers_if_permitted_or_carries_a_text(answer: str, trouble: str) -> None:
    """DEFER_IF_PERMIT before reject_unauth_destination ends as a permanent 554."""
    reply = policy.Conversation().reply(answer, trouble, grant("bob\n\naction=OK"))
    assert reply in (MAY, MAY_NOT, LATER)
    assert b"DEFER" not in reply


def grant(user: str = "bob@example.org") -> check.Grant:
    """The login of a user."""
    until = 1_795_170_000
    made = entry.Entry(until, 5, 5, 5, 0, "dovecot", "imap", user)
    return check.Grant(entry.encode("192.0.2.7", made))


NAMED = b"user=bob@example.org server=dovecot until=1795170000"


@pytest.mark.parametrize(
    ("trace", "action"),
    [
        ("header", b"PREPEND X-Pop-Before-Smtp: "),
        ("log", b"INFO pop-before-smtp "),
    ],
)
def test_a_trace_names_the_login_and_lets_nobody_relay(trace: str, action: bytes) -> None:
    conversation = policy.Conversation(trace)
    assert b"action=" + action + NAMED + b"\n\n" == conversation.reply(YES, "", grant())
    for answer in (NO, NOT_NOW):
        assert MAY_NOT == conversation.reply(answer, "map M", grant())
    assert MAY_NOT == conversation.reply(YES)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (b"bob@example.org", "bob@example.org"),
        (b"bob+20x+2By+3Dz", "bob x+y=z"),
        (b"+22a+22+3C+3E+28+3B+2C+3A+5C", '"a"<>(;,:\\'),
        (b"+C3+A9+0D+0AX-Spam:+20no".replace(b":", b"+3A"), "é\r\nX-Spam: no"),
    ],
)
def test_a_name_is_one_word_of_ascii(expected: bytes, name: str) -> None:
    assert expected == xtext(name)


@given(st.text(max_size=200))
def test_no_name_injects_a_header_or_a_second_action(name: str) -> None:
    for trace in policy.TRACES:
        reply = policy.Conversation(trace).reply(YES, "", grant(name))
        assert reply.count(b"\n") == 2
        assert reply.endswith(b"\n\n")
        line = reply[:-2]
        assert all(0x20 <= byte < 0x7F for byte in line)
        assert b" user=" in line
        assert line.count(b" ") == line.partition(b" user=")[0].count(b" ") + 3
        assert len(line) < 500
    assert xtext(name).isascii()


@pytest.mark.parametrize(
    ("name", "key", "question", "yes"),
    [
        (b"pbs", b"192.0.2.7", (b"192.0.2.7", None), OK),
        (b"pbs-user", b"192.0.2.7", (b"192.0.2.7", None), socketmap.netstring(b"OK " + NAMED)),
        (b"pbs-sender", b"192.0.2.7 a@b c", (b"192.0.2.7", b"a@b c"), OK),
        (b"pbs-sender", b"192.0.2.7 ", (b"192.0.2.7", b""), OK),
        (b"pbs-sender", b"192.0.2.7", (b"192.0.2.7", None), OK),
        (b"pbs_sender", b"192.0.2.7 a_b@c", (b"192.0.2.7", b"a_b@c"), OK),
        (b"pbs_user", b"192.0.2.7", (b"192.0.2.7", None), socketmap.netstring(b"OK " + NAMED)),
        (
            b"pbs-sender-user",
            b"::1 a@b",
            (b"::1", b"a@b"),
            socketmap.netstring(b"OK " + NAMED),
        ),
    ],
)
def test_the_end_of_the_maps_name_asks_for_more(
    name: bytes, key: bytes, question: tuple[bytes, bytes | None], yes: bytes
) -> None:
    conversation = socketmap.Conversation()
    conversation.feed(socketmap.netstring(name + b" " + key))
    assert question == conversation.question()
    assert yes == conversation.reply(YES, "", grant())
    assert NOTFOUND == conversation.reply(NO, "", grant())
    assert OK == conversation.reply(YES)
    conversation.feed(socketmap.netstring(b"pbs 192.0.2.7"))
    assert (b"192.0.2.7", None) == conversation.question()
    assert OK == conversation.reply(YES, "", grant())


@pytest.mark.parametrize("make", [socketmap.Conversation, policy.Conversation])
@given(blocks=st.lists(st.binary(max_size=60), max_size=30))
def test_noise_never_raises_and_is_never_granted(
    make: Callable[[], socketmap.Conversation], blocks: list[bytes]
) -> None:
    replies, _ = talk(make(), blocks)
    assert OK not in replies
    assert MAY not in replies


# ------------------------------------------------------------------ OpenSMTPD's tables

HANDSHAKE = [
    (b"config|smtpd-version|7.6.0-portable", b""),
    (b"config|protocol|0.1", b""),
    (b"config|tablename|pbs", b""),
    (b"config|ready", b"register|netaddr\nregister|ready\n"),
]
START = b"table|0.1|1795166441.517134|pbs|"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *HANDSHAKE,
        (b"config|something|new", b""),
        (START + b"check|netaddr|6dd56174|127.0.0.2", (b"127.0.0.2", b"6dd56174")),
        (START + b"check|netaddr|1|[2001:db8::7]", (b"[2001:db8::7]", b"1")),
        (START + b"check|netaddr|1|a|b|c", (b"a|b|c", b"1")),
        (START + b"check|netaddr|1|", (b"", b"1")),
        (START + b"update|77", b"update-result|77|ok\n"),
        (START + b"check|netaddr|1", b"check-result|1|error\n"),
        (START + b"check|mailaddr|8|bob", b"check-result|8|error\n"),
        (START + b"lookup|alias|9|bob", b"lookup-result|9|error\n"),
        (START + b"lookup|netaddr|9|192.0.2.7", b"lookup-result|9|error\n"),
        (START + b"fetch|source|3", b"fetch-result|3|error\n"),
    ],
)
def test_a_table_line_is_a_reply_or_a_question(
    line: bytes, expected: bytes | tuple[bytes, bytes]
) -> None:
    assert expected == opensmtpd.read(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"table",
        b"filter|0.1|1|pbs|check|netaddr|1|192.0.2.7",
        b"table|0.2|1795166441.517134|pbs|check|netaddr|1|192.0.2.7",
        START + b"check",
        START + b"check|1",
        START + b"update",
        START + b"update|1|2|3",
        START + b"delete|netaddr|1|192.0.2.7",
        b"\xff\xfe|",
    ],
)
def test_a_table_line_that_cannot_be_answered_is_said(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="table protocol"):
        opensmtpd.read(line)


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (b"check-result|6dd56174|found\n", YES),
        (b"check-result|6dd56174|not-found\n", NO),
        (b"check-result|6dd56174|error\n", NOT_NOW),
    ],
)
def test_an_answer_carries_its_request_and_no_text(expected: bytes, answer: str) -> None:
    assert expected == opensmtpd.reply(answer, b"6dd56174")


def test_table_lines_are_complete_however_they_are_cut() -> None:
    data = b"".join(line + b"\n" for line, _ in HANDSHAKE)
    for blocks in every_cut(data):
        lines = opensmtpd.Lines()
        assert [line for line, _ in HANDSHAKE] == [x for b in blocks for x in lines.feed(b)]


def test_a_table_line_without_end_takes_no_memory() -> None:
    lines = opensmtpd.Lines()
    for _ in range(100):
        assert [] == lines.feed(b"x" * 4000)
    assert [b"", b"config|ready"] == lines.feed(b"\nconfig|ready\n")


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_table_noise_never_raises_anything_else(blocks: list[bytes]) -> None:
    lines = opensmtpd.Lines()
    for block in blocks:
        for line in lines.feed(block):
            try:
                opensmtpd.read(line)
            except ProtocolError:
                continue


# ------------------------------------------------------------------ relaylock


LOGIN = {"PBS_USER": "bob@example.org", "PBS_SERVER": "dovecot", "PBS_UNTIL": "1795170000"}
OLD = {"PBS_USER": "eve", "PBS_SERVER": "x", "PBS_UNTIL": "1"}


@pytest.mark.parametrize(
    ("expected", "environ", "allowed", "keep"),
    [
        ({"A": "b", "RELAYCLIENT": "", **LOGIN}, {"A": "b"}, True, False),
        ({"A": "b"}, {"A": "b"}, False, False),
        ({"A": "b"}, {"A": "b", "RELAYCLIENT": ""}, False, False),
        ({"A": "b"}, {"A": "b", "RELAYCLIENT": "@x"}, False, False),
        ({"RELAYCLIENT": "", **LOGIN}, {"RELAYCLIENT": "@x"}, True, False),
        ({"RELAYCLIENT": "@x"}, {"RELAYCLIENT": "@x"}, False, True),
        ({"RELAYCLIENT": "@x", **LOGIN}, {"RELAYCLIENT": "@x"}, True, True),
        ({"RELAYCLIENT": "", **LOGIN}, {}, True, True),
        ({}, {}, False, True),
        ({}, OLD, False, True),
        ({"RELAYCLIENT": "", **LOGIN}, OLD, True, False),
    ],
)
def test_relayclient_is_set_for_yes_alone(
    expected: dict[str, str], environ: dict[str, str], allowed: bool, keep: bool
) -> None:
    assert expected == relaylock.environment(environ, grant() if allowed else None, keep=keep)


def test_relayclient_may_have_a_value_for_those_who_may_relay() -> None:
    changed = relaylock.environment({}, grant(), keep=False, relayclient="@fixup")
    assert "@fixup" == changed["RELAYCLIENT"]
    assert {} == relaylock.environment({}, None, keep=False, relayclient="@fixup")


# ------------------------------------------------------------------ sender binding

BINDING = Binding("""\
# user   senders
Bob@example.org   bob@example.org Sales@Example.ORG @bob.example
carol             carol@example.org <>      # and her read receipts
*                 {user} {user}@example.net everybody@example.org staff@{domain}
""")


@pytest.mark.parametrize(
    ("expected", "user", "sender"),
    [
        (True, "bob@example.org", "bob@example.org"),
        (True, "BOB@EXAMPLE.ORG", "Bob@Example.Org"),
        (True, "bob@example.org", "sales@example.org"),
        (True, "bob@example.org", "anything@bob.example"),
        (True, "bob@example.org", "everybody@example.org"),
        (True, "bob@example.org", "staff@example.org"),
        (True, "bob@example.org", '"odd@"@bob.example'),
        (False, "bob@example.org", "carol@example.org"),
        (False, "bob@example.org", "anything@sub.bob.example"),
        (False, "bob@example.org", "bob@example.org.evil.example"),
        (False, "bob@example.org", "@bob.example"),
        (False, "bob@example.org", "bob.example"),
        (False, "bob@example.org", "x@bob.example@evil.example"),
        (False, "bob@example.org", ""),
        (True, "carol", ""),
        (True, "carol", "carol@example.net"),
        (False, "carol", "carol@example.com"),
        (False, "carol", "staff@"),
        (True, "dave@example.com", "dave@example.com"),
        (True, "dave@example.com", "staff@example.com"),
        (False, "dave@example.com", "dave@example.org"),
        (False, "", "everybody@example.org"),
    ],
)
def test_who_may_send_as_whom(expected: bool, user: str, sender: str) -> None:
    assert expected is BINDING.owns(user, sender.encode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bob\n", r"FILE, line 1: 'bob' names no sender"),
        ("# x\nbob bob@example.org example.org\n", r"FILE, line 2: 'example.org' is not a sender"),
        ("bob *\n", r"line 1: '\*' is not a sender"),
    ],
)
def test_a_binding_with_a_mistake_names_the_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Binding(text, "FILE")


@given(st.binary(max_size=80), st.text(max_size=60))
def test_a_binding_never_raises_over_a_sender(sender: bytes, user: str) -> None:
    BINDING.owns(user, sender)
