"""Between tcpserver or couriertcpd and the SMTP server: may the client relay? Then RELAYCLIENT.

qmail-like servers and Courier relay for a client whose environment has RELAYCLIENT. We take it
away, give it where the map says yes, and become the SMTP server.
"""

from __future__ import annotations

import os

from ...errors import ConfigError
from ..answer import NOT_NOW, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...log import LookupLog
    from ..answer import Lookup

REFUSAL = b"451 4.3.0 Cannot check now whether you may relay, try again later\r\n"
"""Instead of the SMTP server's greeting."""


def environment(environ: Mapping[str, str], answer: str, *, keep: bool) -> dict[str, str]:
    """The SMTP server's environment: `environ` with RELAYCLIENT according to `answer`.

    With `keep`, a RELAYCLIENT that is there stays: tcpserver's own rules have set it.
    """
    changed = dict(environ)
    if not keep:
        changed.pop("RELAYCLIENT", None)
    if answer == YES:
        changed["RELAYCLIENT"] = ""
    return changed


def run(command: Sequence[str], lookup: Lookup, log: LookupLog, *, refuse: bool, keep: bool) -> int:
    """Ask for TCPREMOTEIP and become `command`; returns only where that is not to be.

    `refuse`: on trouble send REFUSAL and end, instead of going on without RELAYCLIENT. Raises
    `ConfigError` where there is no such command.
    """
    answer = lookup.ask(os.fsencode(os.environ.get("TCPREMOTEIP", "")))
    if answer == NOT_NOW:
        log.trouble(lookup.trouble)
        if refuse:
            os.write(1, REFUSAL)
            return 0
    try:
        os.execvpe(command[0], list(command), environment(os.environ, answer, keep=keep))
    except OSError as error:
        raise ConfigError(
            f"relaylock cannot start {command[0]!r}: {error.strerror}; "
            "give the SMTP server's program and its arguments after relaylock's options"
        ) from None
