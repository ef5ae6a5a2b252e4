"""Countries: from which of them each user has logged in, and whether one is new. Pure.

The first country of a user is learnt, whatever it is, and so is the next one when he has come from
none for `seconds`. Each login from a known country makes it known for so long again. A login from
another one is refused, and teaches nothing: else an attacker would only have to come twice.

An address that the database does not know is of the country `??`, as any other.

Journal payloads (states, `later wins`; see `ledger`):

    k <user> <country> <last>

`last` may be an hour older than the last login: a user who comes often must not fill the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..model import Reason
from .authorisations import clean
from .user_names import user_key

UNKNOWN = "??"
STEP_SECONDS = 3600
MAX_COUNTRIES = 32
"""Countries of one user, the newest."""
MAX_REFUSED = 1000
"""Users whose refused logins are remembered for the warning."""


class Refusals(NamedTuple):
    """The logins of one user that were refused for their country."""

    country: str
    """The newest one."""
    number: int


class Countries:
    """The countries of each user, with their last logins.

    Args:
        max_users: of whom countries are kept; the one who was learnt first is forgotten first.
    """

    def __init__(self, max_users: int = 2_000_000) -> None:
        self.seconds = 0
        """For how long a login makes its country known; 0: nothing is learnt, kept or refused."""
        self.home: frozenset[str] = frozenset()
        """Countries that are known for everybody."""
        self.country_of: Callable[[str], str] = lambda _address: ""
        """The country of a canonical address by the site's database; empty: it is not there."""
        self._max_users = max_users
        self._by_user: dict[str, dict[str, int]] = {}
        self.number = 0
        """Of pairs of user and country."""
        self._changed: dict[tuple[str, str], None] = {}
        self._latest = 0
        """The newest time that was told: what is old is old by that."""
        self.refused: dict[str, Refusals] = {}
        """For people: users who came from a new country."""

    def refuses(self, user: str, address: str, at: int) -> tuple[Reason, str] | None:
        """Why a login of `user` at canonical `address` authorises nobody; None: it may.

        It is then learnt. `at` is its time, in seconds since the epoch.
        """
        if not user:
            return Reason.NEW_COUNTRY, "the line names no user"
        country = self.country_of(address) or UNKNOWN
        key = clean(user_key(user))
        self._latest = max(self._latest, at)
        known = self._by_user.get(key, {})
        living = {name for name, last in known.items() if last > at - self.seconds}
        if living and country not in living and country not in self.home:
            number = self.refused.get(key, Refusals("", 0)).number
            if number or len(self.refused) < MAX_REFUSED:
                self.refused[key] = Refusals(country, number + 1)
            return Reason.NEW_COUNTRY, f"{country}; known: {', '.join(sorted(living))}"
        if at - known.get(country, -STEP_SECONDS) >= STEP_SECONDS:
            self._learn(key, country, at)
            self._changed[key, country] = None
        return None

    def _learn(self, key: str, country: str, last: int) -> None:
        known = self._by_user.get(key)
        if known is None:
            if len(self._by_user) >= self._max_users:
                self.number -= len(self._by_user.pop(next(iter(self._by_user))))
            known = self._by_user[key] = {}
        before = len(known)
        known.pop(country, None)  # the newest stands last
        known[country] = last
        if len(known) > MAX_COUNTRIES:
            del known[next(iter(known))]
        self.number += len(known) - before

    def forget(self, user: str) -> None:
        """Forget the countries of a user: the next one is learnt."""
        key = clean(user_key(user))
        known = self._by_user.pop(key, {})
        self.number -= len(known)
        for country in known:
            self._changed.pop((key, country), None)
        self.refused.pop(key, None)

    def shift(self, seconds: int) -> None:
        """The wall clock was set by `seconds`."""
        self._latest += seconds
        for known in self._by_user.values():
            for country in known:
                known[country] += seconds

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """How many states the journal has to be told of."""
        return len(self._changed)

    def journal_payloads(self) -> list[str]:
        """What the journal has to be told. It is told again until `journaled` is called."""
        return [
            f"k\t{user}\t{country}\t{known[country]}"
            for user, country in self._changed
            if country in (known := self._by_user.get(user, {}))
        ]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._changed.clear()

    def live_payloads(self) -> Iterator[str]:
        """Everything that still counts, for a new journal."""
        for user in list(self._by_user) if self.seconds else ():
            for country, last in list(self._by_user.get(user, {}).items()):
                if last > self._latest - self.seconds:
                    yield f"k\t{user}\t{country}\t{last}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        kind, *fields = payload.split("\t")
        if kind != "k":
            return False
        user, country, last = fields
        if self.seconds:
            self._latest = max(self._latest, int(last))
            self._learn(user, country, int(last))
        return True

    def restored(self, now: int) -> None:
        """After the last `apply`: nobody has come later than now (the clock was set back)."""
        self._latest = now
        for known in self._by_user.values():
            for country, last in known.items():
                known[country] = min(last, now)
