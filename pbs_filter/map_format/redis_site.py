"""Keeps what each filter's journal knows of the others that share a map in Redis. Pure.

A filter's *instance* names its journal. A *word* is what every filter has to remember, whatever
becomes of Redis, of the filter that said it, or of this one:

    f ADDRESS    a person revoked what was known of the address; AT is the second (of Redis's
                 clock), or one more than that of the revocation before, see `redis_fields`
    m NAME       the member was alive at AT (milliseconds since the epoch); with our own name it is
                 another filter, to which the name belongs
    r NAME       a person said at AT that the member is gone for good

UNTIL (epoch seconds) is when the word means nothing any more; for lookups it is ROUGH_SECONDS
earlier, so that a filter never forgets a revocation before they do. Each filter tells the others
what it knows, and of two words with one name the later one counts: so all of them come to know all.
In the journal:

    i <instance>
    g <word> <at> <until>
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

FORGOTTEN, MEMBER, RETIRED = "f ", "m ", "r "
MAX_MEMBERS = 1000
ROUGH_SECONDS = 3600
"""What the journal knows of a member may be so much older than its last sign of life, so that it is
seldom told; UNTIL is that much later."""

Word = tuple[int, int]
"""AT and UNTIL."""


class Site:
    """The words of one filter, and its instance."""

    def __init__(self) -> None:
        self.instance = ""
        self.ahead = 0.0
        """So many seconds our clock is ahead of that of Redis, as far as we know."""
        self.words: dict[str, Word] = {}
        self._changed: set[str] = set()
        self._news: set[str] = set()
        self._is_named = True
        """The journal has been told of the instance."""

    def name(self, instance: str) -> bool:
        """Give the journal an instance if it has none; return whether it had none."""
        if self.instance:
            return False
        self.rename(instance)
        return True

    def rename(self, instance: str) -> None:
        """Give the journal this instance."""
        if instance != self.instance:
            self.instance = instance
            self._is_named = False

    # ------------------------------------------------------------------ words

    def hear(self, words: Mapping[str, Word], now: int = 0) -> set[str]:
        """Take the `words` that are news and mean something at `now`, epoch seconds; return their
        names."""
        news = {key for key, word in words.items() if word[1] > now and self._take(key, word)}
        self._changed |= news
        return news

    def _take(self, key: str, word: Word) -> bool:
        known = self.words.get(key)
        if known is not None and known[0] >= word[0]:
            return False
        is_new_member = known is None and not key.startswith(FORGOTTEN)
        if is_new_member and self._members() >= 2 * MAX_MEMBERS:
            return False
        self.words[key] = word
        return True

    def _members(self) -> int:
        return sum(not key.startswith(FORGOTTEN) for key in self.words)

    def revoke(self, address: str, at: int, until: int) -> int:
        """Take a revocation of this host; return its AT, which is later than each one known."""
        at = max(at, self.words.get(FORGOTTEN + address, (0, 0))[0] + 1)
        self.hear({FORGOTTEN + address: (at, until)})
        return at

    def expire(self, now: int) -> None:
        """Drop what means nothing any more at `now`, epoch seconds."""
        for key in [key for key, (_, until) in self.words.items() if until <= now]:
            del self.words[key]
            self._changed.discard(key)

    def news(self) -> dict[str, Word]:
        """Return what has come into the journal since this was called last, for the others."""
        news, self._news = self._news, set()
        return {key: self.words[key] for key in news if key in self.words}

    # ------------------------------------------------------------------ the journal

    def changes(self) -> int:
        """How many states the journal has to be told of."""
        return len(self._changed) + (not self._is_named)

    def journal_payloads(self) -> list[str]:
        """What the journal has to be told. It is told again until `journaled` is called."""
        named = [] if self._is_named else [f"i\t{self.instance}"]
        return named + [self._payload(key) for key in self._changed]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._news |= self._changed
        self._changed.clear()
        self._is_named = True

    def live_payloads(self) -> Iterator[str]:
        """Everything, for a new journal."""
        if self.instance:
            yield f"i\t{self.instance}"
        yield from map(self._payload, list(self.words))

    def _payload(self, key: str) -> str:
        at, until = self.words[key]
        return f"g\t{key}\t{at}\t{until}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        kind, *fields = payload.split("\t")
        if kind == "i":
            (self.instance,) = fields
        elif kind == "g":
            key, at, until = fields
            self._take(key, (int(at), int(until)))
        else:
            return False
        return True
