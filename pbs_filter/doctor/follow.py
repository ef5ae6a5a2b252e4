"""`--doctor` follows one login (edge): the next one of a client, or one that it makes itself."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..config.options import Config
from ..errors import StoreBusy, StoreDamaged, UsageError
from ..integrations import Mta
from ..integrations.finding import Finding, note
from ..integrations.lookups import LookupConfig, question, strangers
from ..integrations.machine import Machine
from ..map_format.entry import decode
from ..service import control
from ..service.storage import map_of
from ..text import waited
from . import journey, probe
from .login import Failure, log_in

WAIT_SECONDS = 60
"""How long a person at a terminal waits for the next login."""
LINE_SECONDS = 10.0
"""How long a login may take from the server's answer to the map."""
LOOPBACK = "127.0.0.1"

Login = dict[str, Any]


def password_of(user: str) -> str:
    """Ask for the password of `user` on the terminal.

    Raises:
        UsageError: there is none.
    """
    try:
        with open("/dev/tty", "r+b", buffering=0):
            pass
    except OSError:
        raise UsageError(
            "--login asks for the password on a terminal, and there is none: run it in a shell "
            "(ssh -t)"
        ) from None
    return getpass.getpass(f"Password of {user} at the POP3 or IMAP server here: ")


def client(config: Config, machine: Machine, mta: Mta | None, seconds: float) -> Iterator[Finding]:
    """Follow the next login of a client, for which `seconds` are waited."""
    if not _can_ask(config):
        yield note("login", "none is followed: no filter answers, or only root can ask it")
        return
    began = time.time()
    try:
        print(
            f"waiting at most {waited(seconds)} for the next POP or IMAP login of a client: log in "
            "from one now (Ctrl-C ends the wait)",
            file=sys.stderr,
            flush=True,
        )
        login = _next(config, lambda each: bool(each["read_epoch"] >= began), seconds)
    except KeyboardInterrupt:
        yield note("login", "the wait was ended before one came")
        return
    if login is None:
        yield journey.none_came(seconds)
        return
    yield from _followed(config, machine, mta, login)
    if login["map_epoch"] is not None and login["written_epoch"] is not None:
        yield journey.whole(login["written_epoch"], login["map_epoch"], "the log line")


def made_by(
    config: Config, machine: Machine, mta: Mta | None, user: str, password: str
) -> Iterator[Finding]:
    """Follow a login of `user` from an address of this machine, and take back what it led to."""
    if not _can_ask(config):
        yield note("login", "none is made: no filter answers, or only root can ask it")
        return
    trusted = mta.trusted(machine) if mta is not None and mta.trusted is not None else ""
    trusted = " ".join((trusted, *config.local_networks))
    source = next(iter(strangers(probe.own_addresses(), trusted)), LOOPBACK)
    before = until(config, source)
    began = time.time()
    try:
        made = log_in(user, password, source)
    except Failure as error:
        yield journey.not_made(user, error.args)
        return
    yield journey.made(user, made.place, source, made.protection, made.took_seconds)
    login = _next(
        config,
        lambda each: bool(each["read_epoch"] >= began and each["address"] == source),
        LINE_SECONDS,
        or_refused=True,
    )
    if login is None:
        yield journey.not_seen(user, LINE_SECONDS)
        return
    yield from _followed(config, machine, mta, login)
    if login["reason"] is not None:
        return
    if login["map_epoch"] is not None:
        yield journey.whole(made.began_epoch, login["map_epoch"], "the password")
    if mta is not None and source != LOOPBACK:
        reply = probe.rcpt(source)
        if reply:
            yield journey.relayed(mta.name, source, reply)
    control.ask(config.control, {"do": "tried", "address": source})
    forgotten = ""
    if before is None:
        control.ask(config.control, {"do": "forget", "address": source})
        forgotten = f"; {source} was authorised by it, which is forgotten again"
    yield note("after", f"this login is left out of --report{forgotten}")


def until(config: Config, address: str) -> int | None:
    """Return the end of the authorisation that the map has for `address`; None: it has none."""
    try:
        value = map_of(config).get(address)
    except (OSError, StoreBusy, StoreDamaged):
        return None
    entry = None if value is None else decode(address, value)
    return None if entry is None or entry.until <= time.time() else entry.until


def _can_ask(config: Config) -> bool:
    """Switch the filter's trace on; whether it can be asked."""
    try:
        return _logins(config) is not None
    except (PermissionError, StoreBusy):
        return False


def _logins(config: Config) -> list[Login] | None:
    answer = control.ask(config.control, {"do": "trace"})
    return None if answer is None else answer.get("logins")


def _next(
    config: Config,
    is_wanted: Callable[[Login], bool],
    seconds: float,
    *,
    or_refused: bool = False,
) -> Login | None:
    """Return the first wanted login that authorises, once the map has it; `or_refused`: or that
    does not.

    After `seconds` the newest wanted one, however far it came; None: there is none.
    """
    end = time.monotonic() + seconds
    found: Login | None = None
    while True:
        try:
            wanted = [login for login in _logins(config) or () if is_wanted(login)]
        except StoreBusy:
            wanted = []
        ready = [login for login in wanted if login["reason"] is None]
        found = next(iter(ready or wanted[-1:]), found)
        if found is not None and (found["map_epoch"] or (or_refused and found["reason"])):
            return found
        if ready:
            end = min(end, time.monotonic() + LINE_SECONDS)
        if time.monotonic() >= end:
            return found
        time.sleep(probe.LOOK_SECONDS)


def _followed(config: Config, machine: Machine, mta: Mta | None, login: Login) -> Iterator[Finding]:
    address = login["address"]
    yield from journey.steps(login, until(config, address) if address else None)
    asked = None if mta is None else mta.lookups(machine)
    if login["reason"] is not None or not isinstance(asked, LookupConfig):
        return
    timer = time.monotonic()
    if asked.where:
        reply, problem = probe.ask(asked.where, question(asked, address))
        text = reply.decode("utf-8", "replace")
    else:
        command = [machine.lookup, "check", f"--map={config.map}", address]
        account = asked.user or "root"
        status, said = probe.as_user(command, account, asked.group)
        text, problem = ("OK", "") if status == 0 else ("", said.strip() or f"exit {status}")
    yield journey.answer(asked, address, text, problem, time.monotonic() - timer)
