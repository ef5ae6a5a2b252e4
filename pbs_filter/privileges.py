"""Whose rights we have (edge): the account and the group of the configuration."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable

from . import held_files
from .config.options import Config
from .errors import ConfigError


def accounts(config: Config) -> tuple[pwd.struct_passwd | None, grp.struct_group | None]:
    """The account and the group of the configuration, None where it names none.

    Raises:
        ConfigError: this machine does not have it.
    """
    account = group = None
    try:
        if config.user:
            account = pwd.getpwnam(config.user)
    except KeyError:
        raise ConfigError(
            f"user: this machine has no account {config.user!r}; make it (useradd --system "
            f"--shell /usr/sbin/nologin {config.user}), or mend the name"
        ) from None
    try:
        if config.group:
            group = grp.getgrnam(config.group)
    except KeyError:
        raise ConfigError(
            f"group: this machine has no group {config.group!r}; make it (groupadd --system "
            f"{config.group}), or mend the name"
        ) from None
    return account, group


def become(config: Config, say: Callable[[str], None]) -> None:
    """Become the account of the configuration, if started as root.

    Where the daemon's sandbox takes CAP_SETUID away (Debian 13, RHEL) we stay, and say so once.

    Raises:
        ConfigError: there is no such account or group.
    """
    directory = os.path.dirname(config.files)
    account, group = accounts(config)
    if os.geteuid() != 0:
        return
    if config.write and not os.path.isdir(directory):
        held_files.make_directory(
            directory,
            0o750,
            account.pw_uid if account else -1,
            group.gr_gid if group else account.pw_gid if account else -1,
        )
    if account is None:
        return
    gid = group.gr_gid if group else account.pw_gid
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        say(
            f"cannot become {config.user!r}: no CAP_SETUID here (the daemon's sandbox); going on "
            f"as uid {os.geteuid()}"
        )


def others(config: Config) -> tuple[int, ...]:
    """Who beside us may own the directory: the account that we could not become."""
    try:
        return (pwd.getpwnam(config.user).pw_uid,) if config.user else ()
    except KeyError:
        return ()
