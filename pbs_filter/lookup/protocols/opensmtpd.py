"""OpenSMTPD's table protocol 0.1, smtpd-tables(7), since 7.5: lines only, service `netaddr`.

    <- config|smtpd-version|7.6.0, ..., config|ready
    -> register|netaddr, register|ready
    <- table|0.1|1795166441.517134|pbs|check|netaddr|6dd56174|[2001:db8::7]
    -> check-result|6dd56174|found                  or not-found, or error

The error goes without a text. The manual allows one, and 7.6 takes it, but an earlier parser
(table_proc.c 1.18, table_proc_lookup()) compares the rest of the line with "error", and a reply
that it cannot parse ends smtpd itself, like a table program that ends.
"""

from __future__ import annotations

from ...errors import ProtocolError
from ..answer import NO, NOT_NOW, YES

MAX_LINE = 4096
"""Bytes of a line."""

REGISTER = b"register|netaddr\nregister|ready\n"

_RESULTS = {YES: b"found", NO: b"not-found", NOT_NOW: b"error"}


def reply(answer: str, request_id: bytes) -> bytes:
    """Return the line that answers the check `request_id`."""
    return b"check-result|%b|%b\n" % (request_id, _RESULTS[answer])


def read(line: bytes) -> bytes | tuple[bytes, bytes]:
    """Return the question in a line from smtpd: bytes to send, or a question (address, request id).

    `line` has no newline. Raises `ProtocolError` for lines that cannot be answered at all.
    """
    fields = line.split(b"|", 7)
    if fields[0] == b"config":
        return REGISTER if fields[1:] == [b"ready"] else b""
    if fields[0] != b"table" or len(fields) < 6:
        raise ProtocolError(f"not a line of the table protocol: {line[:80]!r}")
    if fields[1] != b"0.1":
        raise ProtocolError(f"table protocol {fields[1]!r}, but only 0.1 is known: {line[:80]!r}")
    operation, parameters = fields[4], fields[5:]
    if operation == b"update" and len(parameters) == 1:
        return b"update-result|%b|ok\n" % parameters[0]  # nothing is kept: every check reads anew
    if len(parameters) < 2 or operation not in (b"check", b"lookup", b"fetch"):
        raise ProtocolError(f"not a request of table protocol 0.1: {line[:80]!r}")
    service, request_id = parameters[:2]
    if operation == b"check" and service == b"netaddr" and len(parameters) == 3:
        return parameters[2], request_id
    return b"%b-result|%b|error\n" % (operation, request_id)


class Lines:
    """Cuts what arrives into lines; what is longer than MAX_LINE is thrown away, and said."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, b"" for one that was too long (nobody sends
        those)."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        complete = []
        for line in lines:
            complete.append(b"" if self._skipping or len(line) > MAX_LINE else line)
            self._skipping = False
        if len(self._buffer) > MAX_LINE:
            self._buffer, self._skipping = b"", True
        return complete
