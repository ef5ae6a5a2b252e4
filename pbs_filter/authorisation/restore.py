"""Restoring makes the ledger whole after a replay of the journal. Pure."""

from __future__ import annotations

from .authorisations import MANUAL, Authorisation
from .book import Book
from .housekeeping import settle
from .user_names import user_key


def restore(book: Book, now: int) -> None:
    """Tie the replayed sessions to their addresses, and drop what has ended meanwhile.

    What was written in the future (the clock was set back while nobody ran) is dropped: nobody
    can say how long ago it really was.
    """
    for sessions in book.sessions.parts:
        for key, session in list(sessions.items()):
            auth = book.authorisations.get(session.address)
            if auth is None or session.opened > now + 1 or book.end_of(session, now) <= now:
                del sessions[key]
            else:
                auth.hold(key)
    for addresses in book.authorisations.parts:
        for address, known in list(addresses.items()):
            if known.users is not None:
                _restore_users(book, address, known, now)
            if known.renewed > now + 1:
                book.drop(address, known)
            else:
                settle(book, address, known, now)
    _count_users(book)
    book.events.take()  # what ended while nobody ran is no news
    book.journal.written()


def _restore_users(book: Book, address: str, auth: Authorisation, now: int) -> None:
    """Drop users from the future, and those of an older life of the address."""
    assert auth.users is not None
    book.map.may_have_users(address)
    leases = book.leases(auth, now)
    for name, user in auth.users:
        ended = max(user.until, leases.get(name, 0)) <= now
        if ended or user.renewed > now + 1:
            del auth.users.by_name[name]
    if auth.users.by_name.keys() <= {auth.name()}:
        auth.users = None
        book.map.add(address)


def _count_users(book: Book) -> None:
    """Learn from addresses and sessions whose they are, after a start."""
    book.user_limit.clear()
    if not book.user_limit.most:
        return
    for address, auth in book.authorisations.items():
        if auth.server != MANUAL and auth.user:
            book.user_limit.add(user_key(auth.user), address, auth.until)
        for user in {book.sessions[key].user for key in auth.session_keys()} - {auth.user, ""}:
            book.user_limit.share(address, user_key(user), user_key(auth.user))
            book.user_limit.add(user_key(user), address, auth.until)
        for (user, by_hand), each in auth.users or ():
            if user and not by_hand:
                book.user_limit.share(address, user_key(user), user_key(auth.user))
                book.user_limit.add(user_key(user), address, each.until)
