"""Attacks are texts that a client may put where its own text stands in a line.

The forged address is always the canary: if it is ever authorised, there is a hole. The attacks are
made of the servers' own samples, so a new wording is a new attack on all the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from ..model import Accepted, Connected, Ended, Observation, Reason, Record
from .rules import Server

CANARY = "203.0.113.66"

_ADDRESS = re.compile(
    r"(?:::ffff:)?(?:192\.0\.2|198\.51\.100)\.[0-9]{1,3}|2001:(?:db8|DB8):[0-9A-Fa-f:]*[0-9A-Fa-f]"
)
"""The addresses that samples hold."""

_USERS = re.compile(r"(?<![0-9A-Za-z.])(?:bob|alice)(?:@example\.org)?(?![0-9A-Za-z.])")
_HOSTS = re.compile(
    r"(?<![0-9A-Za-z.@-])(?:[a-z0-9-]+\.)+example(?:\.(?:org|net|com))?(?![0-9A-Za-z.])"
)
"""Names of users and clients in samples."""

_FRAMES = (
    ("", ""),
    ("bob ", " x"),
    ("bob, ", ", x"),
    ("bob: ", ": x"),
    ('bob"', '"x'),
    ("bob' ", " 'x"),
    ("bob>, ", ", user=<x"),
    ("bob] ", " [x"),
    ("bob) ", " (x"),
    ("bob\t", "\tx"),
    ("bob\n", "\nx"),
)
"""Pairs of texts: the first ends the field in which a client's text stands, the second begins one.
"""

_CANARIES = (
    CANARY,
    f"::ffff:{CANARY}",
    f"[{CANARY}]",
    f"({CANARY})",
    f"<{CANARY}>",
    f"rip={CANARY}",
    f"oip={CANARY};",
    f"ip=[{CANARY}]",
    f"host=x [{CANARY}]",
    f"from {CANARY}",
    f"client: {CANARY}",
    f"{CANARY}.evil.example",
    f"{CANARY}:110",
)
_SPECIALS = (
    # CVE-2001-1075, as security scanners send it.
    f'MAIL FROM:"POP login by user "admin" at ({CANARY}) {CANARY}@evil.example"',
    f'x" status="ok" ip="{CANARY}',
    "",
    " ",
    "\t",
    "x\r",
    "x\x00",
    "x#012x",
    "x^Jx",
    "x\u2028x",
    "x\udc80",
    "x" * 10_000,
    " " * 10_000,
    "[" * 10_000,
    '"' * 10_000,
    "rip=" * 2_500,
    f"{CANARY} " * 800,
)


@lru_cache(maxsize=4)
def attacks_of(servers: tuple[Server, ...]) -> tuple[str, ...]:
    """Return texts that clients send to be taken for lines of `servers`."""
    lines: dict[str, None] = {}
    for server in servers:
        for rule in server.rules:
            for sample in rule.samples:
                if isinstance(sample.observation, Accepted | Connected | Ended):
                    program, pid, message = sample.parts()
                    tag = f"{program}[{pid}]: " if pid else f"{program}: "
                    lines[_ADDRESS.sub(CANARY, message)] = None
                    lines[_ADDRESS.sub(CANARY, f"Nov 20 09:11:13 mx1 {tag}{message}")] = None
    framed = [f"{before}{text}{after}" for text in _CANARIES for before, after in _FRAMES]
    return (*lines, *framed, *_SPECIALS)


def forged_lines(servers: Iterable[Server]) -> list[str]:
    """Return the messages by which `servers` log in, connect or end, with the canary in them."""
    lines: dict[str, None] = {}
    for server in servers:
        for rule in server.rules:
            for sample in rule.samples:
                if isinstance(sample.observation, Accepted | Connected | Ended):
                    lines[_ADDRESS.sub(CANARY, sample.parts()[2])] = None
    return [*lines]


_FILLERS = ("A", " ", "A ", "\n", "[", "é", "\U0001d400")


def laid(before: str, forged: str, end: int) -> Iterator[str]:
    """Return texts of such a length that behind `before` the end of `forged` is at byte `end`.

    The room in between is filled with letters, blanks, line breaks, brackets and wide characters.
    """
    room = end - len(before.encode()) - len(forged.encode())
    for filler in _FILLERS if room >= 0 else ():
        width = len(filler.encode())
        yield f"{before}{'x' * (room % width)}{filler * (room // width)}{forged}"


def framed(servers: Iterable[Server]) -> Iterator[str]:
    """Return the logins of `servers` between an end and a begin of a field."""
    for server in servers:
        for rule in server.rules:
            for sample in rule.samples:
                if isinstance(sample.observation, Accepted | Connected):
                    text = _ADDRESS.sub(CANARY, sample.parts()[2])
                    for before, after in _FRAMES[1:]:
                        yield f"{before}{text}{after}"


def clients_texts(message: str, observation: Observation | None) -> set[str]:
    """Return the texts of a client in a sample's message: the user's name, and the host's name.

    A host's name in a `no` is left out: no server may write such a line, and the name may stand in
    the place of an address.
    """
    texts = {match.group() for match in _USERS.finditer(message)}
    if observation is not None:
        texts |= {match.group() for match in _HOSTS.finditer(message)}
    user = getattr(observation, "user", None)
    return texts | {user} if user else texts


def replaced(message: str, texts: Iterable[str], attacks: Iterable[str]) -> Iterator[str]:
    """Return `message` with each of `texts` replaced by each attack, in one place and in all."""
    attacks = tuple(attacks)
    for text in sorted(texts):
        before, _, after = message.partition(text)
        for attack in attacks:
            yield f"{before}{attack}{after}"
            if text in after:
                yield message.replace(text, attack)


Shape = Callable[[str, str, str], bytes]


def _text(header: str) -> Shape:
    def line(program: str, pid: str, message: str) -> bytes:
        tag = f"{program}[{pid}]" if pid else program
        return f"{header}{tag}: {message}".encode("utf-8", "surrogateescape")

    return line


def _rfc5424(program: str, pid: str, message: str) -> bytes:
    header = f"<22>1 2026-11-20T09:11:13.123456+01:00 mx1 {program} {pid or '-'} - - "
    return (header + message).encode("utf-8", "surrogateescape")


def _json(program: str, pid: str, message: str) -> bytes:
    fields = {"t": "2026-11-20T09:11:13+01:00", "h": "mx1", "p": program, "pid": pid}
    fields["in"] = "imuxsock"  # by a socket: nginx's file makes other records
    line = json.dumps(fields | {"msg": message}, ensure_ascii=False)
    return line.encode("utf-8", "surrogateescape")


_SHAPES: dict[str, Shape] = {
    "BSD syslog": _text("Nov 20 09:11:13 mx1 "),
    "BSD syslog with priority": _text("<22>Nov 20 09:11:13 mx1 "),
    "rsyslog's file format": _text("2026-11-20T09:11:13.123456+01:00 mx1 "),
    "RFC 5424": _rfc5424,
    "the JSON feed": _json,
}


def records_of(
    read: Callable[[bytes], Record | Reason], program: str, pid: str, message: str
) -> Iterator[tuple[str, object]]:
    """Return (shape, result of `read`) for every header shape that can carry this record.

    The result is (program, pid, message) of a record, or a reason.
    """
    for shape, line in _SHAPES.items():
        if "\n" in message and shape != "the JSON feed":
            continue
        record = read(line(program, pid, message))
        if isinstance(record, Record):
            yield shape, (record.program, record.pid, record.message)
        else:
            yield shape, record
