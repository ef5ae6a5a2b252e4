"""Keeps the users of an address that several have logged in from, each with his own end. Pure.

Behind one address (NAT, a proxy) there may be many users. The address may relay until the latest of
their ends; where senders are bound to users, each may send until his own. At most MAX_USERS are
kept, those with the newest logins: the address does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..map_format.entry import MAX_USERS, Entry

Name = tuple[str, bool]
"""A user's name, and whether it is the note of an authorisation by hand."""


class User:
    """One user of an address. Times are whole seconds since the epoch."""

    __slots__ = ("last", "protocol", "renewed", "server", "since", "until")

    def __init__(self, until: int, renewed: int, since: int, last: int) -> None:
        self.until = until
        self.renewed = renewed
        self.since = since
        self.last = last
        self.server = ""
        self.protocol = ""

    def extend(self, until: int, now: int) -> bool:
        """Move the end to `until` if that is later; return whether it was."""
        if until <= self.until:
            return False
        self.until = until
        self.renewed = now
        return True

    def shift(self, seconds: int) -> None:
        """Follow a clock that was set by `seconds`."""
        self.until += seconds
        self.renewed += seconds
        self.since += seconds
        self.last += seconds


class Users:
    """The users of one address, by name."""

    __slots__ = ("by_name",)

    def __init__(self) -> None:
        self.by_name: dict[Name, User] = {}

    def __len__(self) -> int:
        return len(self.by_name)

    def __iter__(self) -> Iterator[tuple[Name, User]]:
        return iter(list(self.by_name.items()))

    def take(self, name: Name, entry: Entry) -> None:
        """Keep the user `name` as `entry` has him, if he is one of the newest.

        A damaged journal and an old map may know more users than were ever kept at a time.
        """
        user = self.by_name[name] = User(entry.until, entry.renewed, entry.since, entry.last)
        user.server = entry.server
        user.protocol = entry.protocol
        if len(self.by_name) > MAX_USERS:
            del self.by_name[self._oldest()]

    def _oldest(self) -> Name:
        return min(self.by_name, key=lambda each: self.by_name[each].last)

    def login(
        self, name: Name, server: str, protocol: str, at: int, until: int, now: int
    ) -> tuple[bool, Name | None]:
        """Note a login of `name` at `at`, which counts until `until`.

        Return whether it changed anything, and who had to go for it.
        """
        dropped = None
        user = self.by_name.get(name)
        if user is None:
            if len(self.by_name) >= MAX_USERS:
                dropped = self._oldest()
                del self.by_name[dropped]
            user = self.by_name[name] = User(until, now, at, at)
            changed = True
        else:
            changed = user.extend(until, now)
        if at >= user.last:
            changed = changed or at > user.last or user.server != server
            user.last = at
            user.server = server
            user.protocol = protocol
        return changed, dropped

    def newest(self) -> tuple[Name, User]:
        """Return the user who logged in last."""
        return max(self.by_name.items(), key=lambda item: (item[1].last, item[1].until))
