"""From a match to an observation: one specialised function per rule, made once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter

from ..addresses import canonical
from ..model import Accepted, Connected, Ended, Ignored, Observation, Reason, Refused
from .rules import Rule

Match = re.Match[str]
Groups = Mapping[str, tuple[int, ...]]
"""Result name -> the groups of the pattern one of which holds it."""

Maker = Callable[[Match, str], Observation | Reason]
"""(match, the header's pid) -> what the line says, or why it says nothing."""

_Text = Callable[[Match], str | None]
_Session = Callable[[Match, str], str | None]


# A line names the server's one address, and some the client's twice; the same clients come again.
_canonical = lru_cache(4096)(canonical)


@lru_cache(256)
def protocol_of(text: str) -> str | None:
    """Return `pop3` or `imap` for a service's name in a line (`POP3S`, `imap-login`), else None."""
    start = text[:4].lower()
    return "pop3" if start[:3] == "pop" else "imap" if start == "imap" else None


def maker(rule: Rule, groups: Groups, program_protocol: str | None) -> Maker:
    """Return the function that makes `rule`'s observation from a match of its pattern.

    `program_protocol` is what the program speaks when neither the rule nor the line says.
    """
    address_of = _address(groups, "address")
    user_of = _text(groups, "user")
    session_of = _session(rule.session, groups)
    if rule.kind is Accepted:
        local_of = _address(groups, "local")
        protocol_of = _protocol(rule, groups, program_protocol)
        has_address = "address" in groups
        return _accepted(user_of, address_of, protocol_of, session_of, local_of, has_address)
    if rule.kind is Connected:
        return _connected(address_of, session_of)
    if rule.kind is Ended:
        return _ended(user_of, address_of, _protocol(rule, groups, program_protocol), session_of)
    if rule.kind is Refused:
        return lambda match, _: Refused(user=user_of(match), address=address_of(match))
    ignored = Ignored()
    return lambda _match, _pid: ignored


def _accepted(
    user_of: _Text,
    address_of: _Text,
    protocol_of: _Text,
    session_of: _Session,
    local_of: _Text,
    has_address: bool,
) -> Maker:
    def accepted(match: Match, pid: str) -> Observation | Reason:
        address = address_of(match)
        session = session_of(match, pid)
        if address is None:
            if has_address:
                return Reason.NOT_AN_ADDRESS
            if session is None:
                return Reason.NO_RULE
        return Accepted(
            user=user_of(match) or "",
            address=address,
            protocol=protocol_of(match),
            session=session,
            local=local_of(match),
        )

    return accepted


def _connected(address_of: _Text, session_of: _Session) -> Maker:
    def connected(match: Match, pid: str) -> Observation | Reason:
        address = address_of(match)
        if address is None:
            return Reason.NOT_AN_ADDRESS
        session = session_of(match, pid)
        if session is None:
            return Reason.NO_RULE
        return Connected(address=address, session=session)

    return connected


def _ended(user_of: _Text, address_of: _Text, protocol_of: _Text, session_of: _Session) -> Maker:
    def ended(match: Match, pid: str) -> Observation | Reason:
        session = session_of(match, pid)
        user = user_of(match)
        if session is None and user is None:
            return Reason.NO_RULE
        return Ended(
            session=session, user=user, protocol=protocol_of(match), address=address_of(match)
        )

    return ended


def _absent(_: Match) -> None:
    return None


def _text(groups: Groups, name: str) -> _Text:
    """Return the function that gets a result's text; None where the line left it out."""
    numbers = groups.get(name, ())
    if not numbers:
        return _absent
    if len(numbers) == 1:
        return itemgetter(numbers[0])
    usual, *others = numbers

    def first(match: Match) -> str | None:
        text: str | None = match[usual]
        if text is None:
            for number in others:
                text = match[number]
                if text is not None:
                    break
        return text

    return first


def _address(groups: Groups, name: str) -> _Text:
    """Return the function that gets a result as canonical address; None also if it is not one."""
    if name not in groups:
        return _absent
    text_of = _text(groups, name)

    def address(match: Match) -> str | None:
        text = text_of(match)
        return None if text is None else _canonical(text)

    return address


def _protocol(rule: Rule, groups: Groups, program_protocol: str | None) -> _Text:
    known = rule.protocol or program_protocol
    if rule.protocol is not None or "protocol" not in groups:
        return lambda _: known
    text_of = _text(groups, "protocol")

    def protocol(match: Match) -> str | None:
        text = text_of(match)
        return known if text is None else protocol_of(text)

    return protocol


def _session(names: tuple[str, ...], groups: Groups) -> _Session:
    """Return the function that makes the session's key; None where a part of it is missing."""
    if not names:
        return lambda _match, _pid: None
    if names == ("pid",):
        return lambda _, pid: pid or None
    getters = tuple(
        None
        if name == "pid"
        else _address(groups, name)
        if name in ("address", "local")
        else _text(groups, name)
        for name in names
    )

    if len(getters) == 1 and getters[0] is not None:
        get_only = getters[0]
        return lambda match, _: get_only(match) or None

    def session(match: Match, pid: str) -> str | None:
        parts = [pid if get is None else get(match) for get in getters]
        return ",".join(parts) if all(parts) else None  # type: ignore[arg-type]

    return session
