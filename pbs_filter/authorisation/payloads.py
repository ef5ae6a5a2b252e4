"""The journal's payloads of addresses, their users, and sessions. Pure.

They are *states*, not events: the later one counts, so that replaying one twice, or an old snapshot
and then what came after it, gives the same ledger. Fields are separated by one tab:

    a <address> <until> <renewed> <since> <last> <server> <protocol> <user> <line>
    d <address> <at>
    u <address> <user> <until> <renewed> <since> <last> <server> <protocol>
    v <address> <user> <server> <at>
    o <session> <address> <opened> <protocol> <user>
    c <session>

`a` has the newest user of the address, and the latest of all ends; `u` is one of several users with
his own end, `v` one who is gone; `d` an address that was ended by hand, `c` a session that ended.
`at` is when a person ended it, 0 where nobody did: what an old map says of later counts although
the journal was damaged. Before 0.2.0 there was none: then nothing of the map counts.
"""

from __future__ import annotations

from functools import lru_cache

from ..map_format.entry import Entry
from .authorisations import MANUAL, Authorisation, Session, clean
from .shards import Shards
from .users import Name, Users

_FOR_EVER = 1 << 62
LINE_CHARACTERS = 300
"""How much of the line that authorised an address the journal keeps for --history."""


class Payloads:
    """Payloads of the states in `authorisations` and `sessions`, and back."""

    def __init__(
        self, authorisations: Shards[str, Authorisation], sessions: Shards[str, Session]
    ) -> None:
        self.authorisations = authorisations
        self.sessions = sessions
        self._ended: dict[tuple[str, Name | None], int] = {}
        """When a person ended an address or one of its users: what the journal has not been told
        yet, and all while it is replayed; an old map must not bring them back."""

    def end(self, address: str, name: Name | None, at: int) -> None:
        """A person ended `address`, or one of its users, at `at`."""
        key = address, name
        self._ended[key] = max(at, self._ended.get(key, 0))

    def _lift(self, key: tuple[str, Name | None]) -> None:
        """A later login lifts an end without a time; else that tells which logins are later."""
        if not 0 < self._ended.get(key, 0) < _FOR_EVER // 2:
            self._ended.pop(key, None)

    def written(self) -> None:
        """The journal has all, or has been replayed."""
        self._ended.clear()

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds`."""
        for key in self._ended:
            self._ended[key] += seconds

    def address(self, address: str, line: str) -> str:
        """Return the payload of an address; `line` authorised it."""
        auth = self.authorisations.get(address)
        if auth is None:
            return f"d\t{address}\t{self._ended.get((address, None), 0)}"
        return (
            f"a\t{address}\t{auth.until}\t{auth.renewed}\t{auth.since}\t{auth.last}"
            f"\t{auth.server}\t{auth.protocol}\t{auth.user}\t{clean(line[:LINE_CHARACTERS])}"
        )

    def user(self, address: str, name: Name) -> str:
        """Return the payload of one of several users of an address."""
        auth = self.authorisations.get(address)
        user = None if auth is None or auth.users is None else auth.users.by_name.get(name)
        if user is None:
            at = self._ended.get((address, name), 0)
            return f"v\t{address}\t{name[0]}\t{MANUAL if name[1] else ''}\t{at}"
        return (
            f"u\t{address}\t{name[0]}\t{user.until}\t{user.renewed}\t{user.since}\t{user.last}"
            f"\t{user.server}\t{user.protocol}"
        )

    def session(self, key: str) -> str:
        """Return the payload of a session."""
        session = self.sessions.get(key)
        if session is None:
            return f"c\t{key}"
        return f"o\t{key}\t{session.address}\t{session.opened}\t{session.protocol}\t{session.user}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        fields = payload.split("\t")
        kind = fields[0]
        if kind == "a":
            _, address, until, renewed, since, last, server, protocol, user, _line = fields
            addresses = self.authorisations.part(address)
            auth = addresses.get(address)
            if auth is None:
                auth = addresses[address] = Authorisation(0, 0, 0, 0)
            self._lift((address, None))
            auth.until = _number(until)
            auth.renewed = _number(renewed)
            auth.since = _number(since)
            auth.last = _number(last)
            auth.server = _word(server)
            auth.protocol = _word(protocol)
            auth.user = user
            if auth.users is not None and len(auth.users) < 2:
                auth.users = None
        elif kind == "u":
            _, address, user, until, renewed, since, last, server, protocol = fields
            auth = self.authorisations.get(address)
            if auth is not None:
                auth.users = auth.users or Users()
                times = _number(until), _number(renewed), _number(since), _number(last)
                entry = Entry(*times, 0, _word(server), _word(protocol), user)
                auth.users.take((user, server == MANUAL), entry)
                self._lift((address, (user, server == MANUAL)))
        elif kind == "v":
            _, address, user, server, *ended = fields
            name = user, server == MANUAL
            self.end(address, name, _end(ended))
            auth = self.authorisations.get(address)
            if auth is not None and auth.users is not None:
                auth.users.by_name.pop(name, None)
        elif kind == "d":
            _, address, *ended = fields
            self.end(address, None, _end(ended))
            self.authorisations.pop(address, None)
        elif kind == "o":
            _, key, address, opened, protocol, user = fields
            self.sessions[key] = Session(address, _number(opened), _word(protocol), user)
        elif kind == "c":
            _, key = fields
            self.sessions.pop(key, None)
        else:
            return False
        return True

    def learn(self, address: str, entry: Entry, now: int, *, surely: bool = False) -> bool:
        """Take what an old map says of `address`; whether it is more than the journal did.

        `address` may be the key of one of its users. Words from the future are none: the line that
        told the journal's clock was damaged, or somebody put a map back that tells the times of
        another clock. `surely`: whatever the journal said, and of the users what is told from now
        on.
        """
        if entry.renewed > now + 1:
            return False
        address, is_user, _ = address.partition("#")
        name = entry.user, entry.server == MANUAL
        for whom in () if surely else (None, name):
            if entry.renewed <= self._ended.get((address, whom), -1):
                return False
        if is_user:
            return self._learn_user(address, entry, now)
        auth = self.authorisations.get(address)
        if auth is None:
            auth = self.authorisations[address] = Authorisation(0, 0, entry.since, 0)
        elif surely:
            auth.users = None
        elif auth.until >= entry.until and auth.renewed <= now + 1:
            return False
        auth.take(entry)
        return True

    def _learn_user(self, address: str, entry: Entry, now: int) -> bool:
        auth = self.authorisations.get(address)
        if auth is None:
            auth = self.authorisations[address] = Authorisation(0, 0, entry.since, 0)
            self.learn(address, entry, now)
        if auth.users is None:
            auth.users = Users()
        name = entry.user, entry.server == MANUAL
        known = auth.users.by_name.get(name)
        if known is not None and known.until >= entry.until and known.renewed <= now + 1:
            return False
        auth.users.take(name, entry)
        return True


def _end(ended: list[str]) -> int:
    """Return when a person ended something; for ever where an older version wrote no time."""
    if not ended:
        return _FOR_EVER
    (at,) = ended
    return int(at)


# A million addresses have the same few times and words: one object for each, not a million.
_number = lru_cache(4096)(int)
_word = lru_cache(256)(str)
