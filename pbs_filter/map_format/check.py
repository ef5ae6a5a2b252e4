"""Judges a value of the map: may this entry authorise now, and whose is it?

One small import: `pbs-lookup` is started for single questions, and what is imported here delays
each answer (`typing` alone costs more than the interpreter's own start). The whole format is in
`entry`.
"""

from binascii import crc32

TOTAL_BYTES = 160
"""Bytes of a key and its value together: always the same (see `entry`)."""
SERVER = slice(49, 61)
SUM = slice(67, 75)
COUNT = slice(75, 76)
"""The number of users, where an address has several: each then has a key of his own."""
USER_AT = 76
"""Where the user's name, the last field, begins."""


def checksum(address: bytes, before: bytes, behind: bytes) -> bytes:
    """Return the checksum that a value carries of its address and of itself, `before` and `behind`
    it: CRC-32."""
    return b"%08x" % crc32(behind, crc32(before, crc32(address)))


def is_intact(address: bytes, value: bytes) -> bool:
    """Return whether `value` is what the filter wrote for `address`; anything else is damage."""
    return (
        len(address) + len(value) == TOTAL_BYTES
        and value[:10].isdigit()
        and value[11:21].isdigit()
        and value[SUM] == checksum(address, value[: SUM.start], value[SUM.stop :])
    )


def is_current(address: bytes, value: bytes, now: float) -> bool:
    """Return whether `value` authorises `address` at `now` (seconds since the epoch). Damage does
    not.

    `renewed` may be one second ahead of the reader's clock, not more: an entry from the future was
    written before the clock was set back, and nobody knows how old it is.
    """
    return is_intact(address, value) and int(value[11:21]) <= now + 1 and now < int(value[:10])


def user_keys(address: bytes, value: bytes) -> list[bytes]:
    """Return the keys of the users of `address`, whose intact value this is; none for one user."""
    count = value[COUNT]
    return (
        [user_key(address, number) for number in range(1, 1 + int(count, 36))]
        if (count != b" ")
        else []
    )


def user_key(address: bytes, number: int) -> bytes:
    """Return the key of the user with this number, from 1, of `address`."""
    return b"%b#%d" % (address, number)


def is_over(value: bytes, earliest: float, latest: float) -> bool:
    """Return whether an intact `value` has ended for certain, by two clocks.

    One from the future has not: it was written before the clock was set back.
    """
    return int(value[11:21]) <= latest + 1 and int(value[:10]) <= earliest


class Grant:
    """The login that lets an address relay, as an intact value has it."""

    __slots__ = ("is_cut", "server", "until", "user")

    def __init__(self, value: bytes) -> None:
        self.until = int(value[:10])
        """Epoch seconds."""
        self.server = value[SERVER].decode("utf-8", "replace").rstrip()
        name = value[USER_AT:]
        self.user = name.decode("utf-8", "replace").rstrip()
        self.is_cut = name[-1:] != b" "
        """The name fills its field, and may have lost its end: two users could share it."""
