"""The filter chooses whose rights it has (edge): the account and the group of the configuration."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable

from . import held_files
from .config.options import Config
from .errors import ConfigError


def accounts(config: Config) -> tuple[pwd.struct_passwd | None, grp.struct_group | None]:
    """Return the account and the group of the configuration, None where it names none.

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
    uid = account.pw_uid if account else 0
    gid = group.gr_gid if group else account.pw_gid if account else -1
    if config.write:
        try:
            _give_store(config, uid, gid)
        except OSError as error:
            say(f"cannot give the files in {directory!r} to uid {uid}, gid {gid}: {error}")
    if account is None:
        return
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        say(
            f"cannot become {config.user!r}: no CAP_SETUID here (the daemon's sandbox); going on "
            f"as uid {os.geteuid()}"
        )


def _give_store(config: Config, uid: int, gid: int) -> None:
    """Let the files of the store, and their directory, have the account and the group (-1: any) of
    the configuration: at an earlier start they may have been given to others.

    A directory that no filter has worked in is left alone. Nothing but a regular file with one name
    is given: another account may own the directory. Raises: OSError.
    """
    directory, name = os.path.split(config.files)
    held = held_files.hold_directory(directory)
    try:
        names = [entry for entry in os.listdir(f"/proc/self/fd/{held}") if entry.startswith(name)]
        if os.path.basename(config.lock) not in names:
            return
        folder = os.fstat(held)
        owners = (0, uid, folder.st_uid)
        for entry in names:
            file = held_files.hold(entry, held)
            try:
                status = os.fstat(file)
                ours = stat.S_ISREG(status.st_mode) and status.st_uid in owners
                if ours and status.st_nlink == 1:
                    _give(file, status, uid, gid)
            finally:
                os.close(file)
        shared = folder.st_mode & stat.S_IXOTH
        _give(held, folder, uid if folder.st_uid else 0, -1 if shared else gid)
    finally:
        os.close(held)


def _give(held: int, status: os.stat_result, uid: int, gid: int) -> None:
    if status.st_uid != uid or gid not in (-1, status.st_gid):
        held_files.change_owner(held, uid, gid)


def others(config: Config) -> tuple[int, ...]:
    """Return the accounts that may own the directory beside us: the account that we could not
    become."""
    try:
        return (pwd.getpwnam(config.user).pw_uid,) if config.user else ()
    except KeyError:
        return ()
