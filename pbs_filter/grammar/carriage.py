"""The carriage of a server's lines says whether they reach the syslog daemon whole, or in pieces.

A rule reads a whole message, and a message is not always a whole line of the server: a logger may
cut it, and then the next message begins with a client's text. So every server file declares the
carriage of its lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MARGIN_BYTES = 32
"""A message this much shorter than the cut is a sign, too: the logger takes a level (`DEBUG: `) and
blanks off its front."""


LONG_CHARACTERS = 128
"""A syslog daemon cuts no line that is shorter. A client can lay its name so that the rest of a cut
line looks whole, and BusyBox' daemon keeps 256 bytes with the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriage:
    """How the lines of one server reach the syslog daemon."""

    cut_bytes: int = 0
    """A message of this many bytes may have been cut; 0: none is cut."""
    longest_bytes: int = 0
    """Most bytes of a line that holds text of a client without an account."""
    mixed: str = ""
    """A regular expression that is found in a message of two joined lines. It demands a colon and a
    blank."""
    strangers: str = ""
    """A regular expression that is found in a line with text of a client without an account. Where
    the feed does not show lengths, each such line may have been cut."""
    ends: str = ""
    """A regular expression for the end of a whole line, which most cut lines lack."""
    line_breaks: bool = False
    """Line breaks in a client's text begin new lines: each line with such a text is a sign, on any
    feed."""
    following: int = 8
    """The number of messages behind a sign that may be pieces (`authorisation.pieces` has why)."""
    off: bool = False
    """Pieces look like lines: the server is read only where the configuration names it."""
    cure: str = ""
    """Advice to the operator, as the end of a sentence."""
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
        """Return whether the messages behind `message` may be pieces.

        Args:
            message: of a record.
            exact: whether the feed shows lengths; None: it most likely does (a line of text).
        """
        least = self.cut_bytes - MARGIN_BYTES
        # The logger counts bytes, not characters.
        if (
            self.cut_bytes
            and len(message) * 4 >= least
            and len(message.encode("utf-8", "surrogatepass")) >= least
        ):
            return True
        # This test first: it takes a twentieth of the time, and is false for a usual login.
        if ": " in message and self.is_mixed(message):
            return True
        is_short = len(message) < LONG_CHARACTERS
        if not self.line_breaks and (
            exact or (exact is None and is_short and self.ends_whole(message))
        ):
            return False
        return bool(self.has_strangers_text(message))


SYSLOG = Carriage()
"""The carriage of most servers: the C library hands over whole lines, and the syslog daemon cuts
off the end of long ones."""
