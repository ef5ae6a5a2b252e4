"""The registry: every server that pbs-filter reads. A new server is a file and a line here."""

from __future__ import annotations

from ..grammar import Server
from . import (
    apple,
    courier,
    cucipop,
    cyrus,
    dovecot,
    imapproxy,
    mailfront,
    mailutils,
    nginx,
    perdition,
    popa3d,
    qmail,
    qpopper,
    solid_pop3d,
    stalwart,
    teapop,
    tpop3d,
    uw,
    vm_pop3d,
    vpopmail,
    zimbra,
)

SERVERS: tuple[Server, ...] = (
    apple.SERVER,
    courier.SERVER,
    cucipop.SERVER,
    cyrus.SERVER,
    dovecot.SERVER,
    dovecot.TAGGED,
    imapproxy.SERVER,
    mailfront.SERVER,
    mailutils.SERVER,
    nginx.SERVER,
    perdition.SERVER,
    popa3d.SERVER,
    qmail.SERVER,
    qpopper.SERVER,
    solid_pop3d.SERVER,
    stalwart.SERVER,
    teapop.SERVER,
    tpop3d.SERVER,
    uw.SERVER,
    vm_pop3d.SERVER,
    vpopmail.SERVER,
    zimbra.SERVER,
)
