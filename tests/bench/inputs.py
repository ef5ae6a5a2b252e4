"""Mail logs for the benchmark: seeded, so that every run reads the same bytes.

The clients' addresses are from 10.0.0.0/8: no documentation network has a million of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

SEED = 20261120
LOGIN_SHARE = 0.1
HOST = "mx1"

_NOISE = (
    ("postfix/smtpd", "connect from mail{b}.example.com[198.51.100.{b}]"),
    ("postfix/smtpd", "disconnect from mail{b}.example.com[198.51.100.{b}] ehlo=2 starttls=1 mail=1"
                      " rcpt=1 data=1 quit=1 commands=7"),
    ("postfix/cleanup", "4F2A1C0{a}: message-id=<{a}.{b}.{c}@mail.example.net>"),
    ("postfix/qmgr", "4F2A1C0{a}: from=<user{b}@example.net>, size=4523, nrcpt=1 (queue active)"),
    ("postfix/smtp", "4F2A1C0{a}: to=<someone{b}@example.com>, relay=mx.example.com[192.0.2.25]:25,"
                     " delay=1.2, delays=0.1/0/0.4/0.7, dsn=2.0.0, status=sent (250 2.0.0 Ok)"),
    ("postfix/anvil", "statistics: max connection rate {a}/60s for (smtp:192.0.2.{b})"),
    ("amavis", "(0{c}-09) Passed CLEAN {{RelayedInbound}}, [192.0.2.{b}] <a@example.org> ->"
               " <b@example.net>, Hits: -1.9, size: 2041, 811 ms"),
)  # fmt: skip


class Event(NamedTuple):
    """One line before it is written in some format."""

    at_epoch: int
    program: str
    pid: int
    message: str


Shape = Callable[[Event], str]


def address(number: int) -> str:
    """The client address of this number, below 2 ** 24."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def login(number: int, client: int, at_epoch: int) -> Event:
    """Login `number`, by Dovecot 2.3 in its default format, from client `client`."""
    return Event(
        at_epoch,
        "dovecot",
        0,
        f"imap-login: Login: user=<user{client}@example.org>, method=PLAIN, rip={address(client)}, "
        f"lip=192.0.2.1, mpid={1000 + number % 30000}, TLS, session=<{number:08x}Ng3tIAB>",
    )


def logout(number: int, client: int, at_epoch: int) -> Event:
    """The end of the session that `login` with these numbers opened."""
    return Event(
        at_epoch,
        "dovecot",
        0,
        f"imap(user{client}@example.org)<{1000 + number % 30000}><{number:08x}Ng3tIAB>: "
        "Disconnected: Logged out in=10 out=20",
    )


def courier(number: int, client: int, at_epoch: int) -> Event:
    """A login of the same client at Courier, whose courierlogger writes no pid."""
    return Event(
        at_epoch,
        "pop3d",
        0,
        f"LOGIN, user=user{client}, ip=[::ffff:{address(client)}], port=[{1024 + number % 60000}]",
    )


def mixed(lines: int, clients: int, end_epoch: int, seconds: int = 1000) -> Iterator[Event]:
    """One login to nine lines of other programs, evenly over `seconds` up to `end_epoch`."""
    random_ = random.Random(SEED)
    for number in range(lines):
        at = end_epoch - seconds + number * seconds // lines
        if number % 10 == 0:
            yield login(number, random_.randrange(clients), at)
        else:
            yield _noise(random_, at)


def noise(lines: int, end_epoch: int) -> Iterator[Event]:
    """Nothing but lines of other programs."""
    random_ = random.Random(SEED)
    for _ in range(lines):
        yield _noise(random_, end_epoch)


def logins(
    lines: int, end_epoch: int, make: Callable[[int, int, int], Event] = login
) -> Iterator[Event]:
    """Nothing but logins, every one from a new address."""
    for number in range(lines):
        yield make(number, number, end_epoch)


def sessions(lines: int, clients: int, end_epoch: int) -> Iterator[Event]:
    """Logins and, a hundred lines later, their ends."""
    open_: list[tuple[int, int]] = []
    for number in range(lines // 2):
        yield login(number, number % clients, end_epoch)
        open_.append((number, number % clients))
        if len(open_) == 50:
            for session in open_:
                yield logout(*session, end_epoch)
            open_.clear()


def _noise(random_: random.Random, at: int) -> Event:
    program, message = random_.choice(_NOISE)
    a, b, c = random_.randrange(9), random_.randrange(250), random_.randrange(9)
    return Event(at, program, random_.randrange(1000, 30000), message.format(a=a, b=b, c=c))


# --- formats


def _tag(event: Event) -> str:
    return f"{event.program}[{event.pid}]" if event.pid else event.program


def bsd(event: Event) -> str:
    """RFC 3164, as rsyslog's traditional file format has it."""
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(event.at_epoch))
    return f"{stamp} {HOST} {_tag(event)}: {event.message}\n"


def iso(event: Event) -> str:
    """rsyslog's file format of today."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.at_epoch))
    return f"{stamp}.123456+00:00 {HOST} {_tag(event)}: {event.message}\n"


def rfc5424(event: Event) -> str:
    """RFC 5424, without structured data."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.at_epoch))
    pid = event.pid or "-"
    return f"<22>1 {stamp}.123456Z {HOST} {event.program} {pid} - - {event.message}\n"


def json(event: Event) -> str:
    """The JSON feed as `rsyslog/` makes it, with the kernel's uid."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.at_epoch)) + ".123456+00:00"
    message = event.message.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'{{"t":"{stamp}", "s":"{stamp}", "h":"{HOST}", "p":"{_tag(event)}:", '
        f'"pid":"{event.pid or "-"}", "in":"imuxsock", "from":"127.0.0.1", "uid": 0, '
        f'"msg":" {message}"}}\n'
    )


SHAPES: dict[str, Shape] = {"BSD": bsd, "ISO": iso, "RFC 5424": rfc5424, "JSON": json}


def text(events: Iterator[Event], shape: Shape = bsd) -> bytes:
    """The log."""
    return "".join(map(shape, events)).encode()
