"""The message of a record, without what a syslog daemon put around it. Pure."""

from __future__ import annotations

import re

REPEATED_BYTES = 790
"""rsyslog cuts the text of `message repeated` at 800 bytes (`%.800s`): one that long may have lost
its end, and stays as it is, so that no rule reads it."""
_WRAPPED = ("[ID ", "message repeated ", "\ufeff")
_unwrap = re.compile(
    r"\ufeff?(?:\[ID [0-9]{1,10} [a-z0-9]{1,16}\.[a-z]{1,8}\] ?(.*)"
    r"|message repeated [0-9]{1,10} times: \[ ?(.*)\]|(.*))"
).fullmatch


def bare(message: str) -> str:
    """Take the wrapping that a syslog daemon put around a message off again, once."""
    if message.startswith(_WRAPPED):
        found = _unwrap(message)
        if found:
            if found[2] and len(found[2].encode("utf-8", "surrogateescape")) >= REPEATED_BYTES:
                return message
            return found[1] or found[2] or found[3] or ""
    return message


def nil(value: str) -> str:
    """RFC 5424's NILVALUE is nothing."""
    return "" if value == "-" else value
