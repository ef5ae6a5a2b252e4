"""The membership keeps this filter's mark in Redis, and exchanges words with the other members.

`map_format.redis_members` explains marks and how lookups use them, `map_format.redis_site` words.
Called by the thread of `redis_sender`. Edge.
"""

from __future__ import annotations

import os
import time

from ..errors import StoreBusy
from ..map_format import redis_members as members
from ..map_format.redis_fields import FORGOTTEN as REVOKED
from ..map_format.redis_members import LIFE, LIFE_FIELD, NONE, RETIRED, SILENT_MS, Mark, spelled
from ..map_format.redis_site import FORGOTTEN, MEMBER, ROUGH_SECONDS, Word
from ..map_format.redis_site import RETIRED as GONE
from .redis_client import Link
from .redis_commands import BATCH, Seen
from .redis_queue import SendQueue

OVER_SECONDS = 60
"""How long a word still counts that is taken back: the filter's loop takes none that is over."""


class Predecessor(StoreBusy):
    """Our mark was renewed a moment ago by another process, which may just have ended: try again
    soon."""


class Membership:
    """The mark of this filter, and the words it exchanges.

    Args:
        queue: of the sending thread.
        name: of this filter.
        longest_seconds: the longest time for which one login authorises an address.
    """

    def __init__(self, queue: SendQueue, name: str, longest_seconds: int) -> None:
        self._queue = queue
        self._name = name
        self._longest = longest_seconds
        self._run = os.urandom(6).hex().encode()
        self._life = b""
        self._seen = Seen("", 0, {})
        self._before: tuple[bytes, int] | None = None
        """Run and time of a mark of our name that another process set."""
        self._signs: set[int] = set()
        """The signs of life that it gave since."""
        self._gossiped = ""
        """The server that has all revoked logins."""
        self._stamp = b""
        """The field FORGOTTEN of the marks when all revoked logins were read."""
        self._latest_end = 0
        self._has_place = False
        """Our mark was set since another filter had the name."""
        self.must_gossip = True

    # ------------------------------------------------------------------ reading the marks

    def look(self, link: Link) -> str:
        """Read the marks; return a text that names the data in that server, its replication ids
        and LIFE.

        Raises:
            StoreBusy: another filter writes in our name, or did so before that server was emptied.
        """
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        seen = link.see()
        since = (before + time.clock_gettime(time.CLOCK_BOOTTIME)) / 2
        if not members.life_of(seen.marks.values()):
            link.claim(LIFE_FIELD, LIFE + b" " + os.urandom(8).hex().encode())
            seen = link.see()
        self._life = members.life_of(seen.marks.values())
        decoded = {name: members.decode(value) for name, value in seen.marks.items()}
        marks = {name: mark for name, mark in decoded.items() if mark is not None}
        with self._queue.changed:
            self._queue.see(seen.millis, marks)
            self._queue.offset = seen.millis / 1000 - since
            self._queue.heard_at = seen.millis // 1000
        self._refuse(link, seen)
        self._seen = seen
        with self._queue.changed:
            self._remember(marks)
        self._tell(link, marks, seen.millis // 1000)
        server = f"{seen.server} {self._life.decode()}"
        self.must_gossip = (
            self._gossiped != server
            or self._queue.has_news
            or self._stamp != seen.marks.get(REVOKED, b"")
        )
        return server

    @property
    def millis(self) -> int:
        """The server's clock when the marks were last read, milliseconds since the epoch."""
        return self._seen.millis

    @property
    def is_marked(self) -> bool:
        """Whether our mark was there when the marks were last read."""
        return self._name in self._seen.marks

    def _refuse(self, link: Link, seen: Seen) -> None:
        mark = members.decode(seen.marks.get(self._name, b""))
        if mark is None or mark.instance == NONE:
            # What that server had before is lost, and our place there if we had one.
            mark = self._other(seen.millis // 1000)
            if mark is not None:
                link.claim(self._name, mark.encode())
                raise self._taken(mark, seen.millis)
            return
        if mark.is_retired or mark.run in (self._run, NONE):
            return
        ours = mark.instance == self._queue.instance.encode()
        lives = mark.millis >= seen.millis - SILENT_MS
        if lives:
            sign = mark.run, mark.millis
            if ours and self._before in (None, sign):
                self._before = sign
                raise Predecessor(f"the filter that wrote as {self._name!r} has just ended")
            if mark.millis not in self._signs and len(self._signs) == 1:
                self._queue.part()
            self._signs.add(mark.millis)
        elif ours or self._queue.is_new or mark.end * 1000 <= seen.millis:
            return
        # One sign may have been on its way when that filter was killed.
        is_other = not lives or len(self._signs) > 1
        if is_other and mark.end > self._word(MEMBER)[1]:
            self._hear(mark.millis, mark.end + ROUGH_SECONDS)
        raise self._taken(mark, seen.millis)

    def _taken(self, mark: Mark, millis: int) -> StoreBusy:
        self._has_place = False
        return StoreBusy(
            f"another filter writes to the map as {self._name!r} ({mark.says(millis)}): "
            "nothing is sent from here; give each filter its own redis_name (if the other one is "
            f"gone for good: pbs-filter --retire {self._name})"
        )

    def _word(self, kind: str) -> Word:
        """Return what our journal knows of the other filter of our name."""
        with self._queue.changed:
            return self._queue.words.get(kind + self._name, (-1, 0))

    def _hear(self, at: int, until: int) -> None:
        with self._queue.changed:
            self._queue.hear(MEMBER + self._name, (at, until))

    def _other(self, now: int) -> Mark | None:
        """Return a mark of the filter that had our name when we came, and whose logins may live at
        `now`: it has to send them first, wherever they were lost. None: there is none."""
        at, until = self._word(MEMBER)
        if self._has_place or until <= now or at <= self._word(GONE)[0]:
            return None
        return Mark(spelled(self._name), at, until)

    # ------------------------------------------------------------------ words

    def _remember(self, marks: dict[str, Mark]) -> None:
        """Queue words on the members in `marks` for our journal."""
        words = self._queue.words
        for name, mark in marks.items():
            if name == self._name:
                continue
            until = mark.end + ROUGH_SECONDS
            at, known_until = words.get(MEMBER + name, (-1, 0))
            retired_at = words.get(GONE + name, (-1, 0))[0]
            if mark.is_retired:
                if mark.millis > retired_at:
                    self._queue.hear(GONE + name, (mark.millis, until))
            elif mark.millis > at and (mark.end > known_until or at <= retired_at < mark.millis):
                self._queue.hear(MEMBER + name, (mark.millis, until))

    def _tell(self, link: Link, marks: dict[str, Mark], now: int) -> None:
        """Set the marks that the server lacks, of members in our journal and of retired ones."""
        with self._queue.changed:
            words = {k: w for k, w in self._queue.words.items() if not k.startswith(FORGOTTEN)}
        for key, (at, until) in words.items():
            name = key[len(MEMBER) :]
            if name == self._name or until <= now:
                continue
            mark = marks.get(name)
            retired_at = words.get(GONE + name, (-1, 0))[0]
            if key.startswith(GONE):
                is_back = words.get(MEMBER + name, (-1, 0))[0] > at
                is_told = mark is not None and (mark.is_retired or mark.millis > at)
                if not is_back and not is_told:
                    link.mark(name, Mark(spelled(name), at, until, RETIRED).encode())
            elif mark is None and at > retired_at:
                link.claim(name, Mark(spelled(name), at, until).encode())

    def gossip(self, link: Link, server: str) -> None:
        """Write the revoked logins of our journal to the server, and read those of the others."""
        listed = {address: _word(value) for address, value in link.forgotten().items()}
        now = self.millis // 1000
        with self._queue.changed:
            self._queue.has_news = False
            ours = {
                key[len(FORGOTTEN) :]: word
                for key, word in self._queue.words.items()
                if key.startswith(FORGOTTEN) and word[1] > now
            }
            for address, word in listed.items():
                if word[0] > ours.get(address, (-1, 0))[0]:
                    self._queue.hear(FORGOTTEN + address, word)
        anew = self._gossiped != server
        untold = {a: w for a, w in ours.items() if anew or w[0] > listed.get(a, (-1, 0))[0]}
        link.forget(self._name, untold)
        if ended := [address for address, (_, until) in listed.items() if until <= now]:
            link.unlist(ended[:BATCH])
        # As it was before the list was read: another filter may have told something since.
        self._stamp = self._seen.marks.get(REVOKED, b"")
        self._gossiped = server
        self.must_gossip = False

    # ------------------------------------------------------------------ our own mark

    def lives_until(self, end: int) -> None:
        """Note that a value of ours ends at `end`, by our own clock."""
        self._latest_end = max(self._latest_end, end)

    def claim(self, link: Link) -> bool:
        """Set our mark for this process, with the time and servers that it had if it was ours;
        return whether another process had our name until now."""
        mark = members.decode(self._seen.marks.get(self._name, b""))
        servers: tuple[bytes, ...] = ()
        millis = self.millis
        instance = self._queue.instance.encode()
        if mark is not None and (mark.instance, mark.life) == (instance, self._life):
            servers, millis = mark.servers, mark.millis
        # All is sent again, also after our clock was set: the ends that it told are others now.
        self._latest_end = 0
        self._write(link, millis, servers)
        now = self.millis // 1000
        if self._other(now + OVER_SECONDS) is not None:
            # The name is ours now: where Redis is emptied, nobody waits for the one who had it.
            self._hear(max(self.millis, self._word(MEMBER)[0] + 1), now + OVER_SECONDS)
        self._has_place = True
        return mark is not None and mark.run not in (self._run, NONE)

    def sign(self, link: Link, millis: int) -> None:
        """Set our mark: the server has all changes that were queued at `millis`, its clock."""
        self._write(link, self._queue.proven(millis), tuple(self._seen.server.encode().split()))

    def leave(self, link: Link) -> None:
        """Remove our run from the mark, so that the next process need not wait."""
        mark = members.decode(link.see().marks.get(self._name, b""))
        if mark is not None and mark.run == self._run:
            mark.run = NONE
            link.mark(self._name, mark.encode())

    def _write(self, link: Link, millis: int, servers: tuple[bytes, ...]) -> None:
        now = self.millis // 1000
        # Ends are times of our clock; the mark needs one of the server's.
        end = max(self._latest_end - int(time.time()), self._longest) + now
        name, instance = spelled(self._name), self._queue.instance.encode()
        mark = Mark(name, millis, end, instance, self._run, self._life, servers)
        link.mark(self._name, mark.encode())


def _word(value: bytes) -> Word:
    """Return AT and UNTIL of a field of PREFIX!forgotten, (0, 0) for a malformed one."""
    words = value.split(b" ")
    if len(words) == 2 and all(word.isdigit() and len(word) < 16 for word in words):
        return int(words[0]), int(words[1])
    return 0, 0
