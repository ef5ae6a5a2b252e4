"""Sets RELAYCLIENT between tcpserver or couriertcpd and the SMTP server.

qmail-like servers and Courier relay for a client whose environment has RELAYCLIENT, and append its
value to the recipients. This program takes it away, sets it where the map says yes, and becomes the
SMTP server, which finds the login in PBS_USER, PBS_SERVER and PBS_UNTIL (epoch seconds).
"""

from __future__ import annotations

import os

from ...errors import ConfigError
from ..answer import NOT_NOW, YES
from ..counts import mta_of_process, mta_of_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...log import LookupLog
    from ...map_format.check import Grant
    from ..answer import Lookup

REFUSAL = b"451 4.3.0 Cannot check now whether you may relay, try again later\r\n"
"""Instead of the SMTP server's greeting."""


LOGIN = ("PBS_USER", "PBS_SERVER", "PBS_UNTIL")


def environment(
    environ: Mapping[str, str], grant: Grant | None, *, keep: bool, relayclient: str = ""
) -> dict[str, str]:
    """Return the SMTP server's environment: `environ` with RELAYCLIENT according to `grant`.

    Args:
        environ: the present environment.
        grant: the login that lets the client relay; None: it may not.
        keep: a RELAYCLIENT that is there stays as it is: tcpserver's own rules have set it.
        relayclient: its value for a client that may relay.
    """
    changed = {name: value for name, value in environ.items() if name not in LOGIN}
    if not keep:
        changed.pop("RELAYCLIENT", None)
    if grant is not None:
        changed.setdefault("RELAYCLIENT", relayclient)
        # No control character: a server may write them into its Received header.
        login = (grant.user, grant.server, str(grant.until))
        texts = ("".join(c if c.isprintable() else "?" for c in text) for text in login)
        changed.update(zip(LOGIN, texts, strict=True))
    return changed


def run(
    command: Sequence[str],
    lookup: Lookup,
    log: LookupLog,
    *,
    refuse: bool,
    keep: bool,
    relayclient: str = "",
) -> int:
    """Ask for TCPREMOTEIP and become `command`; return only where that is not to be.

    `refuse`: on trouble send REFUSAL and end, instead of going on without RELAYCLIENT.

    Raises:
        ConfigError: there is no such command.
    """
    answer = lookup.ask(os.fsencode(os.environ.get("TCPREMOTEIP", "")))
    lookup.count("relaylock", answer, mta_of_words(command) or mta_of_process(os.getppid()))
    lookup.counts.tell()
    if answer == NOT_NOW:
        log.trouble(lookup.trouble)
        if refuse:
            os.write(1, REFUSAL)
            return 0
    grant = lookup.grant if answer == YES else None
    environ = environment(os.environ, grant, keep=keep, relayclient=relayclient)
    try:
        os.execvpe(command[0], list(command), environ)
    except OSError as error:
        raise ConfigError(
            f"relaylock cannot start {command[0]!r}: {error.strerror}; "
            "give the SMTP server's program and its arguments after relaylock's options"
        ) from None
