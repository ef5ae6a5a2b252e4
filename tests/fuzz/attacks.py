"""Texts of clients: every server's lines with the canary in them, whole, cut and glued."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from pbs_filter.grammar import Server
from pbs_filter.model import Accepted, Connected

CANARY = "203.0.113.66"
CANARIES = (
    CANARY,
    f"::ffff:{CANARY}",
    "::ffff:cb00:7142",
    f"[{CANARY}]",
    f"[::ffff:{CANARY}]",
    f"({CANARY})",
    f"<{CANARY}>",
    f"{CANARY}.evil.example",
    f"{CANARY}:110",
)

ADDRESSES = re.compile(
    r"(?:::ffff:)?(?:192\.0\.2|198\.51\.100)\.[0-9]{1,3}|2001:(?:db8|DB8):[0-9A-Fa-f:]*[0-9A-Fa-f]"
)
"""The addresses that samples may hold."""

GLUE = (
    " ", "  ", "\t", "\r", "\n", "\r\n", "\x00", "\x0b", "\x1b[2K", "\x7f", "\x85", "\xa0",
    "\u2028", "\u202e", "\ufeff", "\udcff", "\U0001f4a9", "é",
    "#012", "#015", "#011", "^J", "^M", "\\n", "\\012", "\\x0a", "\\x{0a}", "?", ".", "%0a",
    '"', "'", "`", "\\", '\\"', "''", "``", "<", ">", "(", ")", "[", "]", "{", "}", "<>", "()",
    "[]", ",", ", ", ":", ": ", ";", "; ", "=", "|", "/", "@", "%", "%s", "+", "-", "~", "*", "!",
    "rip=", "lip=", "ip=[", "oip=", "host=", "user=<", "user=", "method=PLAIN, ", "session=<",
    "from ", " from ", "client: ", "login: ", "status=", 'status="ok"', "->", "remoteIp = ",
    "TLS", "secured", "SESSIONID=<", " User logged in", " authenticated", " logged in",
    "message repeated 2 times: [ ", "[ID 702911 mail.info] ", "<22>", "<22>1 ", "INFO: ", "Info: ",
    "Nov 20 09:11:13 mx1 ", "2026-11-20T09:11:13+01:00 mx1 ", "@4000000067000000deadbeef ",
    '{"p": "dovecot", "msg": "', '"}',
)  # fmt: skip

FRAMES = (
    ("", ""),
    ("bob ", " x"),
    ("bob, ", ", x"),
    ("bob: ", ": x"),
    ('bob"', '"x'),
    ("bob' ", " 'x"),
    ("bob>, ", ", user=<x"),
    ("bob] ", " [x"),
    ("bob) ", " (x"),
    ("bob\n", "\nx"),
)
"""What closes the field that the text stands in, and opens it again."""

SPECIALS = (
    # CVE-2001-1075, as security scanners send it.
    f'POP login by user "admin" at ({CANARY}) {CANARY}@example.org',
    f'MAIL FROM:"POP login by user "admin" at ({CANARY}) {CANARY}@example.org"',
    # Names that have stood for nobody or everybody.
    "???", "-", "(null)", "NONE", "UNKNOWN", "UNKNOWN USER", "anonymous", "root", "%",
    "alice@example.org", "bob", "a" * 79, "a" * 80, "a" * 81, "x" * 10_000, "[" * 3_000,
    '"' * 2_000, "\\" * 3_000, ", " * 2_000, "rip=" * 2_000, f"{CANARY} " * 700, "(" * 3_000,
    "=" * 5_000, "<" * 3_000, ": " * 2_000, "0" * 10_000, "é" * 3_000,
)  # fmt: skip


def with_canary(text: str) -> str:
    """Return `text` with the canary for every address."""
    return ADDRESSES.sub(CANARY, text)


def attacks_of(servers: Iterable[Server]) -> list[str]:
    """Return the lines that log in or connect, of every server, as a client would forge them."""
    found: dict[str, None] = {}
    for server in servers:
        for rule in server.rules:
            for sample in rule.samples:
                if isinstance(sample.observation, Accepted | Connected):
                    program, pid, message = sample.parts()
                    tag = f"{program}[{pid}]: " if pid else f"{program}: "
                    for text in (message, tag + message, "Nov 20 09:11:13 mx1 " + tag + message):
                        found[with_canary(text)] = None
    return list(found)


def _one_of(items: Sequence[str]) -> st.SearchStrategy[str]:
    # Not sampled_from: Hypothesis shows a strategy with all that it samples from.
    return st.integers(0, len(items) - 1).map(lambda number: items[number])


def texts(attacks: list[str]) -> st.SearchStrategy[str]:
    """Return what a client may send: attacks, cut at either end, with anything between them."""
    whole = _one_of(attacks)
    cut = st.builds(
        lambda text, start, end: text[start % len(text) :][: end % len(text) + 1],
        whole,
        st.integers(0, 400),
        st.integers(0, 400),
    )
    piece = st.one_of(
        _one_of(GLUE),
        _one_of(CANARIES),
        cut,
        whole,
        _one_of(GLUE),
        st.text(st.characters(codec="utf-8"), max_size=8),
    )
    glued = st.lists(piece, min_size=1, max_size=8).map("".join)
    # Servers cut what they log: UW and Dovecot at 80, UW's failures at 64 characters.
    at_80 = st.builds(lambda text, size: text[:size], glued, st.sampled_from((64, 80, 255, 512)))
    return st.one_of(glued, at_80, cut, whole, _one_of(SPECIALS + CANARIES))
