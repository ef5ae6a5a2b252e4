"""The errors say what can go wrong, split by what to do next.

Untrusted input never raises out of the core: it becomes a `Reason`. These are our own mistakes, the
operator's, and the machine's.
"""

from __future__ import annotations

EX_USAGE = 2
EX_TEMPFAIL = 75
EX_CONFIG = 78

EXIT_STATUSES = (
    (0, "done, or yes"),
    (1, "no: not authorised, or a check has failed"),
    (EX_USAGE, "the command line is wrong"),
    (EX_TEMPFAIL, "not now: the store cannot be used, or no filter runs; try again"),
    (EX_CONFIG, "the configuration or a grammar is wrong; mend it first"),
)
"""What pbs-filter ends with, for --help and the manual."""


class PbsFilterError(Exception):
    """The root of our errors is never raised itself. `str()` is what people read."""

    exit_status = 1


class ConfigError(PbsFilterError):
    """The configuration cannot be used: mend it, start again."""

    exit_status = EX_CONFIG


class UsageError(ConfigError):
    """The command line is wrong: type it again."""

    exit_status = EX_USAGE


class GrammarError(PbsFilterError):
    """A server file or a site's own grammar breaks the contract: mend it, start again."""

    exit_status = EX_CONFIG


class StoreBusy(PbsFilterError):
    """The store cannot be used now (locked, full, unreachable): keep the changes, try again."""

    exit_status = EX_TEMPFAIL


class StoreLocked(StoreBusy):
    """A writer holds the map at this moment: ask again within milliseconds."""


class NoMemory(PbsFilterError):
    """There is not enough memory: give it more, try again."""

    exit_status = EX_TEMPFAIL

    def __init__(self) -> None:
        super().__init__(
            "there is not enough memory: what may relay is kept in it, about 1.2 KiB an address; "
            "raise the limit (MemoryMax= of the daemon's unit, ulimit -v), or lower max_addresses"
        )


class StoreDamaged(PbsFilterError):
    """A file of the store is not what it should be: set it aside and rebuild it."""

    exit_status = EX_TEMPFAIL


class ProtocolError(PbsFilterError):
    """The peer of a conversation broke the protocol; `reply` is what to send before closing."""

    def __init__(self, message: str, reply: bytes = b"") -> None:
        super().__init__(message)
        self.reply = reply
