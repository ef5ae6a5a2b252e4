"""The half of the map's value that readers need: may this entry authorise now, and whose is it?

Not one import: `pbs-lookup` is started for single questions, and what is imported here delays each
answer (`typing` alone costs more than the interpreter's own start). The whole format: `value.py`.
"""

USER_BYTES = 48
"""Width of the user name, the value's last field."""
WIDTH = 115
"""Bytes of every value."""


def whole(value: bytes) -> bool:
    """Whether `value` has the shape of an entry; anything else is damage, or another program's."""
    return (
        len(value) == WIDTH
        and value[:10].isdigit()
        and value[11:21].isdigit()
        and value[10:11] == value[21:22] == b" "
    )


def living(value: bytes, now: float) -> bool:
    """Whether `value` authorises at `now` (seconds since the epoch). Damage is no authorisation.

    `renewed` may be one second ahead of the reader's clock, not more: an entry from the future was
    written before the clock was set back, and nobody knows how old it is.
    """
    return whole(value) and int(value[11:21]) <= now + 1 and now < int(value[:10])


def user(value: bytes) -> str:
    """The user of a whole value; a name that fills the field may have been cut (`USER_BYTES`)."""
    return value[WIDTH - USER_BYTES :].decode("utf-8", "replace").rstrip()
