"""The pipeline leads one line from bytes to the ledger. It composes, and is pure.

Its stations: record, the server's grammar, trust in the sender, correlation,
policy, ledger. Every line that leads to nothing has a `Reason`, and is counted by it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..grammar.carriage import Carriage
from ..grammar.matcher import Match, Matcher
from ..grammar.rules import own_logs_of
from ..model import Accepted, Connected, Ended, Reason, Record
from ..syslog import records
from ..syslog.scanner import LINE_AT, Scanner
from .correlator import Correlator
from .counters import LINE_BYTES, Counts, line_count
from .failures import MAX_FAILURES, Failure, place_of
from .keys import logger_of
from .ledger import Ledger
from .lines import Lines
from .logins import Logins
from .noticed import TEST_PROGRAM, Noticed
from .outcome import REFUSALS, Outcome, tell
from .pieces import Pieces
from .policy import Policy
from .state import State
from .usual import UsualLogins
from .ways import Way

ABOUT_SESSIONS = (Accepted, Connected, Ended)
"""Observations that authorise, connect or end: a piece must not be read as one."""
SHORTEST_LINE = len("1795166473 x:\n")
MANY_BYTES = 1 << 16
EVERYTHING = 1 << 62
PAM = "pam_"
"""How lines begin that PAM's modules write under a server's name, `pam_unix(popa3d:auth): ...`: not
the server's own, they are no sign of a new version of it."""


class Pipeline:
    """The composition. `now` is always whole seconds since the epoch and never goes back."""

    def __init__(
        self,
        *,
        matcher: Matcher,
        policy: Policy,
        ledger: Ledger,
        correlator: Correlator,
        ipv6_prefix: int = 128,
    ) -> None:
        self.matcher = matcher
        self.ledger = ledger
        self.correlator = correlator
        self.counts = Counts()
        self.noticed = Noticed()
        self.failures: list[Failure] = []
        """For the log, which takes them out; at most `MAX_FAILURES` wait."""
        self.pieces = Pieces()
        self.state = State(ledger, correlator, self.pieces)
        self.trace = self.state.trace
        ways = [
            (program, server.carriage_of(program), server.name)
            for program in matcher.program_names
            for server in matcher.servers_of(program)
        ]
        self._off = frozenset(
            program for program, way, name in ways if way.off and name not in policy.named
        )
        """Programs one of whose servers is not read, since its pieces show no sign."""
        self._cut: dict[str, Carriage] = {
            program: way for program, way, _ in ways if way.off and program in self._off
        } | {program: way for program, way, _ in ways if way.shows_pieces}
        """Programs whose logger cuts lines."""
        self._replayed = 0
        """The latest time of the lines that were replayed."""
        self._broken = 0
        """Bytes of the feed that a client's line breaks may have made lines of."""
        self.own_logs = own_logs_of(matcher.servers)
        self.read_record = records.reader(self.own_logs, matcher.program_names)
        self.scanner = Scanner(
            matcher.program_names | {TEST_PROGRAM}, matcher.instance_names, self.own_logs
        )
        self._known_as = {
            server.name: server.sessions_of for server in matcher.servers if server.sessions_of
        }
        """Servers that go by the name of another in the ledger, which has its sessions, too."""
        self.logins = Logins(
            policy=policy,
            correlator=correlator,
            ledger=ledger,
            noticed=self.noticed,
            pieces=self.pieces,
            cut_programs=self._cut,
            tied=frozenset(
                server.name
                for server in matcher.servers
                if any(rule.kind is Ended for rule in server.rules)
            ),
            ipv6_prefix=ipv6_prefix,
        )
        self.usual = UsualLogins(
            matcher=matcher,
            scanner=self.scanner,
            logins=self.logins,
            state=self.state,
            cut_programs=self._cut,
            counts=self.counts,
            count=self._count,
        )
        self._lines = Lines(self.scanner, self.usual.reader)
        self.follow(policy)

    def follow(self, policy: Policy) -> None:
        """Judge by `policy` from now on."""
        self.policy = self.logins.policy = policy
        # Nobody is asked for terms where there are no groups.
        self.ledger.terms_of = policy.terms if policy.groups else None
        self.usual.follow(policy)

    # ------------------------------------------------------------------ lines

    def block(self, block: bytes, now: int) -> None:
        """Take complete lines, each with its newline."""
        self.take(block)
        self.work(now)

    def take(self, block: bytes) -> None:
        """Take complete lines, for `work`."""
        self.counts.lines += line_count(block)
        self._lines.take(block)

    def work(self, now: int) -> None:
        """Work on what `take` took. Called again after an alarm it goes on with the next line.

        No line stops those behind it: what our own code cannot do is counted and told.
        """
        lines = self._lines
        while True:
            ways = self.usual.open_ways()
            for found in lines.found:
                self._take_found(found, now)
            for line, program in lines.named:
                self._take(line, ways.get(program), now)
            if not lines.find():
                return

    def _take_found(self, found: tuple[str, ...], now: int, at: int | None = None) -> None:
        """Take one line that `usual.reader` has found; `at` is as for `_take`."""
        try:
            # A usual one is text, which has no time of its own; one of JSON has.
            if not self._broken and self.usual.take_found(found, now, now if at is None else at):
                return
        except Exception as error:  # any: the next filter would fail on it as well
            line = found[LINE_AT].encode("utf-8", "surrogateescape")
            self._count(line, self._failed(line, error))
            return
        self._take(found[LINE_AT].encode("utf-8", "surrogateescape"), None, now, at)

    def _take(self, line: bytes, way: Way | None, now: int, at: int | None = None) -> None:
        """Take one line, which may go `way`; `at` is when it was written, if that is known."""
        try:
            if way is not None and not self._broken and self.usual.take(line, way, now, at):
                return
            outcome = self.read(self.read_record(line), now, at)
        except Exception as error:  # any: the next filter would fail on it as well
            outcome = self._failed(line, error)
        self._count(line, outcome)

    def _failed(self, line: bytes, error: Exception) -> Outcome:
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(Failure(place_of(error), repr(error), line[:LINE_BYTES]))
        return Outcome("none", Reason.FAILED, detail=repr(error))

    def replay(self, block: bytes, stamp: Callable[[bytes], int | None], wall: int) -> None:
        """Take complete lines of a log file, each judged at the time that `stamp` reads from it.

        Never later than `wall`: a line from the future counts as now.
        """
        self.take(block)
        lines = self._lines
        while lines.find():
            ways = self.usual.open_ways()
            for found in lines.found:
                line = found[LINE_AT].encode("utf-8", "surrogateescape")
                at = self._time(line, stamp, wall)
                if at is not None:
                    self._take_found(found, at, at)
            for line, program in lines.named:
                at = self._time(line, stamp, wall)
                if at is not None:
                    self._take(line, ways.get(program), at, at)

    def _time(self, line: bytes, stamp: Callable[[bytes], int | None], wall: int) -> int | None:
        """Return the time of a line, None where `stamp` finds none: then it is counted.

        What has ended by then goes, as it went when the line was written.
        """
        at = stamp(line)
        if at is None:
            self._count(line, Outcome("none", Reason.NO_TIME))
            return None
        if self._replayed < at <= wall:
            self._replayed = at
            self.state.tick(at)
        return min(at, wall)

    def _count(self, line: bytes, outcome: Outcome) -> None:
        counts = self.counts
        reason = outcome.reason
        if self.trace.is_on:
            self.trace.add(line, outcome)
        if reason in REFUSALS or self.ledger.events.debugging:
            tell(outcome, self.ledger.events)
        if reason is not None:
            counts.add(reason)
            counts.examples[reason] = line[:LINE_BYTES]
            return
        if outcome.event == "login":
            server = outcome.server
            known_as = self._known_as.get(server, server)
            counts.add_login(
                outcome.address or "",
                outcome.user or "",
                server,
                known_as,
                outcome.protocol or "",
            )
        else:
            counts.candidates += 1
            counts.logouts += 1

    def line(self, line: bytes, now: int, at: int | None = None) -> Outcome:
        """Take one line, without its newline, and tell everything about it.

        `at` is when it was written, if the caller knows better than the record (--reprocess).
        """
        try:
            return self.read(self.read_record(line), now, at)
        except Exception as error:
            return self._failed(line, error)

    def read(self, record: Record | Reason, now: int, at: int | None = None) -> Outcome:
        """Take one record, or why there is none. See `line`."""
        if not isinstance(record, Record):
            return Outcome("none", record)
        reading = self.matcher.read(record)
        carriage = self._cut.get(record.program)
        if carriage is not None and carriage.cut_bytes and record.pid and not record.vouched:
            # Its lines have no pid: text that has one came by journald, which takes blanks off.
            record = record._replace(exact=False)
        piece = carriage is not None and self._may_be_piece(record, carriage, reading, now)
        is_broken = self._broken > 0
        if is_broken:
            # A client's line breaks made lines of the feed, which may look like anything.
            self._broken -= max(SHORTEST_LINE, len(record.message))
            piece = True
        if not isinstance(reading, Match):
            if reading is Reason.NO_RULE:
                if record.message.startswith(PAM):
                    return Outcome("none", Reason.IGNORED)
                self.counts.add_unread(record)
            elif record.program == TEST_PROGRAM:
                self.noticed.test_line(record, now)
                return Outcome("none", Reason.IGNORED, detail="a test line of --doctor")
            return Outcome("none", reading)
        server = reading.server.name
        observation = reading.observation
        holder = self.logins.holder(record, server, observation) if record.uid else None
        distrust = self.policy.distrusts(record, server, observation, holder)
        if distrust is not None:
            if distrust is Reason.FORGED:
                self.counts.add_forged(record, server)
            return Outcome("none", distrust, server, reading.rule.name, observation)
        way = reading.server.carriage_of(record.program) if carriage is not None or piece else None
        if way is not None:
            has_pid = self._has_a_pid_of_its_own(record, way)
        if way is not None and isinstance(observation, ABOUT_SESSIONS):
            # The logger of another server of this name writes no pid, or writes as this one does.
            shared = is_broken or not has_pid or record.program in self._off
            if piece and (way.shows_pieces or shared):
                return Outcome("none", Reason.PIECE, server, reading.rule.name, observation)
            why = self.policy.cannot_tell(record, server, way)
            if not why and carriage is not None and carriage.shows_pieces and not has_pid:
                why = self.policy.cannot_tell(record, server, carriage)
            if why:
                self.noticed.cut_unseen[server] = why
                return Outcome(
                    "none", Reason.CUT_UNSEEN, server, reading.rule.name, observation, detail=why
                )
        if at is None:
            at = now if record.time_epoch is None else min(int(record.time_epoch), now)
        if isinstance(observation, Accepted):
            self.usual.learn(record, reading.server, reading.rule)
            return self.logins.accepted(observation, reading.server, reading.rule, record, at, now)
        return self.logins.other(observation, reading.server, reading.rule.name, record, at, now)

    def _may_be_piece(
        self, record: Record, carriage: Carriage, reading: Match | Reason, now: int
    ) -> bool:
        if not self.policy.may_speak(record):
            return False  # it is refused, and must not make us forget what others wrote
        # A line of the server whose pieces show no sign is one itself; not every form has pids.
        may_be_off = record.program in self._off
        way = reading.server.carriage_of(record.program) if isinstance(reading, Match) else None
        look = self.pieces.look(
            logger_of(record),
            record,
            carriage,
            is_odd=may_be_off and way is not None and way.off,
            is_unread=may_be_off and reading is Reason.NO_RULE,
        )
        if look.sign and record.pid and (way is None or not way.is_whole):
            self.pieces.remember_pid(logger_of(record), record.pid)
        if look.sign and carriage.line_breaks and not record.vouched:
            named = self.policy.named & {s.name for s in self.matcher.servers_of(record.program)}
            behind = carriage.longest_bytes or (MANY_BYTES if named else EVERYTHING)
            self._broken = max(self._broken, behind)
        for login in look.forged:
            # Its message came before the one in front of it.
            if login.new:
                self.ledger.forget(login.address, now)
            elif login.session is not None:
                self.ledger.logout(login.session, int(login.at_epoch), int(login.at_epoch))
        return look.piece

    def _has_a_pid_of_its_own(self, record: Record, way: Carriage) -> bool:
        """Return whether the pid is a server's, as far as we have seen: rsyslog (imjournal, and
        imuxsock with UsePIDFromSystem) writes the one of the logger, whose lines have none.
        """
        if not record.pid:
            return False
        if way.shows_pieces:
            self.pieces.remember_pid(logger_of(record), record.pid)
        return not self.pieces.is_loggers_pid(logger_of(record), record.pid)
