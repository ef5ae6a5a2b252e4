"""The tables of the configuration: one class for each `[[NAME]]`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .declare import REQUIRED, Table, option
from .kinds import (
    COMMAND,
    MODE,
    NAME,
    NETWORKS,
    PATTERN,
    SAMPLES,
    TEXT,
    TEXT_OR_TEXTS,
    USERS,
    YES_NO,
    choice,
    file_path,
    seconds,
    some_of,
)

HOLDS_NETWORKS = "cidr"
"""The format of `[[export]]` that can hold networks, as `ipv6_prefix` makes them."""


class Export(Table):
    """One `[[export]]`: a file for an MTA that reads no map."""

    format: str = option(
        choice("cdb", "cidr", "lmdb", "sendmail", "tcprules", "texthash", "sqlite"),
        REQUIRED,
        "How the file is written.",
    )
    path: str = option(
        file_path(),
        REQUIRED,
        "The file, an absolute path. It is written under another name and renamed.",
    )
    interval_seconds: int = option(seconds(1, 86400), 10, "At most one writing in this time.")
    command: tuple[str, ...] = option(
        COMMAND,
        (),
        "A command to run after each change, a text or a list of words, without a shell; it must "
        "not need one. It is told what a [[hook]] is told: PBS_EVENT is exported, PBS_TEXT names "
        "the file and how many addresses it has, and the others are of the newest login in it.",
    )
    command_timeout_seconds: int = option(
        seconds(1, 3600), 60, "The command is ended when it takes longer."
    )
    mode: int = option(MODE, 0o644, "The mode of the file, in octal digits.")


class Group(Table):
    """One `[[groups]]`: users and networks whose logins count for longer or shorter."""

    name: str = option(NAME, REQUIRED, "What --explain calls it.")
    users: tuple[str, ...] = option(
        USERS, (), "The users of the group, as in deny_users. Left away: all."
    )
    networks: tuple[str, ...] = option(
        NETWORKS, (), "The networks that are meant. Left away: all. With users, both must fit."
    )
    grace_seconds: int | None = option(
        seconds(1, 7 * 86400),
        None,
        "As the option of this name, which holds otherwise.",
    )
    max_session_seconds: int | None = option(
        seconds(0, 30 * 86400), None, "As the option of this name, likewise."
    )
    require_tls: bool | None = option(YES_NO, None, "As the option of this name, likewise.")


class Hook(Table):
    """One `[[hook]]`: a command to run when something happened."""

    on: tuple[str, ...] = option(
        some_of("warning", "authorised", "ended"), REQUIRED, "What the command is run for."
    )
    command: tuple[str, ...] = option(
        COMMAND,
        REQUIRED,
        "A text or a list of words, run without a shell as the filter's account. It is told by "
        "PBS_EVENT, PBS_ADDRESS, PBS_USER, PBS_SERVER, PBS_UNTIL and PBS_TEXT, and by a JSON "
        "object on stdin.",
    )
    timeout_seconds: int = option(seconds(1, 300), 10, "The command is ended when it takes longer.")


class SiteServer(Table):
    """One `[[server]]`: a POP or IMAP server of the site's own."""

    name: str = option(TEXT, "", "1 to 12 characters of a-z, 0-9 and '-'.")
    program: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "The names in the syslog header.")
    protocol: str = option(choice("", "pop3", "imap"), "", "What the server speaks.")
    accounts: tuple[str, ...] = option(
        TEXT_OR_TEXTS, (), "The accounts whose processes may write these lines, beside root."
    )
    login: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "Template of a login with its address.")
    connected: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "Template of a connection.")
    accepted: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "Template of a login without address.")
    logout: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "Template of the end of a session.")
    refused: tuple[str, ...] = option(TEXT_OR_TEXTS, (), "Template of a login that failed.")
    pat: str = option(PATTERN, "", "The pattern of a login (pop-before-smtp).")
    out_pat: str = option(PATTERN, "", "The pattern of a logout (pop-before-smtp).")
    PID_pat: str = option(PATTERN, "", "The pattern of what ties lines together (pop-before-smtp).")
    IP_pat: str = option(PATTERN, "", "The pattern of a connection (pop-before-smtp).")
    OK_pat: str = option(PATTERN, "", "The pattern of a login without address (pop-before-smtp).")
    FAIL_pat: str = option(PATTERN, "", "The pattern of a login that failed (pop-before-smtp).")
    OUT_pat: str = option(PATTERN, "", "The pattern of the end of a session (pop-before-smtp).")
    samples: tuple[Mapping[str, Any], ...] = option(
        SAMPLES, (), "Lines of the site's own log, and what they say."
    )
    python: str = option(
        file_path(""), "", "Alone: a Python file whose SERVER is a grammar of pbs_filter.grammar."
    )
