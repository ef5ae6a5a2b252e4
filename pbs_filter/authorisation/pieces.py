"""Pieces of a longer line, whose beginning a client chose, are told from lines here. Pure state.

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
* lines that were in the buffer between these: they come at once;
* the beginning of a line that the buffer ended with, and a whole other line behind it, as one
  message: any time later, but it is a sign itself.

So eight messages behind a sign, and all that comes within `SECONDS` of it, may be pieces; where the
feed has no time, `BUFFER_BYTES`. (Debian's courierlogger, fed with 56 short lines between a long
name and its piece, wrote that 57 messages behind the sign.)
A client that sends long names all the time keeps others out for that long each time, and costs them
more than that in the logger itself, which drops the two lines behind each long one.

Journal payloads (states, later wins): `w <key> <messages left>`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from ..grammar.carriage import Carriage
from ..model import Record

SECONDS = 1.0
BUFFER_BYTES = 4096 + 1023
"""Bytes that the logger may have read at once behind a sign, where no time tells how long ago."""
MAX_LOGGERS = 10_000
MAX_PIDS = 1000
"""Pids of loggers that are remembered."""
RECENT = 32
"""Logins of one logger that are remembered: a daemon with several workers changes places."""


class Granted(NamedTuple):
    """A login that was believed, until a sign with an older time comes."""

    at_epoch: float
    address: str
    session: str | None
    new: bool
    """Whether the address was not authorised before."""


class Look(NamedTuple):
    """The answer about one message."""

    piece: bool
    """It may be a piece."""
    sign: bool
    """What follows it may be pieces."""
    forged: list[Granted]
    """Logins that it shows to have been pieces: they came first, and were not written before it."""


class _Logger:
    """The memory of one logger: the messages of one program on one host."""

    __slots__ = ("following", "granted", "left", "left_bytes", "until_epoch")

    def __init__(self) -> None:
        self.left = 0
        self.left_bytes = 0
        self.following = 0
        self.until_epoch = 0.0
        self.granted: deque[Granted] = deque(maxlen=RECENT)


class Pieces:
    """Tells which messages may be pieces, for each logger by itself."""

    def __init__(self) -> None:
        self._loggers: OrderedDict[str, _Logger] = OrderedDict()
        self._changed: dict[str, None] = {}
        self._pids: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Pids of loggers: some feeds write them, though the loggers' lines have none."""

    def remember_pid(self, key: str, pid: str) -> None:
        """The logger `key` wrote a line, to which the feed has added its `pid`."""
        self._pids.pop((key, pid), None)
        self._pids[key, pid] = None
        if len(self._pids) > MAX_PIDS:
            self._pids.popitem(last=False)

    def is_loggers_pid(self, key: str, pid: str) -> bool:
        """Return whether `pid` is known to be the logger's and no server's."""
        return (key, pid) in self._pids

    def is_calm(self, key: str, at: float | None) -> bool:
        """Return whether `look` would tell of no sign behind which a message of the logger `key`
        stands that was written at `at`, and change nothing of weight."""
        logger = self._loggers.get(key)
        return logger is None or (
            logger.left <= 0 and logger.left_bytes <= 0 and (at is None or at >= logger.until_epoch)
        )

    def look(
        self,
        key: str,
        record: Record,
        carriage: Carriage,
        *,
        is_odd: bool = False,
        is_unread: bool = False,
    ) -> Look:
        """Take `record`, the next message of the logger `key`, and tell what it may be.

        `is_odd` makes it a sign whatever its length, `is_unread` does so behind another sign.
        """
        logger = self._loggers.get(key)
        # A line of text shows its length where rsyslog wrote it from the log socket. Text proves no
        # sender: `require_vouched` refuses it.
        exact = record.exact if not record.vouched else bool(record.exact)
        shows = carriage.is_sign(record.message, exact)
        sign = is_odd or shows
        sign = sign or (is_unread and logger is not None and logger.left > 0)
        if logger is None:
            if not sign:
                return Look(False, False, [])
            logger = self._logger(key)
        at = record.time_epoch
        # It may itself be the beginning of one line and the end of another: the logger keeps the
        # beginning until more comes, however late that is.
        piece = (
            (shows and carriage.shows_pieces)
            or logger.left > 0
            or logger.left_bytes > 0
            or (at is not None and at < logger.until_epoch)
        )
        forged: list[Granted] = []
        if sign:
            logger.left = carriage.following
            logger.following = carriage.following
            if at is None:
                logger.left_bytes = BUFFER_BYTES
            else:
                if carriage.line_breaks:  # these bytes were written at once, and may be read late
                    logger.left_bytes = carriage.longest_bytes
                # A time in whole seconds may be up to one later.
                seconds = SECONDS + (1 if at == int(at) else 0)
                logger.until_epoch = max(logger.until_epoch, at + seconds)
                forged = [login for login in logger.granted if login.at_epoch >= at]
                logger.granted.clear()
            self._changed[key] = None
        else:
            logger.left_bytes -= len(record.message)
            if logger.left:
                logger.left -= 1
                if not logger.left:
                    self._changed[key] = None
        return Look(piece, sign, forged)

    def granted(self, key: str, granted: Granted) -> None:
        """A login of the logger `key` was believed."""
        self._logger(key).granted.append(granted)

    def _logger(self, key: str) -> _Logger:
        logger = self._loggers.get(key)
        if logger is None:
            if len(self._loggers) >= MAX_LOGGERS:
                # One behind a sign is forgotten last.
                quiet = (name for name, each in self._loggers.items() if not each.left)
                del self._loggers[next(quiet, next(iter(self._loggers)))]
            logger = self._loggers[key] = _Logger()
        return logger

    # ------------------------------------------------------------------ the journal's side

    def changes(self) -> int:
        """Return the number of states that the journal has to be told of."""
        return len(self._changed)

    def journal_payloads(self) -> list[str]:
        """Return the payloads that the journal lacks, until `journaled` is called."""
        return [self._payload(key) for key in self._changed]

    def journaled(self) -> None:
        """The journal has what `journal_payloads` gave."""
        self._changed.clear()

    def live_payloads(self) -> Iterator[str]:
        """Return all payloads, for a new journal."""
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
        logger.left_bytes = BUFFER_BYTES if logger.left else 0
        return True
