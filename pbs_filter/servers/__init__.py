"""The registry: every server that pbs-filter reads. A new server is a file and a line here."""

from __future__ import annotations

from ..grammar import Server
from . import courier, popa3d

SERVERS: tuple[Server, ...] = (
    courier.SERVER,
    popa3d.SERVER,
)
