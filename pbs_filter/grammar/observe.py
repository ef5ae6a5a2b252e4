"""Builders make observations of matches: one specialised function per rule, made once.

This is the hot path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from ..addresses import canonical
from ..model import Accepted, Connected, Ended, Ignored, Observation, Reason, Refused
from .reading import TextMatch
from .rules import Rule

Groups = Mapping[str, tuple[int, ...]]
"""Result name -> the pattern's groups, one of which holds the result."""

Builder = Callable[[TextMatch, str], Observation | Reason]
"""(match, the header's pid) -> the observation, or the reason why there is none."""

_Text = Callable[[TextMatch], str | None]
_Session = Callable[[TextMatch, str], str | None]

# A line names the server's one address, and some the client's twice; the same clients come again.
canonical_of = lru_cache(4096)(canonical)
_unquote = re.compile(r"\\(.)", re.DOTALL).sub


@lru_cache(256)
def protocol_of(text: str) -> str | None:
    """Return `pop3` or `imap` for the name of a service (`POP3S`, `imap-login`), else None."""
    start = text[:4].lower()
    return "pop3" if start[:3] == "pop" else "imap" if start == "imap" else None


def builder(rule: Rule, groups: Groups, program_protocol: str | None) -> Builder:
    """Return the function that makes `rule`'s observation from a match of its pattern.

    `program_protocol` is the protocol where neither the rule nor the line names one.
    """
    protocol = rule.protocol or program_protocol
    protocol_in = None if rule.protocol else _text(groups, "protocol")
    address_of = _text(groups, "address")
    user_of = _text(groups, "user")
    if rule.escaped and user_of is not None:
        user_of = _unescaped(user_of)
    session_of = _session(rule.session, groups)
    if rule.kind is Accepted:
        by_name = _accepted(
            user_of, address_of, _text(groups, "local"), protocol, protocol_in, session_of
        )
        return _at_once(rule, groups, protocol, protocol_in is not None, by_name) or by_name
    if rule.kind is Connected:
        return _connected(address_of, session_of)
    if rule.kind is Ended:
        return _ended(user_of, address_of, protocol, protocol_in, session_of)
    if rule.kind is Refused:
        return _refused(user_of, address_of, session_of)
    ignored = Ignored()
    return lambda _match, _pid: ignored


def _accepted(
    user_of: _Text | None,
    address_of: _Text | None,
    local_of: _Text | None,
    known_protocol: str | None,
    protocol_in: _Text | None,
    session_of: _Session | None,
) -> Builder:
    def accepted(match: TextMatch, pid: str) -> Observation | Reason:
        session = None if session_of is None else session_of(match, pid)
        address = None
        if address_of is not None:
            address = _address_in(address_of, match)
            if address is None:
                return Reason.NOT_AN_ADDRESS
        elif session is None:
            return Reason.NO_RULE
        service = None if protocol_in is None else protocol_in(match)
        return Accepted(
            user="" if user_of is None else user_of(match) or "",
            address=address,
            protocol=known_protocol if service is None else protocol_of(service),
            session=session,
            local=_address_in(local_of, match),
        )

    return accepted


def _at_once(
    rule: Rule,
    groups: Groups,
    known_protocol: str | None,
    has_protocol: bool,
    by_name: Builder,
) -> Builder | None:
    """Return a builder of the same logins as `by_name` in half the time, if `rule` is a usual one.

    It takes all results with one call, each from its first group; a line that has one elsewhere is
    left to `by_name`.
    """
    if rule.escaped or not (groups.get("user") and groups.get("address")):
        return None
    names = [name for name in rule.session if name not in ("user", "address", "pid")]
    form = rule.session
    key_in = names[0] if names else ""
    if not (form in ((), ("pid",), (key_in,), ("user", "address", key_in)) and key_in != "local"):
        return None
    # Group 0, the whole text, stands for a result that the rule has not.
    results = ("user", "address", "local", "protocol", key_in)
    user_at, address_at, local_at, protocol_at, key_at = (
        groups.get(name, (0,))[0] for name in results
    )
    has_other_groups = any(len(groups.get(name, ())) > 1 for name in results)
    has_local = local_at > 0
    is_pid, is_one, is_joined = form == ("pid",), form == (key_in,), len(form) == 3

    def at_once(match: TextMatch, pid: str) -> Observation | Reason:
        texts = match.group(user_at, address_at, local_at, protocol_at, key_at)
        if has_other_groups and None in texts:
            return by_name(match, pid)
        user, text, local, service, key = texts
        address = None if text is None else canonical_of(text)
        if address is None:
            return Reason.NOT_AN_ADDRESS
        if is_one:
            session = key
        elif is_joined:
            session = f"{user},{address},{key}" if user and key else None
        else:
            session = pid or None if is_pid else None
        return Accepted(
            user=user or "",
            address=address,
            protocol=protocol_of(service)
            if has_protocol and service is not None
            else known_protocol,
            session=session,
            local=canonical_of(local) if has_local and local is not None else None,
        )

    return at_once


def _connected(address_of: _Text | None, session_of: _Session | None) -> Builder:
    def connected(match: TextMatch, pid: str) -> Observation | Reason:
        address = _address_in(address_of, match)
        if address is None:
            return Reason.NOT_AN_ADDRESS
        session = None if session_of is None else session_of(match, pid)
        if session is None:
            return Reason.NO_RULE
        return Connected(address=address, session=session)

    return connected


def _ended(
    user_of: _Text | None,
    address_of: _Text | None,
    known_protocol: str | None,
    protocol_in: _Text | None,
    session_of: _Session | None,
) -> Builder:
    def ended(match: TextMatch, pid: str) -> Observation | Reason:
        session = None if session_of is None else session_of(match, pid)
        user = None if user_of is None else user_of(match)
        if session is None and user is None:
            return Reason.NO_RULE
        service = None if protocol_in is None else protocol_in(match)
        return Ended(
            session=session,
            user=user,
            protocol=known_protocol if service is None else protocol_of(service),
            address=_address_in(address_of, match),
        )

    return ended


def _refused(
    user_of: _Text | None, address_of: _Text | None, session_of: _Session | None
) -> Builder:
    def refused(match: TextMatch, pid: str) -> Observation:
        return Refused(
            user=None if user_of is None else user_of(match),
            address=_address_in(address_of, match),
            session=None if session_of is None else session_of(match, pid),
        )

    return refused


def _address_in(address_of: _Text | None, match: TextMatch) -> str | None:
    """Return the canonical address, None where there is none or the text is not an address."""
    text = None if address_of is None else address_of(match)
    return None if text is None else canonical_of(text)


def _text(groups: Groups, name: str) -> _Text | None:
    """Return a function that gets a result's text, or None where the line lacks it.

    None: the rule has no such result.
    """
    numbers = groups.get(name, ())
    if not numbers:
        return None
    usual, *others = numbers
    if not others:
        return lambda match: match[usual]

    def first(match: TextMatch) -> str | None:
        text: str | None = match[usual]
        if text is None:
            for number in others:
                text = match[number]
                if text is not None:
                    break
        return text

    return first


def _unescaped(text_of: _Text) -> _Text:
    """Return `text_of` without the backslashes that quote a character."""

    def unescaped(match: TextMatch) -> str | None:
        text = text_of(match)
        return text if text is None or "\\" not in text else _unquote(r"\1", text)

    return unescaped


def _session(names: tuple[str, ...], groups: Groups) -> _Session | None:
    """Return a function that makes the session's key, or None where a part of it is missing.

    None: the rule has no session.
    """
    if not names:
        return None
    if names == ("pid",):
        return lambda _, pid: pid or None
    parts = tuple(_part(groups, name) for name in names)
    if len(parts) == 1:
        return parts[0]

    def session(match: TextMatch, pid: str) -> str | None:
        texts = [part(match, pid) for part in parts]
        return ",".join(texts) if all(texts) else None  # type: ignore[arg-type]

    return session


def _part(groups: Groups, name: str) -> _Session:
    if name == "pid":
        return lambda _, pid: pid
    numbers = groups.get(name, ())
    if len(numbers) == 1 and name not in ("address", "local"):
        only = numbers[0]
        return lambda match, _: match[only]
    text_of = _text(groups, name)
    if name in ("address", "local"):
        return lambda match, _: _address_in(text_of, match)
    return lambda match, _: None if text_of is None else text_of(match)
