"""The part of the contract about lines that are cut: at their end by a daemon, or in two. Pure.

A client's text is laid so that a whole login, connection or end of the server ends where a daemon
cuts the rest off, or begins where a logger begins its next message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import Accepted, Connected, Ignored, Reason, Record, Refused
from .attacks import clients_texts, forged_lines, laid
from .carriage import MARGIN_BYTES, Carriage
from .matcher import Matcher
from .rules import Server

LIMITS = (1000, 1024, 2048, 4096, 8096, 8192)
"""Where syslog daemons and relays cut the end of a message off, in bytes."""


def violations(server: Server, matcher: Matcher) -> Iterator[str]:
    """Yields refusals that are a login once they are cut, and cuts that nothing shows."""
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
    """Yields what becomes a login where a daemon keeps so many bytes of it."""
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
    """Yields a beginning, as long as the logger's buffer, that does not show what is behind it."""
    for length in range(way.cut_bytes - MARGIN_BYTES, way.cut_bytes + 1):
        for login in forged:
            for first in laid(before, login, length):
                if not way.is_sign(first, exact=True):
                    yield (
                        f"{where}: {length} bytes of it are no sign that the messages behind it "
                        "may be pieces"
                    )
                    return
