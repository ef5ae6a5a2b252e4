"""Functions take off the wrapping that a syslog daemon put around a message. Pure."""

from __future__ import annotations

import re

REPEATED_BYTES = 790
"""rsyslog cuts the text of `message repeated` at 800 bytes (`%.800s`): a text this long may have
lost its end, and stays wrapped, so that no rule reads it."""
_WRAPPED = ("[ID ", "message repeated ", "\ufeff")
WRAPPED = "|".join(map(re.escape, _WRAPPED))
"""A regular expression: how a message begins that may have something around it."""
_unwrap = re.compile(
    r"\ufeff?(?:\[ID [0-9]{1,10} [a-z0-9]{1,16}\.[a-z]{1,8}\] ?(.*)"
    r"|message repeated [0-9]{1,10} times: \[ ?(.*)\]|(.*))"
).fullmatch


def bare(message: str) -> str:
    """Return the message without one layer of wrapping."""
    if message.startswith(_WRAPPED):
        found = _unwrap(message)
        if found:
            if found[2] and len(found[2].encode("utf-8", "surrogatepass")) >= REPEATED_BYTES:
                return message
            return found[1] or found[2] or found[3] or ""
    return message


def nil(value: str) -> str:
    """Return `value`, or "" for RFC 5424's NILVALUE."""
    return "" if value == "-" else value
