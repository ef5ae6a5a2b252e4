"""Erasure takes what is known of one user, or of one address, out of the state. Pure.

The ledger has forgotten it before (`Ledger.forget`). What a journal still says of it is found by
`mentions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .keys import word_of
from .pipeline import Pipeline
from .user_names import folded, user_key

_NAME = r"[\w.@+-]"
"""What goes on with a user's name: `bob@example.org` is not bob."""
_FOLDER = r"(?:\+[^@\s]{0,255})?"
"""What `user_key` leaves out."""


def mentions(*, user: str = "", address: str = "") -> Callable[[str], bool]:
    """Return whether a text speaks of the user, in any spelling of `user_key`, or of the address.

    It may speak of somebody else, whose name looks so: what it is asked of is only history.
    """
    if address:
        pattern = rf"(?<![0-9A-Fa-f.]){re.escape(address)}(?![0-9A-Fa-f:]|\.[0-9])"
    else:
        names = "|".join(map(_with_folder, {user_key(user), word_of(user_key(user))}))
        pattern = rf"(?<!{_NAME})(?:{names})(?!\.*[\w@+-])"
    search = re.compile(pattern).search
    return lambda text: search(folded(text)) is not None


def _with_folder(name: str) -> str:
    local, at, domain = name.partition("@")
    return re.escape(local) + _FOLDER + (re.escape(at + domain) + _FOLDER if at else "")


def erase(pipeline: Pipeline, *, user: str = "", address: str = "") -> None:
    """Forget what is remembered beside the ledger, for sessions to come and for people."""
    speaks_of = mentions(user=user, address=address)
    for session, (connected, _) in [*pipeline.correlator.pending.items()]:
        if connected == address or speaks_of(session):
            pipeline.correlator.forget_pending(session)
    if user:
        pipeline.state.countries.forget(user)
    noticed, counts = pipeline.noticed, pipeline.counts
    for shared in (noticed.shared, noticed.crowded):
        for each, users in [*shared.items()]:
            if each == address:
                del shared[each]
            users.difference_update({name for name in users if user and speaks_of(name)})
    for name in [name for name in noticed.over_limit if user and speaks_of(name)]:
        del noticed.over_limit[name]
    counts.forget_logins(
        lambda login: login.address == address or (bool(user) and speaks_of(login.user))
    )
    for reason, line in [*counts.examples.items()]:
        if speaks_of(line.decode("utf-8", "replace")):
            counts.examples[reason] = b""
    for program, text in [*counts.unread_examples.items()]:
        if speaks_of(text):
            counts.unread_examples[program] = ""
