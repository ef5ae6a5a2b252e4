"""Housekeeping removes what has ended, renews leases, and follows a clock that was set. Pure.

No reader depends on it for an end, only held addresses for their next lease.
"""

from __future__ import annotations

from .authorisations import Authorisation
from .book import Book
from .expiry import DueQueue

TICK_LIMIT = 500
"""Addresses and sessions one `tick` looks at, a millisecond's work: a million ends in one second
must not stop the filter. The caller calls again while `next_due` says so."""


def tick(book: Book, now: int, limit: int = TICK_LIMIT) -> None:
    """Remove what has ended and renew the leases of what is held, at most `limit` addresses."""
    while limit > 0 and (due := book.due.take(now)) is not None:
        address, second = due
        auth = book.authorisations.get(address)
        if auth is not None and auth.due == second:
            limit -= len(auth.sessions) if isinstance(auth.sessions, set) else 1
            settle(book, address, auth, now)
        else:
            limit -= 1


def settle(book: Book, address: str, auth: Authorisation, now: int) -> None:
    """`address` is due: renew its lease, wait for its end, or drop it."""
    until = _lease(book, auth, now)
    if until > auth.until:
        auth.until = until
        auth.renewed = now
        book.map.add(address)
    if auth.users is not None:
        _settle_users(book, address, auth, now)
    if auth.until <= now:
        book.drop(address, auth)
        # The journal need not hear of it: whoever replays it compares the end with the clock.
        book.journal.addresses.pop(address, None)
    else:
        book.enqueue(address, auth, max(book.due_at(auth), now + 1))


def _settle_users(book: Book, address: str, auth: Authorisation, now: int) -> None:
    """Renew each user's lease by his own sessions, and remove those whose time has ended."""
    assert auth.users is not None
    leases = book.leases(auth, now)
    ended = []
    for name, user in auth.users:
        if user.extend(leases.get(name, 0), now):
            book.map.add(address)
        if user.until <= now:
            ended.append(name)
    if ended and len(ended) < len(auth.users):
        book.remove_users(address, auth, ended)


def _lease(book: Book, auth: Authorisation, now: int) -> int:
    """Return the latest end that the sessions of `auth` give it; close those past their time."""
    latest = 0
    for key in auth.session_keys():
        session = book.sessions[key]
        latest = max(latest, book.end_of(session, now))
        limit = session.opened + book.terms(session.user, session.address).max_session_seconds
        if limit <= now:
            book.logout(key, limit, now)
    return latest


def shift(book: Book, seconds: int) -> None:
    """The wall clock was set by `seconds` (negative: back): what is left stays what it was."""
    for part in book.authorisations.parts:
        for auth in part.values():
            auth.until += seconds
            auth.renewed += seconds
            auth.since += seconds
            auth.last += seconds
            for _, user in auth.users or ():
                user.shift(seconds)
    for sessions in book.sessions.parts:
        for session in sessions.values():
            session.opened += seconds
    book.user_limit.shift(seconds)
    book.journal.payloads.shift(seconds)
    book.due = DueQueue()
    for address, auth in book.authorisations.items():
        book.enqueue(address, auth, book.due_at(auth))
    book.version += 1
