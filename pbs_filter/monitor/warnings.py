"""Warnings tell an operator of each cause once, decided from counters once a second. Pure.

Nothing here is asked for each line. A warning is raised when its cause is first seen, stays in the
list that --status shows, and is not said again while it is there. A feed that stopped can be over;
what is counted (unread and forged lines, refused addresses) leaves the list when it has not
happened for a day. Both are told anew when they happen again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import chain
from typing import NamedTuple

from ..authorisation.countries import Countries
from ..authorisation.pipeline import Pipeline
from ..model import Reason
from ..syslog.headers import OwnLog
from ..terminal import safe
from ..text import counted
from .activity import LoginRate, SilenceDetector, Stamped, ZoneDetector, stamped

KINDS = (
    "unread",
    "crowded",
    "one_address",
    "silence",
    "time_zone",
    "forged",
    "over_limit",
    "country",
    "pieces",
)
"""The kinds of warnings: for programs, and a label of the metrics."""

MAX_EACH = 50
"""Causes of one kind that are told: texts in them may be an attacker's."""
UNREAD_LINES = 5
"""So many lines of a program that no rule reads are no accident."""
ONE_ADDRESS_LOGINS = 50
"""So many logins in a row from one address, while no other one may relay."""
EXAMPLE_CHARACTERS = 160
FADE_SECONDS = 86_400
"""The warnings that count something end so long after it last happened: people look once a day."""


_NEVER = (Reason.LOCAL_NETWORK, Reason.OWN_ADDRESS, Reason.PROXY)
"""Somebody logged in, and whoever is there is never authorised."""

Finding = tuple[str, str, str, str]
"""Kind, name, sentence, what to do."""


class Notice(NamedTuple):
    """A warning: one sentence, and what to do."""

    kind: str
    """One of `KINDS`."""
    since: int
    """When it was raised, seconds since the epoch."""
    sentence: str
    todo: str

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.sentence}; {self.todo}"


class Warnings:
    """Looks at a filter's counters once a second."""

    def __init__(self) -> None:
        self.warned: dict[str, Notice] = {}
        """What was warned of and holds, by cause."""
        self.logins = LoginRate()
        self.newest: Stamped | None = None
        """Of the newest line with a stamp that was looked at."""
        self.lag_seconds: int | None = None
        """How long after its stamp that line came."""
        self._silence = SilenceDetector()
        self._zones = ZoneDetector()
        self._each = dict.fromkeys(KINDS, 0)
        self._numbers: dict[str, Mapping[str, int]] = {}
        """How often what is counted has happened, by kind and name."""
        self._grew: dict[str, tuple[int, int]] = {}
        """By cause: that number, and the uptime at which it became so."""
        self._alone: tuple[str, int] | None = None
        """The only address that may relay, and the ledger's version."""
        self._logins_then = 0

    def look(self, pipeline: Pipeline, now: int, uptime: int) -> list[str]:
        """Return the sentences for the log about the last second.

        `now` is seconds since the epoch, `uptime` seconds of a clock that nobody sets.
        """
        counts, countries = pipeline.counts, pipeline.state.countries
        logins = sum(counts.logins.values())
        self._numbers = {
            "unread": counts.unread,
            "over_limit": pipeline.noticed.over_limit,
            "country": {user: each.number for user, each in countries.refused.items()},
            "forged": {f"{uid} {name}": number for (uid, name), number in counts.forged.items()},
        }
        self._fade(uptime)
        self.logins.look(logins, uptime)
        self._silence.look(counts.candidates, uptime)
        said = [*self._stopped(now, uptime)]
        # One after the other: each that is raised leaves less room for the next.
        for kind, name, sentence, todo in chain(
            self._unread(pipeline),
            self._crowded(pipeline),
            self._one_address(pipeline, logins),
            self._none_counts(pipeline, logins),
            self._forged(pipeline),
            self._pieces(pipeline),
            self._over_limit(pipeline),
            self._country(countries),
        ):
            said.append(self._raise(name, Notice(kind, now, sentence, todo)))
        return said

    def line(
        self,
        line: bytes,
        came: int,
        uptime: int,
        zone: tzinfo,
        own_logs: tuple[OwnLog, ...] = (),
    ) -> list[str]:
        """Return the sentences for the log about the newest line, which came at `came` (seconds
        since the epoch); `zone` is the local one at that time."""
        found = stamped(line, came, zone, own_logs)
        if found is None:
            return []
        self.newest = found
        self.lag_seconds = max(int(came - found.epoch), 0)
        half_hours = self._zones.look(found.host, found.epoch - came, uptime)
        host = safe(found.host) or "this host"
        if not half_hours or not [*self._new("time_zone", [host])]:
            return []
        hours, half = divmod(abs(half_hours), 2)
        way = "ahead of" if half_hours > 0 else "behind"
        sentence = (
            f"the lines of {host} are stamped {hours}:{30 * half:02} h {way} this machine's clock, "
            "always by the same"
        )
        todo = (
            "a time zone is wrong there or here: compare `date` on both, and restart the syslog "
            "daemon and the POP/IMAP server after a change of /etc/localtime"
        )
        return [self._raise(host, Notice("time_zone", came, sentence, todo))]

    # ------------------------------------------------------------------ the list

    def _new(self, kind: str, names: Iterable[object]) -> Iterator[str]:
        """Yield those of `names` that were not warned of, as long as there is room for them."""
        for name in names:
            if self._each[kind] >= MAX_EACH:
                return
            cause = f"{kind} {name}"
            if cause not in self.warned and not self._has_faded(cause, kind, str(name)):
                yield str(name)

    def _has_faded(self, cause: str, kind: str, name: str) -> bool:
        """Return whether `cause` was warned of, and has not happened again since that was over."""
        return cause in self._grew and self._grew[cause][0] == self._numbers[kind].get(name)

    def _fade(self, uptime: int) -> None:
        """Take out of the list what has not happened for `FADE_SECONDS`."""
        for cause, warned in [*self.warned.items()]:
            number = self._numbers.get(warned.kind, {}).get(cause.partition(" ")[2])
            if number is None:
                continue
            known, since = self._grew.setdefault(cause, (number, uptime))
            if number != known:
                self._grew[cause] = number, uptime
            elif uptime - since >= FADE_SECONDS:
                del self.warned[cause]
                self._each[warned.kind] -= 1

    def _raise(self, name: str, warned: Notice) -> str:
        self._each[warned.kind] += 1
        self.warned[f"{warned.kind} {name}"] = warned
        return warned.text

    # ------------------------------------------------------------------ what to warn of

    def _stopped(self, now: int, uptime: int) -> Iterator[str]:
        lasted = self._silence.lasts(uptime)
        if not lasted:
            if self.warned.pop("silence feed", None) is not None:
                self._each["silence"] = 0
                yield "lines of POP and IMAP servers arrive again"
            return
        for name in self._new("silence", ["feed"]):
            sentence = (
                "no line of a POP or IMAP server has arrived for "
                f"{counted(lasted // 60, 'minute')}; the longest pause of the last days was "
                f"{counted(self._silence.longest() // 60, 'minute')}"
            )
            todo = (
                "see whether that server runs and logs, and whether the syslog daemon still "
                "selects its lines for pbs-filter"
            )
            yield self._raise(name, Notice("silence", now, sentence, todo))

    def _unread(self, pipeline: Pipeline) -> Iterator[Finding]:
        counts = pipeline.counts
        many = (program for program, number in counts.unread.items() if number >= UNREAD_LINES)
        for program in self._new("unread", many):
            example = counts.unread_examples[program][:EXAMPLE_CHARACTERS]
            yield (
                "unread",
                program,
                f"{program} writes lines that no rule reads, like {example!r}",
                "a new version? look at `pbs-filter --status`, and give `pbs-filter --explain` the "
                "line; if it is a login, send that to pbs-filter's maintainers (CONTRIBUTING.md)",
            )

    def _crowded(self, pipeline: Pipeline) -> Iterator[Finding]:
        for address in self._new("crowded", pipeline.noticed.crowded):
            users = pipeline.noticed.crowded[address]
            yield (
                "crowded",
                address,
                f"{counted(len(users), 'user')} and more logged in from {address} "
                f"({', '.join(sorted(users))})",
                "if a proxy or webmail host is there, name it in proxy_networks, or everybody "
                "behind it may relay",
            )

    def _one_address(self, pipeline: Pipeline, logins: int) -> Iterator[Finding]:
        ledger = pipeline.ledger
        address = next(iter(ledger.authorisations)) if len(ledger.authorisations) == 1 else ""
        if not address or self._alone != (address, ledger.version):
            self._alone = address, ledger.version
            self._logins_then = logins
        elif (
            logins - self._logins_then >= ONE_ADDRESS_LOGINS and address in pipeline.noticed.shared
        ):
            for name in self._new("one_address", [address]):
                yield (
                    "one_address",
                    name,
                    f"the last {ONE_ADDRESS_LOGINS} logins, of several users, all came from "
                    f"{address}",
                    "if a proxy or webmail host is there, let it pass on the clients' addresses, "
                    "and name it in proxy_networks: now everybody behind it may relay",
                )

    def _none_counts(self, pipeline: Pipeline, logins: int) -> Iterator[Finding]:
        reasons = pipeline.counts.reasons
        number = sum(reasons.get(reason, 0) for reason in _NEVER)
        if logins or number < ONE_ADDRESS_LOGINS:
            return
        for name in self._new("one_address", ["none"]):
            yield (
                "one_address",
                name,
                f"all of {counted(number, 'login')} came from addresses that are never "
                "authorised (local, own, or a proxy's)",
                "a proxy in front may hide the clients: let it pass on their addresses, or read "
                "its own lines instead; `pbs-filter --status` has examples",
            )

    def _forged(self, pipeline: Pipeline) -> Iterator[Finding]:
        for name in self._new("forged", self._numbers["forged"]):
            uid, _, program = name.partition(" ")
            server = pipeline.counts.forged_servers.get((int(uid), program), program)
            yield (
                "forged",
                name,
                f"forged: uid {uid} wrote lines as {program!r}, refused",
                "if it is the server's own account: trusted_accounts = "
                f"{{{server} = [{uid}]}}; else ask its owner",
            )

    def _pieces(self, pipeline: Pipeline) -> Iterator[Finding]:
        for server in self._new("pieces", pipeline.noticed.cut_unseen):
            yield (
                "pieces",
                server,
                f"logins of {server} are refused: a piece of a long user name can look like one",
                pipeline.noticed.cut_unseen[server],
            )

    def _over_limit(self, pipeline: Pipeline) -> Iterator[Finding]:
        most = pipeline.ledger.user_limit.most
        for user in self._new("over_limit", pipeline.noticed.over_limit):
            yield (
                "over_limit",
                user,
                f"{user} has {counted(most, 'address')} that may relay, and logs in from more, "
                "refused",
                "if the password was stolen, change it, then end them all: pbs-filter --forget "
                "--user NAME; if they are genuine, raise max_addresses_per_user",
            )

    def _country(self, countries: Countries) -> Iterator[Finding]:
        for user in self._new("country", countries.refused):
            yield (
                "country",
                user,
                f"{user} logs in from a country that is new for this user, refused: "
                f"{countries.refused[user].country}",
                "if the password was stolen, change it; if the user travels, --authorise the "
                "address, add the country to geoip_countries, or let the next one be learnt with "
                "--forget --erase USER",
            )
