"""One conversation on stdin and stdout: Postfix's spawn(8), inetd, systemd's `Accept=yes`."""

from __future__ import annotations

import os
import time

from ...errors import ProtocolError
from ...map_format.gdbm_reader import PATIENCE_SECONDS
from ..answer import NOT_NOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...log import LookupLog
    from ..answer import Lookup
    from .policy import Conversation as Policy
    from .socketmap import Conversation as Socketmap

BLOCK = 8192
"""Bytes of one read."""


def converse(
    conversation: Socketmap | Policy,
    lookup: Lookup,
    log: LookupLog,
    source: int = 0,
    sink: int = 1,
    mta: str = "",
) -> None:
    """Answer what comes from the descriptor `source` until it ends, or breaks the protocol.

    `mta` asks, as far as that can be seen: for the counts.
    """
    while data := os.read(source, BLOCK):
        conversation.feed(data)
        # One patience for all that came together: questions in a row must not add their waits up.
        patience = time.monotonic() + PATIENCE_SECONDS
        replies = b""
        try:
            while question := conversation.question():
                answer = lookup.ask(*question, patience)
                lookup.count(conversation.protocol, answer, mta)
                if answer == NOT_NOW:
                    log.trouble(lookup.trouble)
                replies += conversation.reply(answer, lookup.trouble, lookup.grant)
        except ProtocolError as error:
            log.trouble(f"protocol error: {error}")
            write_all(sink, replies + error.reply)
            return
        write_all(sink, replies)
        lookup.counts.tell()
    lookup.counts.tell(last=True)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`."""
    while data:
        data = data[os.write(descriptor, data) :]
