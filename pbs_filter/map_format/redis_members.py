"""Decides whether an address that is missing in Redis may be taken for "no". Pure.

Redis is a cache of what the filters' journals hold. A filter that writes there is a *member*, and
its mark in `PREFIX!filters` says what of it is there:

    MILLIS END NAME INSTANCE RUN LIFE REPLID...

At MILLIS, by the clock of the server, everything that then waited to be sent had been taken: its
sign of life, one each second. Nothing of it lives at END (epoch seconds, the same clock) if it has
been silent since. INSTANCE is that of its journal, RUN that of its process. LIFE names the data:
the first member that finds none makes a new one, so that what stood in a server before it was
emptied says nothing any more. The REPLIDs are the servers' replication ids, which change with a
restart and with a failover.

A mark without REPLID is a claim: the member is known, and has sent nothing yet. Each member makes
one for every other that it remembers. `retired` as INSTANCE: a person said that it is gone for
good.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SILENT_MS = 3000
"""A sign of life that is older is none: so long, and no longer, may a login that is in its filter's
journal be missing in Redis while misses are believed."""
AHEAD_MS = 1000
"""A sign that is so much in the future was given by another clock than that which judges it."""
LIFE_FIELD = "!life"
LIFE = b"life"
"""The first word of the value that names the data, in the field LIFE_FIELD."""
REVOKED = b"revoked"
"""The first word of the value in the field `redis_fields.FORGOTTEN`: when logins were revoked last,
milliseconds since the epoch, and a word that is new each time."""
HEARD_MS = 2 * SILENT_MS
"""In this time each filter that gives signs of life has heard that an address was revoked, and has
sent what came later once more."""
RETIRED = b"retired"
NONE = b"-"

_LIFE = 5


class Mark:
    """What the mark of a member says."""

    __slots__ = ("end", "instance", "life", "millis", "name", "run", "servers")

    def __init__(
        self,
        name: bytes,
        millis: int = 0,
        end: int = 0,
        instance: bytes = NONE,
        run: bytes = NONE,
        life: bytes = NONE,
        servers: Iterable[bytes] = (),
    ) -> None:
        self.name = name
        """As `spelled`."""
        self.millis = millis
        """When it gave its last sign of life, milliseconds since the epoch."""
        self.end = end
        """From when on nothing of it lives, seconds since the epoch."""
        self.instance = instance
        self.run = run
        self.life = life
        self.servers = tuple(servers)

    @property
    def is_retired(self) -> bool:
        """Whether a person said that it is gone for good."""
        return self.instance == RETIRED

    def encode(self) -> bytes:
        """Return the value of the member's field."""
        return b" ".join(
            (
                b"%d %d" % (self.millis, self.end),
                self.name,
                self.instance,
                self.run,
                self.life,
                *self.servers,
            )
        )

    def says(self, now_ms: int) -> str:
        """Return, for people, when it gave its last sign of life."""
        if not self.millis:
            return "no sign of life is known"
        return f"its last sign of life came {max(now_ms - self.millis, 0) / 1000:.0f} s ago"


def decode(value: bytes) -> Mark | None:
    """Return the mark that `value` is; None: it is none."""
    words = value.split(b" ")
    if len(words) < 6 or not all(word.isdigit() and len(word) < 16 for word in words[:2]):
        return None
    return Mark(words[2], int(words[0]), int(words[1]), words[3], words[4], words[5], words[6:])


def spelled(name: str) -> bytes:
    """Return a filter's name as one word of printable ASCII."""
    raw = name.encode("utf-8", "replace")
    return b"".join(b"%c" % c if 33 <= c <= 126 and c != 37 else b"%%%02x" % c for c in raw)


def life_of(values: Iterable[bytes]) -> bytes:
    """Return the name of the data; empty: it has none."""
    return next((value[_LIFE:] for value in values if value[:_LIFE] == LIFE + b" "), b"")


def revoked(millis: int, word: bytes) -> bytes:
    """Return the value that says that logins were revoked at `millis`."""
    return b"%b %d %b" % (REVOKED, millis, word)


def _revoked_ms(values: Iterable[bytes]) -> int:
    for value in values:
        words = value.split(b" ")
        if words[0] == REVOKED and len(words) == 3 and words[1].isdigit() and len(words[1]) < 16:
            return int(words[1])
    return 0


class Members:
    """The members by the `values` of the key `redis_fields.FILTERS`, read once for many misses."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self.values = list(values)
        self._life = life_of(self.values)
        self._revoked_ms = _revoked_ms(self.values)
        self._marks = [mark for mark in map(decode, self.values) if mark is not None]

    def ends(self) -> dict[bytes, int]:
        """Return when nothing of each member lives any more; 0 for one that is retired."""
        return {mark.name: 0 if mark.is_retired else mark.end for mark in self._marks}

    def doubt(
        self,
        remembered: Mapping[bytes, int],
        server: bytes,
        now_ms: int,
        *,
        is_unheard: bool = False,
    ) -> str:
        """Return why "there is no such address" must not be believed; empty: it may be.

        Args:
            remembered: members that are known from elsewhere, and when nothing of them lives any
                more.
            server: the replication id of the server that has no such address.
            now_ms: by the clock of the server that the values came from, milliseconds since the
                epoch.
            is_unheard: see `redis_fields.is_unheard`.
        """
        missing = {name for name, end in remembered.items() if end * 1000 > now_ms}
        is_known = False
        found = ""
        for mark in self._marks:
            missing.discard(mark.name)
            if mark.is_retired or mark.end * 1000 <= now_ms:
                continue
            is_known = True
            found = found or _doubt_of(mark, self._life, server, now_ms)
        if not found and missing:
            found = _not_sent(min(missing).decode("ascii", "replace"), "it is not known there")
        if not found and is_unheard and now_ms < self._revoked_ms + HEARD_MS:
            found = "it was revoked a moment ago; a filter that has not heard of that may let it in"
        return found or ("" if is_known else "no filter has sent its addresses")


def _doubt_of(mark: Mark, life: bytes, server: bytes, now_ms: int) -> str:
    name = mark.name.decode("ascii", "replace")
    if not life or mark.life != life or server not in mark.servers:
        return _not_sent(name, mark.says(now_ms))
    if mark.millis > now_ms + AHEAD_MS:
        return (
            f"the sign of life of filter {name} came in the future: the clocks of the Redis hosts "
            "disagree; let NTP keep them"
        )
    if mark.millis < now_ms - SILENT_MS:
        return f"no sign of life of filter {name}: {mark.says(now_ms)}{_retire(name)}"
    return ""


def _not_sent(name: str, says: str) -> str:
    return (
        f"filter {name} has not sent its addresses since the last restart or failover: {says}"
        f"{_retire(name)}"
    )


def _retire(name: str) -> str:
    return f" (if that filter is gone for good: pbs-filter --retire {name})"
