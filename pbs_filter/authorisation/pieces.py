"""Which messages may be pieces of a longer line, whose beginning a client chose. Pure state.

A logger that cuts a long line makes several messages of it, and the second begins with whatever the
client put there. A piece cannot be told from a line by its text. But the message before it can be:
it is as long as the logger's buffer, or two lines have got into it. What follows such a *sign* may
be a piece, and authorises, connects and ends nothing.

How much follows (measured with Courier, whose logger reads 511 bytes, and takes a second reader's
chunk of the pipe for the rest of a line):

* the rest of that line: two messages, since no line of a stranger is longer than 1,023 bytes. The
  first may come any time later (the logger waits for the next line before it goes on), so these are
  counted, not timed;
* the end of a line whose beginning the second reader took: three messages;
* once more of that, if they were as long as the buffer and looked short (the logger takes leading
  blanks off): three messages;
* lines that were in the buffer between these: they come at once.

So eight messages behind a sign, and all that comes within `SECONDS` of it, may be pieces.
A client who sends long names all the time keeps others out for that long each time, and costs them
more than that in the logger itself, which drops the two lines behind each long one.

Journal payloads (states, later wins): `w <key> <messages left>`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from ..grammar.carriage import Carriage
from ..model import Record

SECONDS = 0.25
MAX_LOGGERS = 10_000
RECENT = 8
"""Logins of one logger that are remembered: a daemon with several workers changes places."""


class Granted(NamedTuple):
    """A login that was believed, until a sign with an older time comes."""

    at_epoch: float
    address: str
    session: str | None
    new: bool
    """Whether the address was not authorised before."""


class _Logger:
    """What was seen of one logger: the messages of one program on one host."""

    __slots__ = ("following", "granted", "left", "until_epoch")

    def __init__(self) -> None:
        self.left = 0
        self.following = 0
        self.until_epoch = 0.0
        self.granted: deque[Granted] = deque(maxlen=RECENT)


class Pieces:
    """Tells which messages may be pieces, for each logger by itself."""

    def __init__(self) -> None:
        self._loggers: OrderedDict[str, _Logger] = OrderedDict()
        self._changed: dict[str, None] = {}

    def look(self, key: str, record: Record, carriage: Carriage) -> tuple[bool, list[Granted]]:
        """Whether `record`, the next message of the logger `key`, may be a piece, and the logins
        that it shows to have been pieces: they came first, and were written later.
        """
        logger = self._loggers.get(key)
        # A line of text shows its length where rsyslog wrote it from the log socket; where journald
        # took the blanks off, nobody can tell. Text proves no sender either: `require_vouched`
        # refuses it.
        sign = carriage.is_sign(record.message, None if not record.vouched else bool(record.exact))
        if logger is None:
            if not sign:
                return False, []
            logger = self._logger(key)
        at = record.time_epoch
        piece = logger.left > 0 or (at is not None and at < logger.until_epoch)
        forged: list[Granted] = []
        if sign:
            logger.left = carriage.following
            logger.following = carriage.following
            if at is not None:
                logger.until_epoch = max(logger.until_epoch, at + SECONDS)
                forged = [login for login in logger.granted if login.at_epoch > at]
                logger.granted.clear()
            self._changed[key] = None
        elif logger.left:
            logger.left -= 1
            if not logger.left:
                self._changed[key] = None
        return piece, forged

    def granted(self, key: str, granted: Granted) -> None:
        """A login of the logger `key` was believed."""
        self._logger(key).granted.append(granted)

    def _logger(self, key: str) -> _Logger:
        logger = self._loggers.get(key)
        if logger is None:
            if len(self._loggers) >= MAX_LOGGERS:
                self._loggers.popitem(last=False)
            logger = self._loggers[key] = _Logger()
        return logger

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """The number of states that the journal has to be told of."""
        return len(self._changed)

    def journal_payloads(self) -> list[str]:
        """What the journal has to be told. It is told again until `journaled` is called."""
        return [self._payload(key) for key in self._changed]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._changed.clear()

    def live_payloads(self) -> Iterator[str]:
        """Everything, for a new journal."""
        for key, logger in list(self._loggers.items()):
            if logger.left:
                yield self._payload(key)

    def _payload(self, key: str) -> str:
        logger = self._loggers.get(key)
        return f"w\t{key}\t{logger.following if logger is not None and logger.left else 0}"

    def apply(self, payload: str) -> bool:
        """Take one payload of the journal; whether it was one of ours.

        Raises:
            ValueError: it begins like one of ours but is not.
        """
        kind, *fields = payload.split("\t")
        if kind != "w":
            return False
        key, left = fields
        logger = self._logger(key)
        logger.left = logger.following = int(left)
        return True
