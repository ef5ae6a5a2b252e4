"""The registry: every server that pbs-filter reads. A new server is a file and a line here."""

from __future__ import annotations

from ..grammar import Server
from . import courier, cyrus, dovecot, mailutils, popa3d, qpopper, uw, vpopmail

SERVERS: tuple[Server, ...] = (
    courier.SERVER,
    cyrus.SERVER,
    dovecot.SERVER,
    dovecot.TAGGED,
    mailutils.SERVER,
    popa3d.SERVER,
    qpopper.SERVER,
    uw.SERVER,
    vpopmail.SERVER,
)
