"""Usual logins go straight from the line to the ledger here: nine of ten, in half the time. Pure.

A login is usual if a straight expression (`grammar.straight`) reads its line, and nothing about it
has to be weighed: the sender's word counts, no list of the site names its address or its user, and
it can be no piece of a line. Everything else goes the general way of `Pipeline`, which is the
reference: a property test holds this to it. No record, observation or outcome is made here.

Lines of text are read by one expression for a whole block, which also finds the others (3.3 µs a
login became 1.9); a line of the JSON feed by one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..grammar.carriage import Carriage
from ..grammar.matcher import Matcher
from ..grammar.observe import canonical_of, protocol_of
from ..syslog.json_records import OF_ANOTHER_YEAR, is_exact, older_of, second_of
from ..syslog.message import nil
from ..syslog.scanner import HOST_AT, LINE_AT, RFC5424_HOST_AT, Scanner
from .authorisations import clean
from .counters import Counts
from .keys import key_of_logger, prefix_of, word_of
from .logins import Logins
from .outcome import Outcome
from .state import State
from .ways import Way, Ways

_OF_ANOTHER_YEAR_SECONDS = OF_ANOTHER_YEAR.total_seconds()

_Found = tuple[
    int,
    float | None,
    str,
    str,
    str | None,
    str,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
]
"""When a line was written (whole seconds, and exactly), by which logger, and what it says."""


class UsualLogins(Ways):
    """Takes usual logins.

    Args:
        matcher: has the rules.
        scanner: finds lines.
        logins: takes a login to the ledger.
        state: knows what may be a piece, and whether somebody looks at the outcomes.
        cut_programs: programs whose logger cuts lines, with how.
        counts: is told of each login.
        count: counts the outcome of a line, and tells of it.
    """

    def __init__(
        self,
        *,
        matcher: Matcher,
        scanner: Scanner,
        logins: Logins,
        state: State,
        cut_programs: Mapping[str, Carriage],
        counts: Counts,
        count: Callable[[bytes, Outcome], None],
    ) -> None:
        super().__init__(matcher, scanner, logins, state, cut_programs)
        self._pieces = state.pieces
        self._counts = counts
        self._count = count

    def take_found(self, found: tuple[str, ...], now: int, at: int) -> bool:
        """Take the login in a line of text, written at `at`, that the reader has found.

        False: it is not a usual one, and nothing was done.
        """
        for way in self._in_block:
            (
                pid_at,
                other_pid_at,
                message_at,
                user_at,
                address_at,
                spelt_at,
                local_at,
                service_at,
                key_at,
            ) = way.groups
            message = found[message_at]
            if message:
                break
        else:
            return False
        host = found[HOST_AT] or nil(found[RFC5424_HOST_AT])
        pid = found[pid_at] or nil(found[other_pid_at])
        logger = ""
        if way.cut is not None:
            logger = key_of_logger(host, way.program, None)
            if pid or not self._is_line(way.cut, logger, message, None, None):
                return False
        return self._take(
            way,
            host,
            pid,
            message,
            found[user_at],
            found[address_at],
            found[spelt_at],
            found[local_at],
            found[service_at],
            found[key_at],
            logger,
            None,
            at,
            now,
            found[LINE_AT],
        )

    def take(self, line: bytes, way: Way, now: int, at: int | None = None) -> bool:
        """Take the login in a line of the JSON feed.

        Args:
            line: a candidate.
            way: of its program.
            now: the clock.
            at: when it was written, if the caller knows better than the line.

        Returns:
            False: it is not a usual one, and nothing was done.
        """
        text = line.decode("utf-8", "surrogateescape")
        found = self._of_json(text, way, now)
        if found is None:
            return False
        (at_by_line, written, logger, host, pid, message, user, address, spelt, local, service,
         key) = found  # fmt: skip
        return self._take(
            way,
            host,
            pid,
            message,
            user,
            address,
            spelt,
            local,
            service,
            key,
            logger,
            written,
            at_by_line if at is None else at,
            now,
            text,
        )

    def _take(
        self,
        way: Way,
        host: str,
        pid: str | None,
        message: str,
        user: str,
        address: str | None,
        spelt: str | None,
        local: str | None,
        service: str | None,
        key: str | None,
        logger: str,
        written: float | None,
        at: int,
        now: int,
        line: str,
    ) -> bool:
        """Take a login that was read; a result that its line has not is None or empty."""
        policy = self._policy
        is_weighed = policy.weighs
        if not address:
            address = canonical_of(spelt or "")
            if address is None or self._logins.ipv6_prefix != 128:
                return False
            is_weighed = True
        user = clean(user)
        # Most are in no list: to see that here takes a quarter of the time of `refuses`.
        own = canonical_of(local) if way.has_local and local else None
        if (
            is_weighed or own == address or address[: address.find(".")] in policy.refused_octets
        ) and policy.refuses(address, user, own):
            return False
        form = way.session
        session: str | None = None
        if form == "key":
            session = key or None
        elif form == "pid":
            session = pid or None
        elif form and user and key:
            session = f"{user},{address},{key}"
        if session is not None:
            if " " in session or not session.isprintable():
                session = word_of(session)
            session = prefix_of(host, way.known_as) + session
        protocol = way.protocol
        if way.has_protocol and service:
            protocol = protocol_of(service)
        reason = self._logins.login(
            address,
            user,
            way.known_as,
            protocol or "",
            session,
            at,
            now,
            message,
            way.holds,
            logger,
            written,
        )
        if reason is None:
            self._counts.add_login(address, user, way.server.name, way.known_as, protocol or "")
            return True
        self._count(
            line.encode("utf-8", "surrogateescape"),
            Outcome(
                "none",
                reason,
                way.server.name,
                way.rule.name,
                None,
                address,
                user,
                protocol,
                self._logins.detail(reason, user, address),
            ),
        )
        return True

    def _of_json(self, text: str, way: Way, now: int) -> _Found | None:
        """Return what a line of the JSON feed says, and when; None: it is not a usual one."""
        match = way.straight.in_json(text, 0, len(text) - 2) if text.endswith('"}') else None
        if match is None:
            return None
        (received, zone, sent, sent_zone, host, tag_pid, pid, source, uid, juid, message, user,
         address, spelt, local, service, key) = match.group(*way.straight.json_groups)  # fmt: skip
        writer = uid or juid
        if self._policy.require_vouched if writer is None else writer not in way.uids:
            return None
        if sent_zone != zone:
            return None  # see `older_of`
        written: float | None = None
        try:
            at = second_of(received, zone)
            if sent != received:
                written_at = second_of(sent, zone)
                if written_at >= at + _OF_ANOTHER_YEAR_SECONDS:
                    return None  # likewise; both are without their fractions
                at = min(at, written_at)
            if way.cut is not None:
                written = older_of(
                    text[match.start(1) : match.end(2)], text[match.start(3) : match.end(4)]
                )
        except ValueError:
            return None
        host, pid = nil(host), nil(pid) or tag_pid
        logger = ""
        if way.cut is not None:
            logger = key_of_logger(host, way.program, None if writer is None else int(writer))
            exact = is_exact(source, "", uid, juid)
            if pid or not exact or not self._is_line(way.cut, logger, message, exact, written):
                return None
        return (min(at, now), written, logger, host, pid, message, user, address, spelt, local,
                service, key)  # fmt: skip

    def _is_line(
        self, cut: Carriage, logger: str, message: str, exact: bool | None, written: float | None
    ) -> bool:
        """Return whether `message` is no piece, nor makes one likely of what follows."""
        return self._pieces.is_calm(logger, written) and not cut.is_sign(message, exact)
