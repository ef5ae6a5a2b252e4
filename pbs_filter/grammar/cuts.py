"""The contract's part about lines that are cut: at their end by a daemon, or in two. Pure.

A client's text is placed so that a whole login, connection or end of the server ends where a daemon
cuts off the rest, or begins where a logger begins its next message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import Accepted, Connected, Ignored, Reason, Record, Refused
from .attacks import clients_texts, forged_lines, laid
from .carriage import MARGIN_BYTES, Carriage
from .matcher import Matcher
from .rules import Server

LIMITS = (1000, 1024, 2048, 4096, 8096, 8192)
"""Lengths at which syslog daemons and relays cut off the end of a message, in bytes."""


def violations(server: Server, matcher: Matcher) -> Iterator[str]:
    """Yield a violation for each refusal that is a login once it is cut, and for each cut without
    a sign."""
    for way in (server.carriage, *server.carriages.values()):
        if not way.is_whole and not way.cure:
            yield f"server {server.name!r}: its lines come in pieces; say in `cure` what to do"
    forged = forged_lines([server])
    for rule in server.rules:
        for sample in rule.samples:
            if not isinstance(sample.observation, Refused | Ignored):
                continue  # a line that must not be read may be one that no server writes
            where = f"rule {rule.name!r}: sample {sample.line[:300]!r}"
            program, pid, message = sample.parts()
            way = server.carriage_of(program)
            for text in sorted(clients_texts(message, sample.observation)):
                front = Record(program, message.partition(text)[0], "mx1", pid)
                yield from _cut_off(matcher, front, forged, where)
                if way.shows_pieces:
                    yield from _cut_in_two(way, front.message, forged, where)


def _cut_off(matcher: Matcher, front: Record, forged: Sequence[str], where: str) -> Iterator[str]:
    """Yield a violation for each refusal that becomes a login where a daemon cuts off its end."""
    for limit in LIMITS:
        for login in forged:
            for cut in laid(front.message, login, limit):
                match = matcher.read(front._replace(message=cut))
                if not isinstance(match, Reason) and isinstance(
                    match.observation, Accepted | Connected
                ):
                    yield (
                        f"{where}: cut off behind {limit} bytes, a client's text makes a login of "
                        f"it, {cut[-100:]!r}; bound the tokens of rule {match.rule.name!r}"
                    )
                    return


def _cut_in_two(way: Carriage, before: str, forged: Sequence[str], where: str) -> Iterator[str]:
    """Yield a violation for a first piece, as long as the logger's buffer, that is no sign."""
    for length in range(way.cut_bytes - MARGIN_BYTES, way.cut_bytes + 1):
        for login in forged:
            for first in laid(before, login, length):
                if not way.is_sign(first, exact=True):
                    yield (
                        f"{where}: {length} bytes of it are no sign that the messages behind it "
                        "may be pieces"
                    )
                    return
