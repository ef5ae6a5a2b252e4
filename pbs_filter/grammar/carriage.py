"""How a server's lines get to the syslog daemon: whole, or cut into several messages.

A rule reads a whole message, and a message is not always what the server printed: a logger may cut
it, and then the next message begins with a client's text. So every server file says how its lines
travel.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MARGIN_BYTES = 32
"""A message this much shorter than the cut is a sign, too: the logger takes a level (`DEBUG: `) and
blanks off its front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriage:
    """How the lines of one server reach the syslog daemon."""

    how: str
    """One sentence for people: what carries the line, where it is cut, what stands before a piece.
    """
    cut_bytes: int = 0
    """A message of so many bytes may have been cut; 0: no message is."""
    longest_bytes: int = 0
    """The most that may stand in a line whose text a client without an account chooses."""
    mixed: str = ""
    """A regular expression: what stands in a message into which two lines have got. It demands a
    colon and a blank."""
    strangers: str = ""
    """A regular expression: what stands in a line that holds text of a client without an account.
    Where the feed does not show lengths, each of these may have been cut."""
    ends: str = ""
    """A regular expression: how a whole line ends, what a cut one mostly does not."""
    line_breaks: bool = False
    """A client's line breaks make lines: each line with such a text is a sign, on any feed."""
    following: int = 8
    """The number of messages behind a sign that may be pieces (`authorisation.pieces` has why)."""
    off: bool = False
    """Pieces cannot be told from lines: nothing is read unless the configuration names the server.
    """
    cure: str = ""
    """What the operator can do, as the end of a sentence."""
    is_whole: bool = field(init=False, repr=False, compare=False)
    """Each message is a line."""
    shows_pieces: bool = field(init=False, repr=False, compare=False)
    """A sign stands before the pieces (`authorisation.pieces`)."""
    is_mixed: Callable[[str], object] = field(init=False, repr=False, compare=False)
    has_strangers_text: Callable[[str], object] = field(init=False, repr=False, compare=False)
    ends_whole: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shows_pieces = bool(self.cut_bytes or self.line_breaks) and not self.off
        object.__setattr__(self, "shows_pieces", shows_pieces)
        object.__setattr__(self, "is_whole", not shows_pieces and not self.off)
        object.__setattr__(self, "is_mixed", re.compile(self.mixed or r"(?!)").search)
        object.__setattr__(self, "has_strangers_text", re.compile(self.strangers or r"(?!)").search)
        object.__setattr__(self, "ends_whole", re.compile(f"(?:{self.ends or '(?!)'})\\Z").search)

    def is_sign(self, message: str, exact: bool | None) -> bool:
        """Whether `message` shows that the messages behind it may be pieces.

        Args:
            message: the record's.
            exact: whether the feed shows lengths; None: it most likely does (a line of text).
        """
        least = self.cut_bytes - MARGIN_BYTES
        # Bytes, not characters: that is what the logger counts.
        if (
            self.cut_bytes
            and len(message) * 4 >= least
            and len(message.encode("utf-8", "surrogateescape")) >= least
        ):
            return True
        # Asked first, because it is 20 times as quick, and says no to a usual login.
        if ": " in message and self.is_mixed(message):
            return True
        if not self.line_breaks and (exact or (exact is None and self.ends_whole(message))):
            return False
        return bool(self.has_strangers_text(message))


SYSLOG = Carriage(how="syslog(3): one message a line, whatever its length")
"""What most servers do: the C library hands each line over whole, and the syslog daemon cuts off
what is too long."""
